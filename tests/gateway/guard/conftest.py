from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.guardrails.library import import_quietly
from sluice.identity import create_key
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

POLICIES = {
    "policies": {
        "strict": {
            "input": {"injection": "block", "pii": "redact", "secrets": "block"},
            "output": {"injection": "block", "pii": "redact", "secrets": "block"},
        },
        "output": {"output": {"pii": "redact", "secrets": "block"}},
        "input": {"input": {"pii": "block"}},
    }
}


class GuardedGateway(RunningGateway):
    """A gateway whose requests carry a key with a policy."""

    def under(self, policy: str | None) -> "GuardedGateway":
        self.key = create_key(self.engine, owner="tester", policy=policy)[1]
        return self


@pytest.fixture(scope="session", autouse=True)
def imported() -> None:
    """guardrails-ai, so that no test's request waits for it."""
    import_quietly()


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[GuardedGateway]:
    with GuardedGateway(tmp_path, scripted_upstream.url, sections={"guardrails": POLICIES}) as running:
        yield running.under("strict")


@pytest.fixture
def decisions(gateway: GuardedGateway) -> Callable[[], dict[str, float]]:
    """The metric's lines, by their labels."""

    def read() -> dict[str, float]:
        lines = gateway._http.get(f"{gateway.origin}/metrics").text.splitlines()
        found: dict[str, Any] = {}
        for line in lines:
            if line.startswith("sluice_guardrail_decisions_total{"):
                labels, _, value = line.partition("{")[2].rpartition("} ")
                found[labels] = float(value)
        return found

    return read
