"""The proof that nothing is overspent: many calls at once against one hard budget, from several processes on Redis.

Streamed and plain calls, some cancelled at a random moment; in the middle one gateway process is killed with `kill -9` and
started again. The engine counts every token that it really makes. Afterwards three counts have to agree: what the ledger
in Redis says is spent, the sum of the usage records, and, for each call that ended normally, the engine's own.

    PYTHONPATH=.:platform .venv/bin/python tests/benchmarks/metering/proof.py --seeds 20
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
from sqlmodel import Session, col, select

from gateway.usage.record import UsageRow
from sluice.database import connect, migrate
from sluice.identity import create_key
from sluice.identity.budgets import set_budget
from sluice.identity.scopes import create_scope
from tests.doubles.counting_engine import CountingEngine
from tests.ports import free_ports

REDIS = "redis://127.0.0.1:6379/0"
OUTPUT = Path(".sluice/bench/proof.json")
SECONDS_A_TOKEN = 0.002
PRICE = "{input: 1, output: 2}"
"""For a million tokens: 1,000 billionths for one read, 2,000 for one written."""
MONEY_A_TOKEN = 1_800
"""What the team's budget in money has for each of the key's tokens: in some runs too little."""


@dataclass
class Result:
    """One run, in tokens: what the engine made, what Redis has as spent and as held, what the records sum up to.

    Attributes:
        money, cost: the team's budget in money, in billionths: what Redis has as spent, and the records' sum.
    """

    seed: int
    budget: int
    made: int = 0
    spent: int = 0
    held: int = 0
    recorded: int = 0
    team_spent: int = 0
    money: int = 0
    cost: int = 0
    wrong_records: int = 0
    answered: int = 0
    cancelled: int = 0
    refused: int = 0
    killed: int = 0
    failed: int = 0
    seconds: float = 0.0
    ended: list[str] = field(default_factory=list, repr=False)

    @property
    def over(self) -> int:
        """Tokens beyond the budget, made or charged; billionths beyond that in money."""
        beyond = self.money - MONEY_A_TOKEN * self.budget
        return max(0, self.made - self.budget, self.spent - self.budget, self.recorded - self.budget, beyond)

    @property
    def difference(self) -> int:
        """Between what Redis has and what the records sum up to."""
        tokens = abs(self.spent - self.recorded) + abs(self.team_spent - self.recorded)
        return tokens + abs(self.money - self.cost) + self.held


class Workers:
    """Gateway processes that share a port, a database and Redis."""

    def __init__(self, folder: Path, upstream: str, prefix: str, count: int) -> None:
        self.port = free_ports(count + 1)
        self.url = f"http://127.0.0.1:{self.port}/v1"
        home, configuration = folder / "home", folder / "configs"
        for path in (home, configuration):
            path.mkdir()
        self.database = f"sqlite:///{home / 'sluice.db'}"
        migrate(self.database)
        self._log = folder / "gateway.log"
        self._environment = os.environ | {
            "SLUICE_CONFIG": str(configuration),
            "SLUICE_PLATFORM__HOME": str(home),
            "SLUICE_GATEWAY__PORT": str(self.port),
            "SLUICE_GATEWAY__WORKERS": str(count),
            "SLUICE_GATEWAY__DRAIN_SECONDS": "5",
            "SLUICE_REDIS__URL": REDIS,
            "SLUICE_REDIS__PREFIX": prefix,
            "SLUICE_REDIS__COMMAND_SECONDS": "10",
            "SLUICE_REDIS__REBUILD_SECONDS": "0.5",
            "SLUICE_ROUTES__M__URL": upstream,
            "SLUICE_ROUTES__M__PRICE": PRICE,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """Start a worker; it answers a little later."""
        with self._log.open("ab") as output:
            self._processes[number] = subprocess.Popen(
                [sys.executable, "-m", "gateway", "--worker", str(number)],
                env=self._environment,
                stdout=output,
                stderr=output,
            )

    def wait_ready(self, number: int) -> None:
        """Until a worker answers."""

        def ready() -> bool:
            assert self._processes[number].poll() is None, self._log.read_text()[-3_000:]
            try:
                url = f"http://127.0.0.1:{self.port + 1 + number}/health/ready"
                return httpx.get(url, trust_env=False, timeout=60).status_code == 200
            except httpx.TransportError:
                return False

        wait(ready)

    def kill(self, number: int) -> None:
        """`kill -9`."""
        self._processes[number].kill()
        self._processes[number].wait()

    def stop(self) -> None:
        """SIGTERM, and wait: what was recorded is then in the database."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(seed: int, folder: Path, *, calls: int = 1_000, workers: int = 4, budget: int = 10_000) -> Result:
    """One run with processes of its own."""
    result = Result(seed, budget)
    random_ = random.Random(seed)
    began = time.monotonic()
    with CountingEngine(seconds=SECONDS_A_TOKEN) as engine, own_prefix() as (store, prefix), ExitStack() as stack:
        gateway = Workers(folder, engine.url, prefix, workers)
        stack.callback(gateway.stop)
        database = connect(gateway.database)
        stack.callback(database.dispose)
        create_scope(database, "organisation", "acme", by="proof")
        create_scope(database, "team", "search", parent="organisation:acme", by="proof")
        set_budget(database, "team:search", 2 * budget, "ever", by="proof")
        set_budget(database, "team:search", MONEY_A_TOKEN * budget, "ever", "money", by="proof")
        key, token = create_key(database, owner="proof", scope="team:search", budgets={"ever": budget})
        for number in range(workers):
            gateway.start(number)
        for number in range(workers):
            gateway.wait_ready(number)
        asyncio.run(_call_all(gateway, token, calls, workers, result, random_))
        account = f"key:{key.id}/tokens/ever"
        wait(lambda: _account(store, prefix, account)[1] == 0, 30)
        gateway.stop()
        result.made = engine.made
        result.spent, result.held = _account(store, prefix, account)
        result.team_spent, team_held = _account(store, prefix, "team:search/tokens/ever")
        result.money, money_held = _account(store, prefix, "team:search/money/ever")
        result.held += team_held + money_held
        with Session(database) as session:
            rows = {row.request_id: row for row in session.exec(select(UsageRow).where(col(UsageRow.key_id) == key.id))}
        result.recorded = sum(row.charged_tokens for row in rows.values())
        result.cost = sum(row.cost for row in rows.values())
        result.wrong_records = sum(
            request_id not in rows or rows[request_id].charged_tokens != engine.made_for[request_id]
            for request_id in result.ended
        )
    result.seconds = round(time.monotonic() - began, 1)
    return result


