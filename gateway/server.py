"""uvicorn, stopping the way a gateway must: nothing new, open answers within a bounded time, nothing unrecorded."""

import functools
import socket
import time

from uvicorn import Config, Server

from gateway.app import GatewayApplication
from gateway.protocol import ClientConnection
from sluice.errors import ConfigurationError
from sluice.settings import GatewaySettings, Settings, worker_ports

ERROR_EVENT_SECONDS = 3
"""After the drain, for the error events to be sent, before what does not move is cut."""


class DrainingServer(Server):
    """Serves one `GatewayApplication`."""

    def __init__(self, config: Config, application: GatewayApplication, drain_seconds: float) -> None:
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; once a second, connections that missed their deadline are closed, and answers that take
        too long are ended."""
        if counter % 10 == 0:
            now = time.perf_counter()
            for connection in list(self.server_state.connections):
                if isinstance(connection, ClientConnection):
                    connection.close_if_late(now)
            for exchange in self._application.traffic.open:
                exchange.end_if_late(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain first; uvicorn then waits until the last connection has closed."""
        self._application.traffic.stop(self._drain_seconds)
        await super().shutdown(sockets)


def serve(application: GatewayApplication, settings: Settings, worker: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Several workers are several processes that share the port by SO_REUSEPORT; each also listens on a port of its own,
    where its health and metrics can be asked for.

    Raises:
        ConfigurationError: a port is taken.
    """
    gateway = settings.gateway
    sockets = [listen(gateway, gateway.port, shared=gateway.workers > 1)]
    if gateway.workers > 1:
        sockets.append(listen(gateway, worker_ports(gateway)[worker], shared=False))
    build_server(application, gateway).run(sockets)


def build_server(application: GatewayApplication, gateway: GatewaySettings) -> DrainingServer:
    """uvicorn with the gateway's limits; `run` takes the sockets to listen on."""
    config = Config(
        application,
        loop="uvloop",
        http=functools.partial(ClientConnection, application.answer, gateway.limits, application.metrics.loop_wait),  # pyright: ignore[reportArgumentType]
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=int(gateway.drain_seconds) + ERROR_EVENT_SECONDS,
    )
    return DrainingServer(config, application, gateway.drain_seconds)


def listen(gateway: GatewaySettings, port: int, *, shared: bool) -> socket.socket:
    """A listening socket.

    Args:
        shared: other processes may listen on the same port (SO_REUSEPORT).

    Raises:
        ConfigurationError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in gateway.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((gateway.host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The gateway cannot listen on {gateway.host}:{port}: {error.strerror}.",
            fix="Set gateway.host and gateway.port to an address of this machine that is free.",
        ) from None
    listener.set_inheritable(True)
    return listener
