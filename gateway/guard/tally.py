"""What a policy decided about one request, told in each place where it stands: record, metrics, header, answer."""

from typing import Any

import msgspec

from gateway.exchange import Exchange
from gateway.metrics import Metrics
from sluice.guardrails import Policy, Verdict

HEADER = b"x-sluice-guardrails"


class Tally:
    """The verdicts so far. The exchange has them at every moment, since it may end at any."""

    def __init__(self, exchange: Exchange, policy: Policy, metrics: Metrics) -> None:
        self._exchange = exchange
        self._policy = policy
        self._metrics = metrics
        self._counts: dict[tuple[str, ...], int] = {}
        exchange.policy = policy.id
        exchange.headers = {**exchange.headers, HEADER: policy.id.encode()}

    def add(self, verdict: Verdict) -> None:
        """Count a violation that was met."""
        key = (verdict.side, verdict.validator, verdict.kind, verdict.action)
        self._counts[key] = self._counts.get(key, 0) + verdict.count
        self._metrics.count_decision(self._policy.name, verdict.side, verdict.validator, verdict.action, verdict.count)
        self._exchange.verdicts = msgspec.json.encode(self.verdicts).decode()
        self._exchange.headers = {**self._exchange.headers, HEADER: self._header()}

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """As they stand in the usage record and in the answer."""
        names = ("side", "validator", "kind", "action")
        return [dict(zip(names, key, strict=True)) | {"count": count} for key, count in self._counts.items()]

    @property
    def field(self) -> dict[str, Any]:
        """The answer's field `guardrails`."""
        return {"policy": self._policy.id, "verdicts": self.verdicts}

    def _header(self) -> bytes:
        decided = [
            f"{side}.{validator}.{kind}={action}:{n}" for (side, validator, kind, action), n in self._counts.items()
        ]
        return "; ".join([self._policy.id, *decided]).encode()
