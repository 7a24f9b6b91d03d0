"""Many calls at once against one key's budget, before an engine that counts every token it really makes.

    PYTHONPATH=.:platform .venv/bin/python tests/benchmarks/bench_budget.py

Streamed and plain calls, some cancelled at a random moment; in half of the runs the gateway is stopped and started again
in between. A call that is refused because others hold what is left comes again, until nothing is. Writes `.sluice/bench/budget.json`; ends with 1 when a figure misses what it must reach.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import report
from gateways.launching import Launch, started
from gateways.targets import sluice
from rich.console import Console
from sqlalchemy import text

from sluice.database import connect
from sluice.identity import create_key
from tests.doubles.counting_engine import CountingEngine

OUTPUT = Path(".sluice/bench/budget.json")


@dataclass
class Result:
    """One run, in tokens: what the engine made, what the key was charged, what its budget was."""

    seed: int
    restarted: bool
    budget: int
    made: int = 0
    charged: int = 0
    answered: int = 0
    limited: int = 0
    cancelled: int = 0
    refused: int = 0
    failed: int = 0


def main() -> int:
    options = parse_options()
    console = Console()
    results: list[Result] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder, console.status(f"seed {seed}"):
            result = Result(seed, restarted=seed % 2 == 1, budget=options.budget)
            run(result, options.calls, Path(folder))
        results.append(result)
        console.print(result)
    rows = [
        report.row(f"tokens over the budget, {options.calls} calls at once", most_over(results), "", "=", 0),
        report.row("tokens made that nobody was charged", max(max(0, r.made - r.charged) for r in results), "", "=", 0),
        report.row("calls that failed", sum(r.failed for r in results), "", "=", 0),
        report.row(
            "least share of the budget that was charged", min(r.charged / r.budget for r in results), "", "≥", 0.95
        ),
    ]
    report.write(OUTPUT, rows, {"runs": [asdict(result) for result in results]})
    report.show(console, rows)
    return 0 if all(row.holds for row in rows) else 1


def most_over(results: list[Result]) -> int:
    """The most tokens that were made or charged beyond the budget in any run."""
    return max(max(0, result.made - result.budget, result.charged - result.budget) for result in results)


def run(result: Result, calls: int, folder: Path) -> None:
    """One run on a gateway and an engine of its own."""
    random_ = random.Random(result.seed)
    with CountingEngine(seconds=0.002) as engine:
        port = urlsplit(engine.url).port
        assert port is not None
        launch = sluice(port, folder)
        database = connect(f"sqlite:///{folder / 'home/sluice.db'}")
        key, token = create_key(database, owner="bench", budgets={"ever": result.budget})
        phases = [calls // 2, calls - calls // 2] if result.restarted else [calls]
        for count in phases:
            call_through(launch, token, count, engine, result, random_)
        with database.connect() as connection:
            chosen = text("SELECT sum(charged_tokens) FROM usage_record WHERE key_id = :key")
            result.charged = connection.execute(chosen, {"key": key.id}).scalar_one()
        database.dispose()


def call_through(
    launch: Launch, token: str, count: int, engine: CountingEngine, result: Result, random_: random.Random
) -> None:
    """So many calls at once through a gateway that is started and stopped; its records are then in the database."""
    with started(launch) as server:
        before = engine.made
        asyncio.run(call_many(f"http://127.0.0.1:{server.port}/v1", token, count, result, random_))
        result.made += engine.made - before


async def call_many(url: str, token: str, count: int, result: Result, random_: random.Random) -> None:
    headers = {"authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits, trust_env=False) as client:
        await asyncio.gather(*(call(client, result, random.Random(random_.random())) for _ in range(count)))
    await asyncio.sleep(0.5)  # the engine notices that the last clients have left


async def call(client: httpx.AsyncClient, result: Result, random_: random.Random) -> None:
    """One call, perhaps cancelled; where calls under way hold what is left, it is sent again until it is refused."""
    words = "word " * random_.randint(1, 40)
    body = {"model": "mock", "messages": [{"role": "user", "content": words}], "stream": random_.random() < 0.6}
    if random_.random() < 0.7:
        body["max_tokens"] = random_.randint(1, 200)
    patience = random_.uniform(0.01, 0.6) if random_.random() < 0.3 else None
    try:
        async with asyncio.timeout(patience):
            response = await client.post("/chat/completions", json=body)
            while response.status_code == 429 and "retry-after" in response.headers:
                await asyncio.sleep(random_.uniform(0.01, 0.1))
                response = await client.post("/chat/completions", json=body)
    except TimeoutError:
        result.cancelled += 1
        return
    if response.status_code == 429:
        result.refused += 1
    elif response.status_code == 200:
        result.answered += 1
        result.limited += "x-sluice-budget" in response.headers
    else:
        result.failed += 1


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=200, help="at once")
    parser.add_argument("--budget", type=int, default=8_000, help="tokens")
    parser.add_argument("--seeds", type=int, default=6, help="runs, every second one with a restart in the middle")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
