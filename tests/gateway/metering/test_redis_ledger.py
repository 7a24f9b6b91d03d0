"""What is Redis' own: a server that is lost, slow, emptied or wrong, processes that die, and what is charged then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from gateway.metering.lease import Ask, Lease, Unopened
from gateway.metering.lease_journal import LeaseJournal
from gateway.metering.plan import Plan
from gateway.metering.redis_ledger import RedisLedger
from gateway.metering.redis_pipe import packed
from gateway.metering.window import span
from gateway.price import Price
from sluice.errors import BudgetExhausted, RateLimited, StateUnavailable
from sluice.identity import Budget, Identity, Limit
from sluice.settings import RedisSettings
from tests.doubles.tcp_proxy import TcpProxy
from tests.servers.redis import RedisServer

HARD = Budget("key:k/tokens/day", "key:k", 1_000, "day")
EVER = Budget("key:k/tokens/ever", "key:k", 1_000, "ever")
SOFT = Budget("user:u/tokens/day", "user:u", 1_000, "day", hard=False)
CONCURRENT = Limit("key:k/concurrent", "key:k", "concurrent", 1)
REQUESTS = Limit("key:k/requests", "key:k", "requests", 60)
NOON = 1_764_417_600.0


class Process:
    """A gateway process, as far as its ledger goes; the database knows what was settled and flushed."""

    def __init__(self, ledger: RedisLedger, clock: "Clock") -> None:
        self.ledger = ledger
        self.clock = clock
        self.records = 0
        self.number = 0

    async def take(self, plan: Plan, tokens: int) -> Lease:
        self.number += 1
        ask = Ask(f"{id(self)}-{self.number}", tokens, 0, 0, exact=True)
        try:
            return await self.ledger.lease(plan, ask)
        except Unopened as unopened:
            for budget in unopened.budgets:
                await self.ledger.open(budget, self.records, span(budget.window, self.clock.now)[1])
        return await self.ledger.lease(plan, ask)

    async def used(self, budget: Budget = HARD) -> tuple[int, int] | None:
        return await self.ledger.used(budget)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


Start = Callable[..., Awaitable[Process]]


def plan(*meters: Budget | Limit) -> Plan:
    budgets = tuple(meter for meter in meters if isinstance(meter, Budget))
    limits = tuple(meter for meter in meters if isinstance(meter, Limit))
    return Plan(Identity("k", "ada", None), budgets, limits, None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@asynccontextmanager
async def processes(folder: Path, url: str) -> AsyncIterator[Start]:
    started: list[RedisLedger] = []

    async def start(**further: object) -> Process:
        quick = {"url": url, "rebuild_seconds": 0.3, "command_seconds": 1, "connect_seconds": 1}
        settings = RedisSettings.model_validate(quick | further)
        clock = Clock()

        async def flush() -> bool:
            process.flushed = True
            return True

        ledger = RedisLedger(settings, LeaseJournal(folder / "leases", f"{len(started)}-x"), flush, clock)
        process = Process(ledger, clock)
        await ledger.start()
        started.append(ledger)
        return process

    yield start
    for ledger in started:
        await ledger.close()


@pytest.fixture
async def start(tmp_path: Path, server: RedisServer) -> AsyncIterator[Start]:
    async with processes(tmp_path, server.url) as starting:
        yield starting


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def counts_again(process: Process, plan: Plan, tokens: int = 0) -> Lease:
    """Once budgets are counted again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await process.take(plan, tokens)
            except StateUnavailable:
                await asyncio.sleep(0.02)


