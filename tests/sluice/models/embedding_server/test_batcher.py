"""The batcher over a double for the model, which can be held, can fail, and remembers its batches."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sluice.errors import Overloaded, SluiceError
from sluice.models.embedding_server import TokenIds, Vectors
from sluice.models.embedding_server.batcher import Batcher

POISON = 666


class Model:
    """Embeds an input as its first id and its length."""

    def __init__(self) -> None:
        self.batches: list[list[TokenIds]] = []
        self.free = threading.Event()
        self.free.set()
        self.called = threading.Event()

    def embed(self, inputs: Sequence[TokenIds]) -> Vectors:
        self.batches.append(list(inputs))
        self.called.set()
        assert self.free.wait(60)
        if any(POISON in ids for ids in inputs):
            raise ValueError("poisoned")
        return np.array([[ids[0], len(ids)] for ids in inputs], dtype=np.float32)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def batcher(model: Model, registry: CollectorRegistry) -> AsyncIterator[Batcher]:
    async with Batcher(model.embed, max_texts=8, max_tokens=400, max_queued=100, registry=registry) as batcher:
        yield batcher
        model.free.set()


async def hold(model: Model, batcher: Batcher) -> "asyncio.Task[Vectors]":
    """Keep the model busy with one input, so that what comes next waits together."""
    model.free.clear()
    first = asyncio.create_task(batcher.embed([[0]]))
    await asyncio.to_thread(model.called.wait, 60)
    return first


async def submit(batcher: Batcher, *requests: Sequence[TokenIds]) -> "list[asyncio.Task[Vectors]]":
    tasks = [asyncio.create_task(batcher.embed(inputs)) for inputs in requests]
    await asyncio.sleep(0)
    return tasks


async def test_vectors_come_in_the_order_of_the_inputs(batcher: Batcher) -> None:
    inputs = [[index] * (1 + index * 37 % 90) for index in range(50)]
    vectors = await batcher.embed(inputs)
    assert vectors.tolist() == [[ids[0], len(ids)] for ids in inputs]


async def test_what_waits_together_shares_a_batch(model: Model, batcher: Batcher) -> None:
    await hold(model, batcher)
    waiting = await submit(batcher, *[[[index]] for index in range(1, 7)])
    model.free.set()
    assert [(await task).tolist() for task in waiting] == [[[index, 1]] for index in range(1, 7)]
    assert [len(batch) for batch in model.batches] == [1, 6]


async def test_a_free_model_starts_at_once(model: Model, batcher: Batcher) -> None:
    await batcher.embed([[1]])
    await batcher.embed([[2]])
    assert model.batches == [[[1]], [[2]]]


async def test_a_batch_holds_at_most_so_many_texts_and_padded_tokens(model: Model, batcher: Batcher) -> None:
    await batcher.embed([[1] * length for length in range(1, 100)])
    assert all(len(batch) <= 8 for batch in model.batches)
    assert all(len(batch) * max(map(len, batch)) <= 400 for batch in model.batches)


async def test_an_input_longer_than_the_budget_goes_alone(model: Model, batcher: Batcher) -> None:
    await batcher.embed([[1] * 500, [2] * 500])
    assert [len(batch) for batch in model.batches] == [1, 1]


async def test_short_and_long_inputs_do_not_share_a_batch(model: Model, batcher: Batcher) -> None:
    await hold(model, batcher)
    waiting = await submit(batcher, [[1] * 100], [[2] * 3], [[3] * 98], [[4] * 5])
    model.free.set()
    await asyncio.gather(*waiting)
    assert [sorted(map(len, batch)) for batch in model.batches[1:]] == [[98, 100], [3, 5]]


@pytest.mark.parametrize("length", [10, 45], ids=["as long as the giant's", "of another length"])
async def test_a_giant_request_does_not_hold_up_a_small_one(model: Model, batcher: Batcher, length: int) -> None:
    await hold(model, batcher)
    giant, small = await submit(batcher, [[7] * 10] * 90, [[8] * length])
    model.free.set()
    await small
    assert len(model.batches) <= 4, "the held batch, one of the giant, its own, and one that may have begun since"
    assert not giant.done()
    await giant


async def test_a_cancelled_request_leaves_the_queue(
    model: Model, batcher: Batcher, registry: CollectorRegistry
) -> None:
    await hold(model, batcher)
    cancelled, other = await submit(batcher, [[1]] * 40, [[2]])
    assert registry.get_sample_value("sluice_embedding_queued_texts") == 41
    cancelled.cancel()
    await asyncio.sleep(0)
    assert registry.get_sample_value("sluice_embedding_queued_texts") == 1
    model.free.set()
    await other
    assert model.batches[1:] == [[[2]]]


async def test_a_request_cancelled_within_its_batch_hurts_nobody(model: Model, batcher: Batcher) -> None:
    first = await hold(model, batcher)
    first.cancel()
    model.free.set()
    assert (await batcher.embed([[5]])).tolist() == [[5, 1]]


async def test_the_failure_of_one_request_stays_its_own(model: Model, batcher: Batcher) -> None:
    await hold(model, batcher)
    before, guilty, after = await submit(batcher, [[1]], [[POISON]] * 20, [[2]])
    model.free.set()
    assert (await before).tolist() == [[1, 1]]
    assert (await after).tolist() == [[2, 1]]
    with pytest.raises(SluiceError, match="poisoned") as failure:
        await guilty
    assert failure.value.code == "model_failed"
    poisoned = [batch for batch in model.batches if [POISON] in batch]
    assert len(poisoned) == 2, "the shared batch and the guilty part alone; the rest was dropped"


async def test_the_rest_of_a_failed_request_is_not_computed(model: Model, batcher: Batcher) -> None:
    with pytest.raises(SluiceError, match="poisoned"):
        await batcher.embed([[POISON]] * 20)
    await batcher.embed([[1]])
    assert [len(batch) for batch in model.batches] == [8, 1]


async def test_a_full_queue_refuses(model: Model, batcher: Batcher) -> None:
    await hold(model, batcher)
    (waiting,) = await submit(batcher, [[1]] * 99)
    with pytest.raises(Overloaded, match="99 texts are waiting"):
        await batcher.embed([[2], [3]])
    model.free.set()
    await waiting
    assert len(await batcher.embed([[2], [3]])) == 2


async def test_after_stop_nothing_is_taken_and_what_waits_fails(model: Model, batcher: Batcher) -> None:
    running = await hold(model, batcher)
    (waiting,) = await submit(batcher, [[1]])
    assert batcher.ready
    batcher.stop()
    assert not batcher.ready
    for refused in (waiting, batcher.embed([[2]])):
        with pytest.raises(Overloaded, match="stopping"):
            await refused
    model.free.set()
    assert (await running).tolist() == [[0, 1]], "what the model has begun is finished"


async def test_requests_texts_and_batches_are_counted(batcher: Batcher, registry: CollectorRegistry) -> None:
    await batcher.embed([[1]] * 20)
    await batcher.embed([[1]])
    counted = [registry.get_sample_value(f"sluice_embedding_{name}_total") for name in ("requests", "texts", "batches")]
    assert counted == [2, 21, 4]
