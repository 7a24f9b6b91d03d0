"""The step that answers a request without its model, where the same was asked before or is being asked."""

import asyncio
from collections import Counter
from collections.abc import Callable

from gateway.cache.entry import Entry
from gateway.cache.key import cache_key
from gateway.cache.model_identity import model_identities
from gateway.cache.recording import Recording
from gateway.cache.single_flight import Flight, SingleFlight, Turn
from gateway.cache.store import open_store
from gateway.cache.wish import HEADER, is_deterministic, read_sampling, read_wish
from gateway.exchange import Exchange
from gateway.forward import send_whole
from gateway.metrics import Gauge
from gateway.sse import EventCopy
from gateway.upstream import Header
from sluice.settings import Settings

OUTCOMES = (b"hit", b"miss", b"shared", b"bypass")


class ResponseCache:
    """The cache of one gateway process. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = settings.cache
        self._store = open_store(settings)
        self._models: dict[str, str] = {}
        self._flights = SingleFlight[Entry]()
        self._outcomes = Counter[bytes]()

    async def start(self) -> None:
        """Find out which models answer; a model that is fetched later is not cached before the next start."""
        self._models = await asyncio.to_thread(model_identities, self._settings)

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    async def answer(self, exchange: Exchange, headers: list[Header], body: bytes) -> bool:
        """Answer the request, or have its answer recorded on its way; whether it is answered.

        Args:
            body: as its guardrail policy lets it through.

        Raises:
            InvalidRequest: the header `x-sluice-cache` is wrong.
        """
        wish = read_wish(headers)
        sampling = read_sampling(body)
        model = self._models.get(exchange.route)
        asked = wish or (self._cache.deterministic and sampling and is_deterministic(exchange.endpoint, sampling))
        if not asked or wish == b"bypass" or sampling is None or model is None:
            self._note(exchange, b"bypass")
            return False
        key = cache_key(exchange, model, body)
        flight: Flight[Entry] | None = None
        if wish != b"refresh":
            found = await self._store.get(key)
            if found is not None:
                self._replay(exchange, found, b"hit")
                return True
            flight = self._flights.find(key)
            shared = Turn.LEAD if flight is None else await flight.follow(self._cache.wait_seconds)
            if isinstance(shared, Entry):
                self._replay(exchange, shared, b"shared")
                return True
            if shared is Turn.ALONE:
                self._note(exchange, b"miss")
                return False
            flight = flight or self._flights.begin(key)
        limit = self._cache.entry_bytes
        exchange.recording = Recording(key, self._store, flight, sampling, exchange.verdicts, limit)
        self._note(exchange, b"miss")
        return False

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [
            *((f"sluice_cache_{outcome.decode()}", _ABOUT[outcome], self._counter(outcome)) for outcome in OUTCOMES),
            ("sluice_cache_failures", "Calls that the cache's store did not answer.", lambda: self._store.failures),
        ]

    def _counter(self, outcome: bytes) -> Callable[[], float]:
        return lambda: self._outcomes[outcome]

    def _note(self, exchange: Exchange, outcome: bytes) -> None:
        self._outcomes[outcome] += 1
        exchange.cache = outcome.decode()
        exchange.headers = {**exchange.headers, HEADER: outcome}

    def _replay(self, exchange: Exchange, entry: Entry, outcome: bytes) -> None:
        """Send a kept answer, a stream's events in one go. Its tokens were charged to the request that made it."""
        self._note(exchange, outcome)
        exchange.usage = entry.usage
        exchange.charged_elsewhere = True
        if entry.streamed:
            exchange.copy = EventCopy(hide_usage=False)
            exchange.copy.done = True
            exchange.headers = {**exchange.headers, b"cache-control": b"no-cache"}
        exchange.close(200)
        send_whole(exchange, 200, entry.content_type, entry.body)


_ABOUT = {
    b"hit": "Requests answered from the cache.",
    b"miss": "Requests that the cache had no answer for.",
    b"shared": "Requests that got the answer of an identical one at the same time.",
    b"bypass": "Requests that passed by the cache.",
}
