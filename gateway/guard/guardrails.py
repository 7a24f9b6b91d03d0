"""The policies of one gateway process, and what is done to a request under one."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from gateway.exchange import Exchange
from gateway.guard.answer import AnswerGuard
from gateway.guard.tally import Tally
from gateway.guard.texts import Text, all_within, texts_of
from gateway.kept.bodies import Bodies
from gateway.metrics import Metrics
from sluice.errors import InvalidRequest
from sluice.guardrails import Decision, Policy, load_policy
from sluice.settings import Settings

VARIABLES = "prompt.variables"
APART = "\n" * 8
"""Between texts that are checked as one: no finding reaches across."""


class GuardrailBlocked(InvalidRequest):
    """The request holds what its key's policy does not let through; the message never repeats it."""

    code = "guardrail_blocked"


class Guardrails:
    """Loads policies when they are first asked for, and checks requests. Belongs to one event loop.

    Attributes:
        default: the policy of keys that name none; empty: there is none.
    """

    def __init__(self, settings: Settings, metrics: Metrics, bodies: Bodies) -> None:
        self.default = settings.guardrails.default
        self._settings = settings
        self._metrics = metrics
        self._bodies = bodies
        self._policies: dict[str, asyncio.Future[Policy]] = {}
        # One thread: importing guardrails-ai takes seconds, a check milliseconds, and a policy is for one at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="guardrails")

    async def start(self) -> None:
        """Load the default policy, so that no request waits for it.

        Raises:
            MissingRequirement: guardrails-ai is not installed.
        """
        if self.default:
            await self._policy(self.default)

    def stop(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def check_request(self, exchange: Exchange, name: str, body: bytes) -> bytes:
        """The body as it may go upstream; from here on the exchange knows its policy and the guard of its answer.

        Raises:
            GuardrailBlocked: a validator that blocks found something.
            InvalidRequest: a part of the body cannot be checked.
            ConfigurationError: the key names a policy that is not configured any more.
        """
        policy = await self._policy(name)
        tally = Tally(exchange, policy, self._metrics)
        fields = _decoded(body)
        if policy.checks_input:
            # What a client puts into a stored prompt is its own, also where that makes a system message of it; and all
            # of it is text there, whatever its name is.
            variables = {VARIABLES: exchange.variables}
            given = all_within(variables, VARIABLES, VARIABLES, of_owner=False, passed_over=())
            texts = [*texts_of(fields), *given]
            loop = asyncio.get_running_loop()
            decisions = await loop.run_in_executor(self._thread, _check, policy, [(t.value, t.of_owner) for t in texts])
            _apply(policy, tally, texts, decisions)
            # Written anew, so that a field given twice cannot mean one thing here and another upstream.
            body = _encoded(fields)
        if policy.checks_output and exchange.endpoint.kind == "chat":
            exchange.guard = AnswerGuard(policy, tally, _choices(fields))
        if policy.keep_days is not None:
            exchange.kept = self._bodies.keep(exchange.request_id, body, policy.keep_days)
        return body

    async def _policy(self, name: str) -> Policy:
        loading = self._policies.get(name)
        if loading is None:
            loading = asyncio.get_running_loop().run_in_executor(self._thread, load_policy, self._settings, name)
            self._policies[name] = loading
        try:
            return await asyncio.shield(loading)
        except Exception:
            self._policies.pop(name, None)  # the next request tries again
            raise


def _check(policy: Policy, texts: list[tuple[str, bool]]) -> list[Decision]:
    """Check each. A check costs a millisecond however short its text, and tools have hundreds of short descriptions,
    in which there hardly ever is anything: so all that is the owner's is looked at in one go first."""
    together = APART.join(text for text, of_owner in texts if of_owner)
    clean = not (together and policy.check_input(together, of_owner=True).verdicts)
    return [
        Decision(text, False, ()) if of_owner and clean else policy.check_input(text, of_owner=of_owner)
        for text, of_owner in texts
    ]


def _apply(policy: Policy, tally: Tally, texts: list[Text], decisions: list[Decision]) -> None:
    blocked: list[str] = []
    for text, decision in zip(texts, decisions, strict=True):
        for verdict in decision.verdicts:
            if verdict.action == "block" or text.where != VARIABLES:  # counted where it was put in
                tally.add(verdict)
            if verdict.action == "block":
                blocked.append(f"{verdict.validator} ({verdict.kind}) in {text.where}")
        text.replace(decision.text)
    if blocked:
        raise GuardrailBlocked(f"The guardrail policy '{policy.name}' blocked the request: {', '.join(blocked[:5])}.")


def _choices(fields: dict[str, Any]) -> int:
    """How many choices the answer will have: `n` for each prompt."""
    n, prompt = fields.get("n"), fields.get("prompt")
    prompts = len(cast("list[Any]", prompt)) if isinstance(prompt, list) else 1
    return prompts * (n if isinstance(n, int) and n > 0 else 1)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # what `read_envelope` passes over
        raise InvalidRequest("The body is not valid JSON throughout.", code="invalid_json") from None


def _encoded(fields: dict[str, Any]) -> bytes:
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise InvalidRequest("The body holds a number that JSON cannot write.", code="invalid_json") from None
