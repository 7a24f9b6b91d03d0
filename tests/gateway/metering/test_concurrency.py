"""No token over, however many calls there are at once; `bench_budget.py` does the same at size, with restarts."""

import asyncio
import random
from pathlib import Path

import httpx
import pytest

from tests.doubles.counting_engine import CountingEngine
from tests.gateway.metering.conftest import Budgeted, left
from tests.gateway.running_gateway import RunningGateway

CALLS = 60


@pytest.mark.parametrize("seed", [1, 2])
def test_calls_at_once_never_use_more_than_the_budget(tmp_path: Path, seed: int) -> None:
    random_ = random.Random(seed)

    async def call(client: httpx.AsyncClient) -> None:
        content = "word " * random_.randint(1, 30)
        body = {"model": "m", "messages": [{"role": "user", "content": content}], "stream": random_.random() < 0.5}
        if random_.random() < 0.7:
            body["max_tokens"] = random_.randint(1, 120)
        try:
            async with asyncio.timeout(random_.uniform(0.01, 0.3) if random_.random() < 0.3 else 300):
                response = await client.post("/chat/completions", json=body)
                while response.status_code == 429 and "retry-after" in response.headers:
                    await asyncio.sleep(0.05)
                    response = await client.post("/chat/completions", json=body)
        except TimeoutError:
            return
        assert response.status_code in (200, 429)

    async def call_all() -> None:
        headers = {"authorization": f"Bearer {ada.token}"}
        async with httpx.AsyncClient(base_url=f"{gateway.origin}/v1", headers=headers, timeout=300) as client:
            await asyncio.gather(*(call(client) for _ in range(CALLS)))
        await asyncio.sleep(0.3)

    # So slow that it cannot write the tokens that are allowed for before a busy machine tells it to stop.
    with CountingEngine(seconds=0.01) as engine, RunningGateway(tmp_path, engine.url) as gateway:
        ada = Budgeted(gateway, {"ever": 2_500, "day": 3_000})
        asyncio.run(call_all())
        gateway.wait(lambda: not gateway.application.traffic.open)
        spent = 2_500 - left(ada.call("word " * 3_000))
        assert engine.made <= spent <= 2_500
        assert spent > 2_400
