"""`sluice demo budget`: a key spends a small budget on the running model, to the last token and not one further."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from rich.text import Text

from gateway.usage.report import Report, report
from gateway.usage.report_view import usage_table
from sluice.demo import Outcome, Stage
from sluice.errors import MissingRequirement, ProcessFailed
from sluice.gateway_client import GatewayClient, error_of, gateway_access
from sluice.identity import create_key, list_keys, revoke_key

NAME = "demo budget"
TOKENS = 460
QUESTION = "Write the numbers from one to one hundred in words."
MOST_CALLS = 20
SETTLE_SECONDS = 10


def budget(stage: Stage) -> Outcome:
    """Call, leave two answers, let the budget end a third, be refused; then hold the records against the ledger.

    Raises:
        MissingRequirement: nothing was started, or no chat model is served.
        SluiceError: the gateway's own error for a call.
    """
    url, _ = gateway_access(stage.settings)
    model = next((name for name, model in stage.settings.models.items() if model.kind == "chat"), None)
    if model is None:
        raise MissingRequirement("This demo needs a chat model.", fix="Name one in the models' settings.")
    for old in list_keys(stage.engine):
        if old.name == NAME and old.revoked_at is None:
            revoke_key(stage.engine, old.id)
    key, token = create_key(stage.engine, owner="demo", name=NAME, budgets={"day": TOKENS})
    stage.show(f"Key {key.id} may use {TOKENS} tokens a day, prompts and answers together.")
    with GatewayClient(url, token) as client:
        calls = _Calls(client, model)
        with stage.step("a short call, charged what it used"):
            answered = calls.plain(max_tokens=16)
        stage.show(f"  left: {answered.headers['x-sluice-budget-remaining']}")
        with stage.step("two streams at once, both left after a moment: charged what they can have cost at most"):
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(calls.leave, [24, 24]))
            _records(stage, key.id, count=3)
        with stage.step("streams that ask for 1,000 tokens more, until one is refused"):
            limited, refused = calls.until_refused()
        for answer in limited:
            stage.show(Text(f"  {answer.text.strip()!r}\n  finish_reason: {answer.reason}; budget: {answer.budget}"))
        stage.show(Text(f"  429: {error_of(refused)}\n  retry-after: {refused.headers.get('retry-after')} s"))
    found = _records(stage, key.id, count=4 + len(limited))
    charged, left = found.rows[0].charged_tokens, int(refused.headers["x-sluice-budget-remaining"])
    stage.show("", usage_table(found))
    if charged + left != TOKENS:
        raise ProcessFailed(f"The ledger says {left} tokens are left, the records say {TOKENS - charged}.")
    trace = limited[-1].request_id if limited else answered.headers["x-request-id"]
    return Outcome(
        f"{charged} of {TOKENS} tokens charged, {left} left, 0 over; ledger and usage records agree.",
        (f"sluice usage --key {key.id}", "sluice keys create --owner you --budget 10000 --per day"),
        f"request:{trace}",
    )


@dataclass(frozen=True)
class _Answer:
    """A whole stream; `budget` says whether one limited it, and which."""

    text: str
    reason: str | None
    budget: str
    request_id: str


class _Calls:
    """The calls of the demo, all with one question."""

    def __init__(self, client: GatewayClient, model: str) -> None:
        self._http = client.http
        self._body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}

    def plain(self, max_tokens: int) -> httpx.Response:
        response = self._http.post("/chat/completions", json=self._body | {"max_tokens": max_tokens})
        if response.is_error:
            raise error_of(response)
        return response

    def leave(self, max_tokens: int) -> None:
        """Begin a stream and leave after its first events."""
        body = self._body | {"max_tokens": max_tokens, "stream": True}
        with self._http.stream("POST", "/chat/completions", json=body) as response:
            for _, _line in zip(range(6), response.iter_lines(), strict=False):
                pass

    def until_refused(self) -> tuple[list[_Answer], httpx.Response]:
        """The answers before the refusal, and the refusal."""
        body = self._body | {"max_tokens": 1_000, "stream": True}
        answers: list[_Answer] = []
        for _ in range(MOST_CALLS):
            with self._http.stream("POST", "/chat/completions", json=body) as response:
                response.read()
            if response.status_code == 429:
                return answers, response
            if response.is_error:
                raise error_of(response)
            answers.append(_whole(response))
        raise ProcessFailed(f"{MOST_CALLS} calls did not use up {TOKENS} tokens.")


def _whole(response: httpx.Response) -> _Answer:
    text, reason = "", None
    for line in response.text.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                reason = choice["finish_reason"] or reason
    budget = response.headers.get("x-sluice-budget", "did not limit it")
    return _Answer(text, reason, budget, response.headers["x-request-id"])


def _records(stage: Stage, key: str, count: int) -> Report:
    """The key's usage, once the database has so many records; they come there behind the answers."""
    since = datetime.now(UTC) - timedelta(hours=1)
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = report(stage.engine, by="key", since=since, key=key)
        if found.rows and found.rows[0].requests >= count:
            return found
        if time.monotonic() > deadline:
            raise ProcessFailed(f"The usage records of key {key} do not come.", fix="See: sluice logs gateway")
        time.sleep(0.1)