async def _call_all(
    gateway: Workers, token: str, calls: int, workers: int, result: Result, random_: random.Random
) -> None:
    headers = {"authorization": f"Bearer {token}", "connection": "close"}  # so that every worker gets its share
    limits = httpx.Limits(max_connections=calls, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=120, limits=limits, trust_env=False
    ) as client:
        under_way = [asyncio.create_task(_call(client, result, random.Random(random_.random()))) for _ in range(calls)]
        after, victim = random_.randint(1, 25), random_.randrange(workers)
        while result.answered < after and not all(task.done() for task in under_way):
            await asyncio.sleep(0.005)
        gateway.kill(victim)
        gateway.start(victim)
        await asyncio.gather(*under_way)
    await asyncio.to_thread(gateway.wait_ready, victim)
    await asyncio.sleep(0.5)  # the engine notices that the last clients have left


async def _call(client: httpx.AsyncClient, result: Result, random_: random.Random) -> None:
    """One call, perhaps cancelled; where calls under way hold what is left, it is sent again until it is refused."""
    words = "word " * random_.randint(1, 40)
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": words}]}
    body["stream"] = random_.random() < 0.6
    if random_.random() < 0.7:
        body["max_tokens"] = random_.randint(1, 200)
    patience = random_.uniform(0.01, 1.5) if random_.random() < 0.3 else None
    try:
        async with asyncio.timeout(patience):
            response = await client.post("/chat/completions", json=body)
            while response.status_code in (429, 503) and "retry-after" in response.headers:
                await asyncio.sleep(random_.uniform(0.1, 0.8))
                response = await client.post("/chat/completions", json=body)
    except TimeoutError:
        result.cancelled += 1
        return
    except httpx.TransportError:
        result.killed += 1
        return
    if response.status_code == 429:
        result.refused += 1
    elif response.status_code == 200 and (not body["stream"] or response.text.endswith("data: [DONE]\n\n")):
        result.answered += 1
        result.ended.append(response.headers["x-request-id"])
    else:
        result.failed += 1


def _account(store: "redis.Redis", prefix: str, account: str) -> tuple[int, int]:
    """What is spent and held of a budget."""
    epoch: Any = store.hget(f"{{{prefix}}}:epoch", "id")
    found: Any = store.hmget(f"{{{prefix}}}:{epoch.decode()}:budget:{account}", "spent", "leased")
    return int(found[0]), int(found[1])


@contextmanager
def own_prefix() -> Iterator[tuple["redis.Redis", str]]:
    """A client, and a prefix whose keys are deleted at the end."""
    store = redis.Redis.from_url(REDIS)
    prefix = f"sluice-proof-{secrets.token_hex(6)}"
    try:
        yield store, prefix
    finally:
        for key in store.scan_iter(f"{{{prefix}}}*", count=1_000):
            store.delete(key)
        store.close()


def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Until it holds, or for so long; what does not come shows in the figures."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def prove(seeds: int, folder: Path, say: Callable[[str], None], **size: int) -> list[Result]:
    """So many runs."""
    results: list[Result] = []
    for seed in range(seeds):
        say(f"proof, seed {seed}")
        below = folder / f"seed-{seed}"
        below.mkdir()
        results.append(run(seed, below, **size))
    return results


def rows(results: Sequence[Result]) -> list[Any]:
    """What the runs must reach, as rows of the report."""
    import report

    count = len(results)
    return [
        report.row(f"tokens over the budget, {count} seeds", max(r.over for r in results), "", "=", 0),
        report.row(
            "difference of ledger and records, tokens and billionths", max(r.difference for r in results), "", "=", 0
        ),
        report.row("tokens made beyond those charged", max(max(0, r.made - r.spent) for r in results), "", "=", 0),
        report.row("answers charged other than the engine counted", sum(r.wrong_records for r in results), "", "=", 0),
        report.row("calls that failed otherwise than by the kill", sum(r.failed for r in results), "", "=", 0),
    ]


def main() -> int:
    """Run and report; ends with 1 when a figure misses what it must reach."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import report
    from rich.console import Console

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs (20)")
    parser.add_argument("--calls", type=int, default=1_000, help="at once (1,000)")
    parser.add_argument("--workers", type=int, default=4, help="processes (4)")
    parser.add_argument("--budget", type=int, default=10_000, help="tokens (10,000)")
    options = parser.parse_args()
    console = Console()
    size = {"calls": options.calls, "workers": options.workers, "budget": options.budget}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        results = prove(options.seeds, Path(folder), console.print, **size)
    found = rows(results)
    for result in results:
        console.print(result)
    report.show(console, found)
    report.write(OUTPUT, found, {"runs": [asdict(result) for result in results]})
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
