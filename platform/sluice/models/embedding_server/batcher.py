"""Batches across concurrent requests: the model runs as soon as it is free, on what is waiting then.

A request's inputs wait in a job. Each batch starts with the longest input of the job whose turn it is, and is filled
with inputs of similar length, one of each job in turn: so padding stays small, and a job of one input waits for one
batch of each job before it, however many inputs those hold. All state belongs to the event loop; only the model runs
in a thread.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from sluice.errors import Overloaded, SluiceError
from sluice.models.embedding_server import TokenIds, Vectors

# Inputs that differ by less than this many tokens share a batch however short they are: a call costs more than they do.
CLOSE_TOKENS = 16


class _Job:
    """The inputs of one request: those that wait, by length, and the vectors of those that are done."""

    def __init__(self, inputs: Sequence[TokenIds]) -> None:
        self.inputs = inputs
        self._waiting = sorted(range(len(inputs)), key=lambda index: len(inputs[index]))
        self._lengths = [len(inputs[index]) for index in self._waiting]
        self._vectors: dict[int, Vectors] = {}
        self.result: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def longest(self) -> int:
        return self._lengths[-1]

    def fitting(self, shortest: int, longest: int) -> int:
        """The length of the longest waiting input between two lengths, 0 where there is none."""
        position = bisect_right(self._lengths, longest) - 1
        return self._lengths[position] if position >= 0 and self._lengths[position] >= shortest else 0

    def take(self, longest: int) -> int:
        """The index of the longest waiting input up to a length, which waits no longer."""
        position = bisect_right(self._lengths, longest) - 1
        self._lengths.pop(position)
        return self._waiting.pop(position)

    def finish(self, index: int, vector: Vectors) -> None:
        self._vectors[index] = vector
        if len(self._vectors) == len(self.inputs) and not self.result.done():
            self.result.set_result(np.stack([self._vectors[index] for index in range(len(self.inputs))]))

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class Batcher:
    """Feeds one model from many requests; an async context manager.

    Args:
        embed: computes one vector for each input; called from one thread, never twice at once.
        max_texts: inputs in one call.
        max_tokens: tokens in one call, padding included; one input may exceed it by itself.
        max_queued: inputs that may wait; more are refused.
        registry: where the counters are registered.
    """

    def __init__(
        self,
        embed: Callable[[Sequence[TokenIds]], Vectors],
        *,
        max_texts: int,
        max_tokens: int,
        max_queued: int,
        registry: CollectorRegistry,
    ) -> None:
        self._embed = embed
        self._max_texts = max_texts
        self._max_tokens = max_tokens
        self._max_queued = max_queued
        self._jobs: deque[_Job] = deque()
        self._queued = 0
        self._work = asyncio.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, "model")
        self._requests = Counter("sluice_embedding_requests", "Requests taken.", registry=registry)
        self._texts = Counter("sluice_embedding_texts", "Texts embedded.", registry=registry)
        self._batches = Counter("sluice_embedding_batches", "Calls of the model.", registry=registry)
        queued = Gauge("sluice_embedding_queued_texts", "Texts that wait for the model.", registry=registry)
        queued.set_function(lambda: self._queued)

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        self._runner.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self._stopped and not self._runner.done()

    async def embed(self, inputs: Sequence[TokenIds]) -> Vectors:
        """One vector for each input, in order. When the caller is cancelled, what still waits is dropped.

        Raises:
            Overloaded: too many inputs wait already, or the server is stopping.
        """
        if not self.ready:
            raise _stopping()
        if self._queued + len(inputs) > self._max_queued:
            raise Overloaded(
                f"{self._queued} texts are waiting and at most {self._max_queued} may.",
                fix="Send the request again in a moment.",
            )
        job = _Job(inputs)
        self._jobs.append(job)
        self._queued += len(inputs)
        self._work.set()
        self._requests.inc()
        try:
            return await job.result
        finally:
            self._forget(job)

    def stop(self) -> None:
        """Take nothing more, and fail what is not done."""
        self._stopped = True
        for job in [*self._jobs]:
            self._fail(job, _stopping())

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            while batch := self._next_batch():
                await self._compute(batch)
            self._work.clear()

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Inputs of similar length, at least one of them from the job whose turn it is."""
        if not self._jobs:
            return []
        first = self._jobs[0]
        tolerance = max(CLOSE_TOKENS, first.longest // 4)
        shortest, longest = first.longest - tolerance, first.longest + tolerance
        lengths = {job: length for job in self._jobs if (length := job.fitting(shortest, longest))}
        room = min(self._max_texts, max(1, self._max_tokens // max(lengths.values())))
        turns = deque(lengths)
        batch: list[tuple[_Job, int]] = []
        while turns and len(batch) < room:
            job = turns.popleft()
            batch.append((job, job.take(longest)))
            if job.waiting and job.fitting(shortest, longest):
                turns.append(job)
        self._queued -= len(batch)
        self._jobs.rotate(-1)
        for job in {job for job, _ in batch if not job.waiting}:
            self._jobs.remove(job)
        return batch

    async def _compute(self, batch: list[tuple[_Job, int]]) -> None:
        """Run the model on a batch; where that fails, on each job's part, so that only the guilty job fails."""
        inputs = [job.inputs[index] for job, index in batch]
        try:
            vectors = await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, inputs)
        except Exception as error:  # whatever the model raises belongs to the request, not to this loop
            jobs = list(dict.fromkeys(job for job, _ in batch))
            if len(jobs) > 1:
                for job in jobs:
                    await self._compute([entry for entry in batch if entry[0] is job])
            else:
                failure = SluiceError(f"The model failed on this request: {error}.", code="model_failed")
                failure.__cause__ = error
                self._fail(batch[0][0], failure)
            return
        self._batches.inc()
        self._texts.inc(len(batch))
        for (job, index), vector in zip(batch, vectors, strict=True):
            job.finish(index, vector)

    def _fail(self, job: _Job, error: Exception) -> None:
        job.fail(error)
        self._forget(job)

    def _forget(self, job: _Job) -> None:
        """Drop what still waits of a job."""
        if job in self._jobs:
            self._jobs.remove(job)
            self._queued -= job.waiting


def _stopping() -> Overloaded:
    return Overloaded("The embedding server is stopping.", fix="Send the request again.", code="stopping")
