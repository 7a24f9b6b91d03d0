"""`guardrails:`, the policies that requests and answers are checked by."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from sluice.guardrails.finding import CONTEXT, LONGEST, Action, Validator
from sluice.section import Count, Section


class CheckSettings(Section):
    """`guardrails.policies.<name>.input:` and `output:`, the validators that look at one side; those left out do not."""

    injection: Literal["block"] | None = None
    pii: Action | None = None
    secrets: Literal["block"] | None = None

    @property
    def actions(self) -> list[tuple[Validator, Action]]:
        """The validators named, each with what follows from a finding."""
        named: list[tuple[Validator, Action | None]] = [
            ("injection", self.injection),
            ("pii", self.pii),
            ("secrets", self.secrets),
        ]
        return [(validator, action) for validator, action in named if action is not None]


class PolicySettings(Section):
    """`guardrails.policies.<name>:`, a guardrail policy.

    Attributes:
        hold_back: the most characters of a streamed answer that are kept back until they are certain.
        keep_bodies: requests and answers are kept for `keep_days`, as the policy lets them through.
    """

    input: CheckSettings = CheckSettings()
    output: CheckSettings = CheckSettings()
    hold_back: Count = 300
    keep_bodies: bool = False
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 30

    @field_validator("hold_back")
    @classmethod
    def _holds_the_longest_finding(cls, value: int, info: ValidationInfo) -> int:
        output: CheckSettings = info.data.get("output", CheckSettings())
        for validator, _ in output.actions:
            least = LONGEST[validator] + CONTEXT
            if value < least:
                raise ValueError(
                    f"{value} characters cannot hold the longest pattern of '{validator}', expected at least {least}"
                )
        return value


class GuardrailSettings(Section):
    """`guardrails:`, the policies, and the one for keys that name none (empty: none)."""

    policies: dict[str, PolicySettings] = {}
    default: str = ""

    @field_validator("default")
    @classmethod
    def _is_a_policy(cls, value: str, info: ValidationInfo) -> str:
        policies: dict[str, PolicySettings] = info.data.get("policies", {})
        if value and value not in policies:
            raise ValueError(f"there is no policy '{value}', expected one of {', '.join(policies) or 'none'}")
        return value