async def test_a_server_that_dies_refuses_hard_budgets_and_lets_the_rest_through_uncounted(
    server: RedisServer, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    process = await start()
    server.kill()
    await until(lambda: process.ledger.lost)
    with pytest.raises(StateUnavailable, match="Redis is lost") as refusal:
        await process.take(plan(HARD), 10)
    assert refusal.value.retry_after == b"1"
    for free in (plan(SOFT), plan(REQUESTS)):
        lease = await process.take(free, 10)
        assert lease.uncounted
        assert lease.rates() == []
        lease.settle(10, 0)
    warned = [record.message for record in caplog.records if "Redis is lost" in record.message]
    assert len(warned) == 1
    server.start()
    await until(lambda: not process.ledger.lost)
    assert "Redis is back." in caplog.messages


async def test_a_deployment_may_let_hard_budgets_through_and_counts_them_later(
    tmp_path: Path, server: RedisServer
) -> None:
    proxy = TcpProxy(("127.0.0.1", server.port))
    async with processes(tmp_path, f"redis://127.0.0.1:{proxy.port}") as start:
        process = await start(when_lost="open")
        (await process.take(plan(HARD), 100)).settle(100, 0)
        proxy.cut()
        await until(lambda: process.ledger.lost)
        ended, under_way = await process.take(plan(HARD), 50), await process.take(plan(HARD), 7)
        ended.settle(20, 0)
        assert ended.uncounted
        proxy.mend()
        await until(lambda: not process.ledger.lost)
        assert await process.used() == (120, 7)
        under_way.settle(5, 0)
        assert await process.used() == (125, 0)
    proxy.close()


async def test_a_restart_without_data_never_makes_a_budget_larger(server: RedisServer, start: Start) -> None:
    """What is under way in any process is held again, what ended is read from the records."""
    first, second = await start(rebuild_seconds=2), await start(rebuild_seconds=2)
    (await first.take(plan(HARD, EVER), 300)).settle(300, 0)
    under_way = [await first.take(plan(HARD), 200), await second.take(plan(HARD, EVER), 100)]
    first.records = second.records = 300
    server.kill()
    await until(lambda: first.ledger.lost and second.ledger.lost)
    server.start()
    await until(lambda: not (first.ledger.lost or second.ledger.lost))
    assert first.flushed
    assert second.flushed
    with pytest.raises(StateUnavailable, match="read again"):
        await first.take(plan(HARD), 1)
    assert (await first.take(plan(SOFT), 1)).uncounted
    (await counts_again(first, plan(HARD, EVER))).settle(0, 0)
    assert await second.used(HARD) == (300, 300)
    assert await second.used(EVER) == (300, 100)
    with pytest.raises(BudgetExhausted):
        await second.take(plan(HARD), 401)
    for lease in under_way:
        lease.settle(50, 0)
    await first.used()
    assert await second.used(HARD) == (400, 0)


async def test_data_flushed_under_a_living_connection_is_noticed(server: RedisServer, start: Start) -> None:
    process = await start()
    lease = await process.take(plan(HARD), 600)
    redis.Redis.from_url(server.url).flushall()
    with pytest.raises(StateUnavailable):
        await process.take(plan(HARD), 600)
    (await counts_again(process, plan(HARD))).settle(0, 0)
    assert await process.used() == (0, 600)
    lease.settle(1, 0)
    assert await process.used() == (1, 0)


async def test_a_call_that_ends_before_its_budget_is_read_again_is_charged(server: RedisServer, start: Start) -> None:
    process = await start()
    lease = await process.take(plan(HARD), 600)
    redis.Redis.from_url(server.url).flushall()
    with pytest.raises(StateUnavailable):
        await process.take(plan(HARD), 600)
    await until(lambda: not process.ledger.lost)
    lease.settle(400, 0)
    (await counts_again(process, plan(HARD))).settle(0, 0)
    assert await process.used() == (400, 0)


async def test_a_slow_server_leaves_no_lease_that_nobody_has(server: RedisServer, start: Start) -> None:
    """What was asked before it stood still it does when it goes on, and then hears that nobody waits for it."""
    process = await start()
    (await process.take(plan(HARD), 10)).settle(10, 0)
    await process.used()
    server.pause()
    with pytest.raises(StateUnavailable, match="Redis is lost"):
        await process.take(plan(HARD), 100)
    assert process.ledger.lost
    assert len(process.ledger._unsent) == 1
    server.resume()
    await until(lambda: not process.ledger.lost)
    assert await process.used() == (10, 0)


async def test_what_ended_while_the_server_was_lost_is_settled_when_it_is_back(
    tmp_path: Path, server: RedisServer
) -> None:
    proxy = TcpProxy(("127.0.0.1", server.port))
    async with processes(tmp_path, f"redis://127.0.0.1:{proxy.port}") as start:
        process = await start()
        leases = [await process.take(plan(HARD, CONCURRENT), 100), await process.take(plan(HARD), 100)]
        proxy.cut()
        leases[0].settle(30, 0)
        await until(lambda: process.ledger.lost)
        leases[1].settle(40, 0)
        assert len(process.ledger._unsent) == 2
        proxy.mend()
        await until(lambda: not process.ledger.lost)
        assert await process.used() == (70, 0)
        assert len(process.ledger._unsent) == 0
        (await process.take(plan(CONCURRENT), 0)).settle(0, 0)
    proxy.close()


async def test_a_dead_processs_lease_is_charged_in_full_until_its_journal_tells_the_truth(start: Start) -> None:
    dead, alive = await start(), await start()
    await dead.take(plan(HARD, CONCURRENT), 300)
    with pytest.raises(RateLimited):
        await alive.take(plan(CONCURRENT), 0)
    alive.clock.now += 61
    await alive.take(plan(SOFT), 0)
    assert await alive.used() == (300, 0)
    (await alive.take(plan(CONCURRENT), 0)).settle(0, 0)
    for _ in range(2):
        await alive.ledger.settle({f"{id(dead)}-1": (120, 0)})
        assert await alive.used() == (120, 0)


async def test_a_long_call_of_a_living_process_keeps_its_lease(start: Start) -> None:
    process = await start(lease_seconds=1)
    lease = await process.take(plan(HARD), 300)
    expiry = packed("ZSCORE", process.ledger._link.keys.expiries, f"{id(process)}-1")
    taken = await process.ledger._ask(expiry)
    process.clock.now += 0.9
    async with asyncio.timeout(30):
        while await process.ledger._ask(expiry) == taken:
            await asyncio.sleep(0.01)
    process.clock.now += 0.9
    await process.take(plan(SOFT), 0)
    assert await process.used() == (0, 300)
    lease.settle(1, 0)


async def test_a_client_that_leaves_while_its_lease_is_on_the_way_holds_nothing(start: Start) -> None:
    process = await start()
    await process.take(plan(HARD), 0)
    leaving = asyncio.create_task(process.take(plan(HARD), 300))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await process.used() == (0, 0)


async def test_a_server_that_forgot_the_scripts_gets_them_again(server: RedisServer, start: Start) -> None:
    process = await start()
    redis.Redis.from_url(server.url).script_flush()
    with pytest.raises(StateUnavailable):
        await process.take(plan(HARD), 1)
    assert not (await counts_again(process, plan(HARD))).uncounted


async def test_a_lease_of_a_window_that_ended_is_charged_to_that_one(start: Start) -> None:
    process = await start()
    lease = await process.take(plan(HARD), 300)
    process.clock.now += 86_400
    (await process.take(plan(HARD), 0)).settle(0, 0)
    lease.settle(300, 0)
    assert await process.used() == (0, 0)


async def test_a_window_is_kept_for_the_longest_month(server: RedisServer, start: Start) -> None:
    process = await start()
    process.clock.now, ends = span("month", NOON + 10 * 86_400)
    await process.take(plan(Budget("key:k/tokens/month", "key:k", 1_000, "month")), 1)
    with redis.Redis.from_url(server.url) as client:
        [key] = client.keys("*budget:key:k/tokens/month")
        assert client.ttl(key) > ends - process.clock.now >= 31 * 86_400 - 1


async def test_a_clock_that_is_set_back_reopens_no_window(start: Start) -> None:
    process = await start()
    await process.take(plan(HARD), 1)
    process.clock.now += 86_400
    await process.take(plan(HARD), 300)
    process.clock.now -= 86_400
    lease = await process.take(plan(HARD), 5)
    assert lease.left == 695


async def test_money_beyond_what_a_double_multiplies_is_exact(start: Start) -> None:
    process = await start()
    amount = 2**53 - 1
    budget = Budget("key:k/money/ever", "key:k", amount, "ever", "money")
    dear = Plan(Identity("k", "ada", None), (budget,), (), Price(999_999_999_999, 0, 777_777_777_777))
    with pytest.raises(Unopened):
        await process.ledger.lease(dear, Ask("r", 7, 3, 2**31, exact=True))
    await process.ledger.open(budget, 0, float("inf"))
    lease = await process.ledger.lease(dear, Ask("r", 7, 3, 2**40, exact=True))
    assert dear.price is not None
    assert lease.money == dear.price.cost(7, 0, 3 * lease.completion) <= amount


async def test_a_password_that_is_wrong_is_told_with_the_fix(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "right") as server:
        async with processes(tmp_path, server.url.replace("//", "//:wrong@")) as start:
            with pytest.raises(StateUnavailable, match=r"WRONGPASS.*redis\.url"):
                await start()
        async with processes(tmp_path, server.url) as start:
            with pytest.raises(StateUnavailable, match=r"NOAUTH.*redis\.url"):
                await start()
        async with processes(tmp_path, server.url.replace("//", "//:right@")) as start:
            await (await start()).take(plan(HARD), 1)


async def test_a_replica_is_told_from_a_primary(tmp_path: Path, server: RedisServer) -> None:
    with RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        async with processes(tmp_path, replica.url) as start:
            with pytest.raises(StateUnavailable, match=r"READONLY.*primary"):
                await start()


async def test_what_is_no_redis_fails_requests_and_not_the_start(tmp_path: Path) -> None:
    answering = await asyncio.start_server(
        lambda _, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "127.0.0.1", 0
    )
    port = answering.sockets[0].getsockname()[1]
    async with processes(tmp_path, f"redis://127.0.0.1:{port}") as start:
        process = await start()
        with pytest.raises(StateUnavailable):
            await process.take(plan(HARD), 1)
    answering.close()


async def test_a_server_that_may_forget_leases_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        async with processes(tmp_path, server.url) as start:
            await start()
    assert any("noeviction" in message for message in caplog.messages)
