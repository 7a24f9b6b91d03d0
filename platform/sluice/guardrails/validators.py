"""The three validators as guardrails-ai has them. Import this only after `library.import_quietly`."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from guardrails.validator_base import (  # pyright: ignore[reportMissingTypeStubs]
    ErrorSpan,
    FailResult,
    PassResult,
    ValidationResult,
    Validator,
    register_validator,  # pyright: ignore[reportUnknownVariableType]
)

from sluice.guardrails import injection, pii, secrets
from sluice.guardrails.finding import Finding, merged, redacted


class _Detecting(Validator):
    """Fails where its detector finds something; the fix is the text with a label for each finding."""

    detect: ClassVar[Callable[[str], list[Finding]]]

    def _validate(self, value: str, metadata: dict[str, Any]) -> ValidationResult:
        """guardrails-ai's hook. A span's reason is the finding's kind; no message holds a part of the text."""
        found = type(self).detect(value)
        if not found:
            return PassResult()
        counted = Counter(finding.kind for finding in merged(found))
        return FailResult(
            error_message=", ".join(f"{kind} ({count})" for kind, count in counted.items()),
            error_spans=[ErrorSpan(start=start, end=end, reason=kind) for kind, start, end in found],
            fix_value=redacted(value, found),
        )


@register_validator(name="sluice/injection", data_type="string")
class Injection(_Detecting):
    """Prompt injection, by weighted phrases."""

    detect = staticmethod(injection.find)


@register_validator(name="sluice/pii", data_type="string")
class Pii(_Detecting):
    """Personal data, by patterns and checksums."""

    detect = staticmethod(pii.find)


@register_validator(name="sluice/secrets", data_type="string")
class Secrets(_Detecting):
    """Secrets, by their issuers' formats."""

    detect = staticmethod(secrets.find)
