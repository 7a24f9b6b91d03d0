"""The endpoints that carry model traffic, as one plain ASGI application: a request's way, top to bottom.

Each step is a module of its own. A request may wait for the database, where its key or its prompt is not in memory; the
client's body; the thread that checks guardrails; where its key has budgets, the database, which knows what was spent,
and the engine's `/tokenize`; the upstream; the client's socket.
"""

import asyncio
import logging
import time
from functools import cached_property

from starlette.types import Receive, Scope, Send

from gateway.endpoints import ENDPOINTS
from gateway.envelope import body_for_upstream, read_envelope
from gateway.exchange import Exchange
from gateway.forward import EVENT_STREAM, forward_plain, forward_stream, send_error
from gateway.guard import Guardrails
from gateway.metering.step import MeteringStep
from gateway.metrics import Metrics
from gateway.prompt_cache import PromptCache
from gateway.prompt_step import put_prompt_in
from gateway.protocol import DIRECT
from gateway.request import ClientGone, read_body, read_head
from gateway.routing import Routes
from gateway.services import ServicePath, ServiceTraffic, key_for_service
from gateway.upstream_errors import error_of
from gateway.usage import UsageWriter
from sluice.errors import MethodNotAllowed, SluiceError, Stopping
from sluice.identity import Keyring
from sluice.settings import LimitSettings

log = logging.getLogger(__name__)

SWEEP_SECONDS = 0.02
"""How long a client's departure may go unnoticed; a shorter answer needs no watch on its client at all."""


class ModelTraffic:
    """Authenticates, routes, leases, forwards and records.

    Attributes:
        open: the exchanges being answered.
        stopping: takes no new request.
    """

    def __init__(
        self,
        keyring: Keyring,
        prompts: PromptCache,
        routes: Routes,
        services: ServiceTraffic,
        guardrails: Guardrails,
        metering: MeteringStep,
        usage_writer: UsageWriter,
        metrics: Metrics,
        limits: LimitSettings,
    ) -> None:
        self._keyring = keyring
        self._prompts = prompts
        self._routes = routes
        self._services = services
        self._guardrails = guardrails
        self._metering = metering
        self._usage_writer = usage_writer
        self._metrics = metrics
        self._limits = limits
        self._sweep: asyncio.TimerHandle | None = None
        self.open: set[Exchange] = set()
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send, service: ServicePath | None = None) -> None:
        """Answer one request; every error becomes OpenAI's error object here."""
        # Taken out: it leads back to the scope, and a cycle of objects for each request is work for the collector.
        direct = scope.pop("extensions", {}).get(DIRECT)
        endpoint = ENDPOINTS[scope["path"]] if service is None else service.endpoint
        exchange = Exchange(endpoint, self._loop, direct, self._limits.body_seconds, self._usage_writer, self._metrics)
        self.open.add(exchange)
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._sweep_open)
        try:
            if self.stopping:
                raise Stopping
            if service is None:
                await self._answer(exchange, scope, receive, send)
            else:
                await self._services.answer(exchange, service, scope, receive, send)
        except SluiceError as error:
            await send_error(exchange, error, send)
        except asyncio.CancelledError:
            if exchange.ending is None:
                exchange.close(499, "cancelled")
                raise
            await self._end(exchange, exchange.ending, send)
        except Exception:
            log.exception("unexpected error in %s", exchange.request_id)
            await send_error(exchange, SluiceError("The gateway failed unexpectedly.", code="internal_error"), send)
        finally:
            self.open.discard(exchange)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = exchange.endpoint
        if scope["method"] != "POST":
            raise MethodNotAllowed(f"{endpoint.path} takes POST, not {scope['method']}.")
        token, length, headers, exchange.parent_id = read_head(scope)
        known = token and self._keyring.find(token)
        exchange.identity = identity = known or await self._keyring.authenticate(token)
        body = await read_body(receive, length, self._limits.body_bytes)
        exchange.receive = receive
        envelope = read_envelope(body, prompts=endpoint.prompts)
        if envelope.prompt and endpoint.prompts:
            body = await put_prompt_in(self._prompts, exchange, body, envelope)
            envelope = read_envelope(body)
        route = self._routes.find(envelope.model, identity, endpoint)
        exchange.route = route.name
        if policy := identity.policy or self._guardrails.default:
            body = await self._guardrails.check_request(exchange, policy, body)
            envelope = read_envelope(body)
        body = body_for_upstream(body, envelope, endpoint, route.upstream_model)
        if not route.is_service:
            body = await self._metering.lease(exchange, identity, route, envelope, body)
        headers.append((b"x-request-id", exchange.request_id.encode()))
        if route.is_service:
            exchange.charged_elsewhere = True
            headers += key_for_service(token)
        response = await route.upstream.request("POST", endpoint.upstream_path, body, headers)
        exchange.first_byte = time.perf_counter()
        try:
            if response.status >= 300:
                raise error_of(response.status, await response.read(), response.headers)
            content_type = response.content_type
            if content_type.startswith(EVENT_STREAM):
                await forward_stream(exchange, response, content_type, send, hide_usage=not envelope.asks_usage)
            else:
                await forward_plain(exchange, response, content_type, send)
        finally:
            response.close()

    async def _end(self, exchange: Exchange, reason: SluiceError, send: Send) -> None:
        """Tell the client why its exchange was ended, if it is still there."""
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        if isinstance(reason, ClientGone):
            exchange.close(reason.status, reason.code)
        else:
            await send_error(exchange, reason, send)

    def _sweep_open(self) -> None:
        """One timer for all open exchanges, running only while there are any: a timer each would cost every request."""
        now = time.perf_counter()
        for exchange in self.open:
            exchange.sweep(now)
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._sweep_open) if self.open else None

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Looked up once: each look-up asks the kernel for the process's id."""
        return asyncio.get_running_loop()

    def stop(self, drain_seconds: float) -> None:
        """Take no new request, and end what is still open after `drain_seconds`."""
        self.stopping = True
        self._loop.call_later(drain_seconds, self._end_open)

    def _end_open(self) -> None:
        for exchange in self.open:
            exchange.end(Stopping())
