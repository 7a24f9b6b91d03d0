"""A policy at work: which validators look at what comes in and what goes out, and what follows from what they find."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sluice.errors import ConfigurationError
from sluice.guardrails.finding import Action, Finding, Validator, merged
from sluice.guardrails.hold_back import Check, HoldBack, JsonHoldBack

if TYPE_CHECKING:
    from sluice.settings import PolicySettings, Settings

Side = Literal["input", "output"]

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can write and the library's models refuse."""


class Verdict(msgspec.Struct, frozen=True):
    """What one validator found, and what followed; never the text."""

    side: Side
    validator: Validator
    kind: str
    action: Action
    count: int = 1


@dataclass(frozen=True)
class Decision:
    """What becomes of a text: as it may go on, unless it is blocked."""

    text: str
    blocked: bool
    verdicts: tuple[Verdict, ...]


class Policy:
    """One policy of the settings, with its validators loaded. `check_input` is for one thread at a time.

    Attributes:
        id: `<name>@<hash>` of what it says and of the validators' code: equal ids decide alike.
        checks_input, checks_output: whether it looks at requests, and at answers, at all.
        keep_days: for how long requests and answers are kept; None: they are not.
    """

    def __init__(self, name: str, settings: "PolicySettings") -> None:
        from sluice.guardrails.library import build_guard

        self.name = name
        self.id = policy_id(name, settings)
        self.keep_days = settings.keep_days if settings.keep_bodies else None
        self._window = settings.hold_back
        self._actions = dict(settings.input.actions)
        # Those that block look at the text as it came, so they stand before the one that changes it.
        ordered = sorted(self._actions.items(), key=lambda item: item[1])
        self._guard = build_guard([_validator(name, action) for name, action in ordered])
        self._owners_guard = build_guard([_validator(name, action) for name, action in ordered if name != "injection"])
        self._outputs = tuple(_check(validator, action) for validator, action in settings.output.actions)
        self.checks_input = bool(self._actions)
        self.checks_output = bool(self._outputs)

    def check_input(self, text: str, *, of_owner: bool = False) -> Decision:
        """Check a text that goes to a model: milliseconds of CPU, so not on an event loop.

        Args:
            of_owner: the application itself wrote it, as a system message: it may tell the model what to do.
        """
        guard = self._owners_guard if of_owner else self._guard
        if not text or not guard.validators:
            return Decision(text, False, ())
        outcome: Any = guard.validate(_HALF_CHARACTER.sub("\ufffd", text))  # pyright: ignore[reportUnknownMemberType]
        verdicts: list[Verdict] = []
        for summary in outcome.validation_summaries or ():
            validator: Validator = summary.validator_name.lower()
            found = merged(Finding(span.reason, span.start, span.end) for span in summary.error_spans or ())
            for kind, count in Counter(finding.kind for finding in found).items():
                verdicts.append(Verdict("input", validator, kind, self._actions[validator], count))
        blocked = any(verdict.action == "block" for verdict in verdicts)
        return Decision(str(outcome.validated_output) if verdicts else text, blocked, tuple(verdicts))

    def hold_back(self, found: Callable[[Verdict], None] | None = None, *, json: bool = False) -> HoldBack:
        """For one text of an answer.

        Args:
            found: is told of each violation once.
            json: the text is itself JSON (a tool call's arguments).
        """

        def tell(check: Check, kind: str) -> None:
            if found is not None:
                found(Verdict("output", check.validator, kind, check.action))

        return (JsonHoldBack if json else HoldBack)(self._outputs, self._window, tell)


def load_policy(settings: "Settings", name: str) -> Policy:
    """The policy of that name. The first one of a process imports guardrails-ai, which takes seconds.

    Raises:
        ConfigurationError: there is no such policy.
        MissingRequirement: guardrails-ai is not installed.
    """
    found = settings.guardrails.policies.get(name)
    if found is None:
        raise unknown_policy(settings, name)
    from sluice.guardrails.library import import_quietly

    import_quietly()
    return Policy(name, found)


def unknown_policy(settings: "Settings", name: str) -> ConfigurationError:
    """The error for a name that no policy has."""
    known = ", ".join(settings.guardrails.policies) or "none"
    return ConfigurationError(f"There is no guardrail policy '{name}'.", fix=f"configs/guardrails.yaml has: {known}.")


def _validator(name: Validator, action: Action) -> Any:
    from guardrails.types.on_fail import OnFailAction

    from sluice.guardrails import validators

    classes = {"injection": validators.Injection, "pii": validators.Pii, "secrets": validators.Secrets}
    return classes[name](on_fail=OnFailAction.FIX if action == "redact" else OnFailAction.NOOP)


def _check(name: Validator, action: Action) -> Check:
    from sluice.guardrails import injection, pii, secrets

    validator = _validator(name, action)
    settled = {"injection": injection.settled, "pii": pii.settled, "secrets": secrets.settled}[name]

    def find(text: str) -> list[Finding]:
        spans = getattr(validator.validate(text, {}), "error_spans", None) or ()
        return [Finding(span.reason, span.start, span.end) for span in spans]

    return Check(name, action, find, settled)


def policy_id(name: str, settings: "PolicySettings") -> str:
    """`<name>@<hash>` of what a policy says and of the validators' code."""
    # What is kept of a request changes nothing about what is decided.
    digest = sha256(msgspec.json.encode(settings.model_dump(exclude={"keep_bodies", "keep_days"})))
    for module in ("finding", "hold_back", "injection", "pii", "secrets"):
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    return f"{name}@{digest.hexdigest()[:12]}"
