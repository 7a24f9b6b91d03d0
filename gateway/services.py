"""What the gateway forwards to the platform's own services: by path, or as a model's name on the chat endpoint."""

from dataclasses import dataclass

from gateway.endpoints import Endpoint
from gateway.exchange import Exchange
from gateway.request import Request, read_head
from gateway.telemetry.telemetry import Telemetry
from gateway.upstream import Header, Upstream, UpstreamResponse, open_upstream
from gateway.upstream.header import render
from gateway.upstream.on_demand import OnDemandUpstream
from sluice.identity import Keyring
from sluice.settings import Settings

REQUEST_HEADERS = frozenset({b"accept", b"mcp-session-id", b"mcp-protocol-version", b"last-event-id"})
RESPONSE_HEADERS = frozenset({b"content-type", b"cache-control", b"mcp-session-id", b"retry-after", b"allow"})


@dataclass(frozen=True, slots=True)
class ServicePath:
    """A path that a service answers, with all below it."""

    endpoint: Endpoint
    upstream: Upstream

    def answers(self, path: str) -> bool:
        """Whether a request's path is this one or below it."""
        return path.startswith(self.endpoint.path) and path[len(self.endpoint.path) :][:1] in ("", "/")


class ServiceTraffic:
    """Authenticates and forwards. The services get the caller's key, to call models on the caller's behalf."""

    def __init__(self, settings: Settings, keyring: Keyring, telemetry: Telemetry) -> None:
        self._keyring = keyring
        self._telemetry = telemetry
        self._upstreams = open_services(settings)
        self._paths = [
            ServicePath(Endpoint(path, path.removeprefix("/v1/").strip("/"), "", "service", streams=True), upstream)
            for name, upstream in self._upstreams.items()
            for path in settings.services[name].paths
        ]

    def find(self, path: str) -> ServicePath | None:
        """The service path that answers a request's path."""
        return next((service for service in self._paths if service.answers(path)), None)

    async def answer(self, exchange: Exchange, service: ServicePath, request: Request) -> None:
        """Forward one request and its answer, as it comes."""
        token, headers, exchange.parent_id = read_head(request.headers)
        self._telemetry.begin(exchange, headers)
        exchange.identity = await self._keyring.authenticate(token)
        exchange.route = service.endpoint.name
        body = await request.body()
        headers += [header for header in request.headers if header[0] in REQUEST_HEADERS]
        headers += [*key_for_service(token), (b"x-request-id", exchange.request_id.encode())]
        target = request.path + (f"?{request.query.decode('latin-1')}" if request.query else "")
        response = await service.upstream.request(request.method.decode("ascii"), target, body, headers)
        try:
            await _forward(exchange, response)
        finally:
            response.close()

    async def close(self) -> None:
        """Close the connections."""
        for upstream in self._upstreams.values():
            await upstream.close()


def open_services(settings: Settings, base_path: str = "") -> dict[str, Upstream]:
    """A client for each service, by name; it starts the service when it does not run."""
    home = settings.home
    return {
        name: OnDemandUpstream(
            open_upstream(f"http://127.0.0.1:{service.port}{base_path}", settings.gateway.upstream), home, name
        )
        for name, service in settings.services.items()
    }


def key_for_service(token: bytes | None) -> list[Header]:
    """The caller's key, which only the platform's own services get."""
    return [] if token is None else [(b"authorization", b"Bearer " + token)]


async def _forward(exchange: Exchange, response: UpstreamResponse) -> None:
    request = exchange.request
    headers = [header for header in response.headers if header[0] in RESPONSE_HEADERS]
    headers.append((b"x-request-id", exchange.request_id.encode()))
    request.start(response.status, render(headers))
    exchange.response_started = True
    while piece := await response.chunk():
        await request.write(piece)
    exchange.close(response.status, None if response.status < 400 else "service_error")
    request.end()
