import asyncio
import tracemalloc

from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.cache.entry import Entry
from gateway.cache.memory_store import OVERHEAD, MemoryStore
from gateway.tokens import TokenUsage

SECONDS = 10.0
LIMIT = 5 * OVERHEAD


def entry(size: int) -> Entry:
    return Entry(b"", False, b"x" * size, TokenUsage(1, 1))


class Lru(RuleBasedStateMachine):
    """Beside a list, most recently used last, of what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.store = MemoryStore(LIMIT, SECONDS, clock=lambda: self.now)
        self.kept: list[tuple[bytes, float, Entry]] = []

    def of(self, key: bytes) -> tuple[bytes, float, Entry] | None:
        return next((one for one in self.kept if one[0] == key), None)

    @rule(key=st.sampled_from([b"a", b"b", b"c", b"d"]), size=st.integers(0, LIMIT))
    def put(self, key: bytes, size: int) -> None:
        self.store.put(key, entry(size))
        self.kept = [one for one in self.kept if one[0] != key]
        if size + OVERHEAD <= LIMIT:
            self.kept.append((key, self.now + SECONDS, entry(size)))
        while sum(OVERHEAD + len(one[2].body) for one in self.kept) > LIMIT:
            self.kept.pop(0)

    @rule(key=st.sampled_from([b"a", b"b", b"c", b"d"]))
    def get(self, key: bytes) -> None:
        expected = self.of(key)
        if expected is not None:
            self.kept.remove(expected)
            if self.now < expected[1]:
                self.kept.append(expected)
        found = asyncio.run(self.store.get(key))
        assert found == (expected[2] if expected and self.now < expected[1] else None)

    @rule(seconds=st.floats(0, SECONDS))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def never_more_than_the_limit(self) -> None:
        assert self.store.size == sum(OVERHEAD + len(one[2].body) for one in self.kept) <= LIMIT
        assert len(self.store) == len(self.kept)


TestLru = Lru.TestCase
TestLru.settings = examples(max_examples=40, stateful_step_count=30)


async def test_the_bound_holds_for_the_bytes_that_python_takes() -> None:
    limit = 4 * 2**20
    for size in (0, 1_000, 100_000):
        store = MemoryStore(limit, 60)
        tracemalloc.start()
        for number in range(20_000_000 // (size + 1_000)):
            body = number.to_bytes(8) * (size // 8)
            store.put(number.to_bytes(32), Entry(b"application/json"[:], False, body, TokenUsage(number, number)))
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert limit / 2 < taken < limit
