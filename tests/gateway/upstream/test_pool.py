import asyncio

import pytest

from gateway.upstream import http1
from gateway.upstream import pool as pool_module
from gateway.upstream.pool import Pool
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream


async def ask(pool: Pool, path: str = "/chat/completions") -> bytes:
    return await (await pool.request("POST", path, b"{}")).read()


async def test_the_connection_used_last_is_reused_first(pool: Pool, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(body=b"x" * 8 * 1024 * 1024))
    read_last = await pool.request("POST", "/chat/completions", b"{}")
    await ask(pool)
    await read_last.read()
    await ask(pool)
    assert [request.connection for request in scripted_upstream.requests] == [1, 2, 1]


async def test_idle_connections_are_closed_in_time(
    pool: Pool, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "KEEP_SECONDS", 600)
    await asyncio.gather(*[ask(pool) for _ in range(3)])
    assert len(pool.open) == 3
    monkeypatch.setattr(http1, "KEEP_SECONDS", 0.05)
    await asyncio.gather(*[ask(pool) for _ in range(3)])
    await scripted_upstream.until(lambda: not pool.open)
    await scripted_upstream.until(lambda: scripted_upstream.open_connections == 0)
    assert await ask(pool)


async def test_a_whole_pool_of_stale_connections_costs_one_retry(
    pool: Pool, scripted_upstream: ScriptedUpstream
) -> None:
    await asyncio.gather(*[ask(pool) for _ in range(5)])
    before = len(scripted_upstream.requests)
    scripted_upstream.next(Behaviour(stop_at=0))
    assert await ask(pool)
    assert len(scripted_upstream.requests) == before + 2


async def test_heads_are_not_kept_without_bound(pool: Pool) -> None:
    for number in range(pool_module.HEADS_KEPT + 10):
        await ask(pool, f"/models/{number}")
    assert len(pool.heads) <= pool_module.HEADS_KEPT


@pytest.mark.parametrize("header", [(b"x", b"a\r\ny: b"), (b"x\r\ny", b"a"), (b"x", b"a\n"), (b"x", b"a\r")])
async def test_a_header_with_a_line_break_is_not_sent(
    pool: Pool, scripted_upstream: ScriptedUpstream, header: tuple[bytes, bytes]
) -> None:
    with pytest.raises(ValueError, match="line break"):
        await pool.request("POST", "/chat/completions", b"{}", [header])
    assert scripted_upstream.connections == 0
