"""A service of the platform that is started when it is first asked for; implements `Upstream`."""

import asyncio
from collections.abc import Sequence

from gateway.upstream import Header, Upstream, UpstreamResponse
from sluice.errors import MissingRequirement, UpstreamUnreachable
from sluice.home import Home
from sluice.processes.on_demand import await_started


class OnDemandUpstream:
    """The client of one service. Requests that come while it starts wait for it together."""

    def __init__(self, upstream: Upstream, home: Home, service: str) -> None:
        self._upstream = upstream
        self._home = home
        self._service = service
        self._starting: asyncio.Task[None] | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[Header] = ()
    ) -> UpstreamResponse:
        try:
            return await self._upstream.request(method, path, body, headers)
        except UpstreamUnreachable as unreachable:
            await self._start(unreachable)
        return await self._upstream.request(method, path, body, headers)

    async def _start(self, unreachable: UpstreamUnreachable) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(await_started, self._home, self._service))
            self._starting.add_done_callback(self._started)
        try:
            await asyncio.shield(self._starting)
        except MissingRequirement:  # nobody here starts it: it runs elsewhere, and is down
            raise unreachable from None

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # told to those who wait; read here for when nobody does any more

    async def close(self) -> None:
        await self._upstream.close()
