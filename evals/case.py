"""What a run is made of: a case goes in, an answer comes out, and a metric gives it a score."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One input, and how it is asked.

    Attributes:
        variables: what the prompt is filled with; for `ask` the `question`.
        expected: the reference, where the suite's metrics need one; a list where several are right.
        model: the route that answers; empty where the subject says it.
        parameters: further fields of the request, such as temperature and seed.
    """

    id: str
    variables: Mapping[str, Any]
    expected: Any = None
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Answer:
    """What came back for a case.

    Attributes:
        passages: the retrieved texts that the answer rests on, where there are any.
        request_id: the gateway's id of the request, for `sluice trace`.
        failure: why there is no answer; then `text` is empty.
    """

    text: str
    passages: tuple[str, ...] = ()
    request_id: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Score:
    """A number from 0 (worst) to 1, or None with the reason why the case could not be scored; never both."""

    value: float | None
    reason: str = ""

    @classmethod
    def unscored(cls, reason: str) -> "Score":
        """A case that could not be scored, which is not the same as a bad one."""
        return cls(None, reason)
