"""`sluice demo analyst`: questions that need tools, an approval by another person, and the same tools over MCP."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.asking import ask_streaming, describe_step
from sluice.demo import Outcome, Stage
from sluice.errors import MissingRequirement, UpstreamRefused
from sluice.gateway_client import GatewayClient, gateway_access

CUSTOMER = "7590-VHVEG"
QUESTIONS = (
    "How long is the tunnel at Quarley?",
    "Which contract has the highest churn rate?",
    f"Will customer {CUSTOMER} leave?",
)
TRAINING = "Retrain the churn model"
REVIEWER = "demo-reviewer"


def analyst(stage: Stage) -> Outcome:
    """Play the journey.

    Raises:
        MissingRequirement: what the demos `ask` and `churn` make is not there.
    """
    with stage.gateway() as gateway:
        with stage.step("The documents, the table and the model are there"):
            _check(gateway, "search_documents", {"query": "canal", "index": "canal"}, "ask")
            _check(gateway, "predict_churn", {"customer": CUSTOMER}, "churn")
            _check(gateway, "query_sql", {"query": "SELECT count(*) FROM churn"}, "churn")
        answers = [_ask(stage, gateway, question) for question in QUESTIONS]
        with stage.step("The same question, not streamed, says the same"):
            plain = _ask_plain(gateway, QUESTIONS[1])
            same = plain["choices"][0]["message"]["content"] == answers[1]["answer"]
        trained = _train(stage, gateway)
    with stage.step("The official MCP client, with the same key, lists the tools and calls one"):
        names, called = asyncio.run(_use_mcp(*gateway_access(stage.settings)))
    stage.show(f"  {', '.join(names)}", f"  predict_churn → {called['result']['probability']:.2f} ({called['id']})")
    _show_costs(stage, [*answers, trained])
    return Outcome(
        f"{len(answers)} questions answered by {len(answers)} tools, training approved by another person, "
        f"{len(names)} tools over MCP; streamed and plain answers {'agree' if same else 'differ'}.",
        (
            'sluice agents ask "How many customers have a two year contract?"',
            "sluice agents tools",
            f"sluice audit list tool_call:{trained['metadata']['tool_call_id']}",
        ),
        answers[2]["metadata"]["answer_id"],
    )


def _check(gateway: GatewayClient, tool: str, arguments: dict[str, Any], demo: str) -> None:
    try:
        gateway.post(f"/tools/{tool}", {"arguments": arguments})
    except UpstreamRefused as error:
        if error.status not in (400, 404):
            raise
        raise MissingRequirement(
            f"The analyst has nothing to work on yet: {error.message}", fix=f"Run: sluice demo {demo}"
        ) from None


def _ask(stage: Stage, gateway: GatewayClient, question: str, thread: str = "") -> dict[str, Any]:
    stage.show(Text(f"\n{question}", "bold"))
    told = ask_streaming(
        gateway,
        "analyst",
        question,
        thread,
        show=lambda step: stage.show(Text(describe_step(step), "dim")),
    )
    stage.show(Text(told["answer"]))
    return told


def _ask_plain(gateway: GatewayClient, question: str) -> dict[str, Any]:
    body = {"model": "agent/analyst", "messages": [{"role": "user", "content": question}]}
    return gateway.post("/chat/completions", body)[0]


def _train(stage: Stage, gateway: GatewayClient) -> dict[str, Any]:
    waiting = _ask(stage, gateway, TRAINING)["metadata"]
    approval = f"/tools/calls/{waiting['tool_call_id']}/approve"
    try:
        gateway.post(approval, {})
    except UpstreamRefused as refusal:
        stage.show(Text(f"\nOne's own approval: {refusal.message}", "yellow"))
    with _reviewer(stage) as reviewer, stage.step(f"{REVIEWER} approves, and it is trained"):
        reviewer.post(approval, {})
    return _ask(stage, gateway, TRAINING, waiting["thread_id"])


@contextmanager
def _reviewer(stage: Stage) -> Generator[GatewayClient]:
    """Another person, with a key that ends with the demo."""
    from sluice.identity import create_key, revoke_key

    ends = datetime.now(UTC) + timedelta(minutes=15)
    key, text = create_key(stage.engine, owner=REVIEWER, name="demo analyst", expires_at=ends)
    base_url, _ = gateway_access(stage.settings)
    try:
        with GatewayClient(base_url, text) as client:
            yield client
    finally:
        revoke_key(stage.engine, key.id)


async def _use_mcp(base_url: str, key: str) -> tuple[list[str], dict[str, Any]]:
    import httpx2
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=120) as http:
        transport = streamable_http_client(f"{base_url.removesuffix('/v1')}/mcp", http_client=http)
        async with Client(transport) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            called = await client.call_tool("predict_churn", {"customer": CUSTOMER})
    return names, dict(called.structured_content or {})


def _show_costs(stage: Stage, answers: list[dict[str, Any]]) -> None:
    table = Table("answer", "model calls", "prompt tokens", "completion tokens", box=None, pad_edge=False)
    for answer in answers:
        told = answer["metadata"]
        counts = [str(told[key]) for key in ("model_calls", "prompt_tokens", "completion_tokens")]
        table.add_row(told["answer_id"], *counts)
    stage.show("", table)
