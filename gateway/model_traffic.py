"""The endpoints that carry model traffic: a request's way, top to bottom.

Each step is a module of its own. A request may wait for the database, where its key or its prompt is not in memory; the
client's body; the thread that checks guardrails; the cache, or an identical request under way; where budgets or limits
apply, Redis if workers share it, the database, which knows what was spent, and the engine's `/tokenize`; the upstream; the
client's socket.
"""

import asyncio
import logging
import time

from gateway.cache.step import ResponseCache
from gateway.endpoints import Endpoint
from gateway.envelope import body_for_upstream, read_envelope
from gateway.exchange import Exchange
from gateway.forward import forward_plain, forward_stream, send_error
from gateway.guard import Guardrails
from gateway.metering.step import MeteringStep
from gateway.metrics import Metrics
from gateway.prompt_cache import PromptCache
from gateway.prompt_step import put_prompt_in
from gateway.request import ClientGone, Request, read_head
from gateway.routing import Routes
from gateway.services import ServicePath, ServiceTraffic, key_for_service
from gateway.sse import EVENT_STREAM
from gateway.telemetry.telemetry import Telemetry
from gateway.usage import UsageWriter
from sluice.errors import MethodNotAllowed, SluiceError, Stopping, UpstreamFailed, UpstreamTimeout
from sluice.identity import Keyring

log = logging.getLogger(__name__)


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
        cache: ResponseCache | None,
        metering: MeteringStep,
        usage_writer: UsageWriter,
        metrics: Metrics,
        telemetry: Telemetry,
    ) -> None:
        self._keyring = keyring
        self._prompts = prompts
        self._routes = routes
        self._services = services
        self._guardrails = guardrails
        self._cache = cache
        self._metering = metering
        self._usage_writer = usage_writer
        self._metrics = metrics
        self._telemetry = telemetry
        self.open: set[Exchange] = set()
        self.stopping = False

    async def __call__(self, request: Request, endpoint: Endpoint, service: ServicePath | None = None) -> None:
        """Answer one request; every error becomes OpenAI's error object here."""
        exchange = Exchange(request, endpoint, self._usage_writer, self._metrics, self._telemetry)
        self.open.add(exchange)
        try:
            if self.stopping:
                raise Stopping
            if service is None:
                await self._answer(exchange, request)
            else:
                await self._services.answer(exchange, service, request)
        except SluiceError as error:
            send_error(exchange, error)
        except asyncio.CancelledError:
            if exchange.ending is None:
                exchange.close(499, "cancelled")
                raise
            _tell(exchange, exchange.ending)
        except Exception:
            log.exception("unexpected error in %s", exchange.request_id)
            send_error(exchange, SluiceError("The gateway failed unexpectedly.", code="internal_error"))
        finally:
            self.open.discard(exchange)

    async def _answer(self, exchange: Exchange, request: Request) -> None:
        endpoint = exchange.endpoint
        if request.method != b"POST":
            raise MethodNotAllowed(f"{endpoint.path} takes POST, not {request.method.decode()}.")
        token, headers, exchange.parent_id = read_head(request.headers)
        self._telemetry.begin(exchange, headers)
        known = token and self._keyring.find(token)
        exchange.identity = identity = known or await self._keyring.authenticate(token)
        body = await request.body()
        envelope = read_envelope(body, prompts=endpoint.prompts)
        if envelope.prompt and endpoint.prompts:
            body = await put_prompt_in(self._prompts, exchange, body, envelope)
            envelope = read_envelope(body)
        route = self._routes.find(envelope.model, identity, endpoint)
        exchange.route = route.name
        if policy := identity.policy or self._guardrails.default:
            checked = await self._guardrails.check_request(exchange, policy, body)
            if checked is not body:
                body, envelope = checked, read_envelope(checked)
        cache = None if route.is_service else self._cache
        if cache is not None and await cache.answer(exchange, request.headers, body):
            return
        body = body_for_upstream(body, envelope, endpoint, route.upstream_model)
        headers.append((b"x-request-id", exchange.request_id.encode()))
        if route.is_service:
            exchange.charged_elsewhere = True
            headers += key_for_service(token)
        else:
            body = await self._metering.lease(exchange, identity, route, envelope, body)
        response = await route.send(exchange, endpoint, body, headers)
        exchange.first_byte = time.perf_counter()
        target = exchange.target
        assert target is not None
        try:
            content_type = response.content_type
            if content_type.startswith(EVENT_STREAM):
                await forward_stream(exchange, response, content_type, hide_usage=not envelope.asks_usage)
            else:
                await forward_plain(exchange, response, content_type)
            target.completed()
        except (UpstreamFailed, UpstreamTimeout):
            target.broke_off()
            raise
        finally:
            response.close()

    def stop(self, drain_seconds: float) -> None:
        """Take no new request, and end what is still open after `drain_seconds`."""
        self.stopping = True
        asyncio.get_running_loop().call_later(drain_seconds, self._end_open)

    def _end_open(self) -> None:
        for exchange in self.open:
            exchange.end(Stopping())

    async def close(self) -> None:
        """Cut what has not ended yet, and wait until it is recorded."""
        tasks = [exchange.request.task for exchange in self.open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell(exchange: Exchange, reason: SluiceError) -> None:
    """Tell the client why its exchange was ended, if it is still there."""
    exchange.request.task.uncancel()
    if isinstance(reason, ClientGone):
        exchange.close(reason.status, reason.code)
    else:
        send_error(exchange, reason)
