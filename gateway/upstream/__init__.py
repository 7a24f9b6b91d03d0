"""HTTP to what stands behind the gateway: models, routers, other providers.

Two implementations, one test suite: our own HTTP/1.1 client for plain `http://`, because it is the hottest path of the
product, and httpx where TLS or a proxy is needed.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from gateway.upstream.header import Header
from gateway.upstream.pool import Pool
from sluice.errors import ConfigurationError
from sluice.settings import UpstreamSettings

__all__ = ["Header", "Upstream", "UpstreamResponse", "open_upstream"]


class UpstreamResponse(Protocol):
    """An answer whose head is there and whose body may still be coming. Whoever holds one must call `close`.

    Attributes:
        idle_seconds: how long to wait for the next piece of the body, from now on.
    """

    idle_seconds: float

    @property
    def status(self) -> int:
        """The status code; never a 1xx."""
        ...

    @property
    def headers(self) -> list[Header]:
        """Names in lower case, in the order they came; hop-by-hop headers included."""
        ...

    @property
    def content_type(self) -> bytes:
        """Empty where the upstream did not say."""
        ...

    async def read(self) -> bytes:
        """The rest of the body.

        Raises:
            UpstreamFailed: the connection broke, or the body is longer than `response_bytes`.
            UpstreamTimeout: nothing came for `idle_seconds`.
        """
        ...

    async def chunk(self) -> bytes:
        """The next piece of the body as it came, or several that came meanwhile; b"" at the clean end.

        Raises:
            UpstreamFailed: the connection broke; what came before that was handed out first.
            UpstreamTimeout: nothing came for `idle_seconds`.
        """
        ...

    def close(self) -> None:
        """Give the connection back if the body has come whole, else abort it at once."""
        ...


class Upstream(Protocol):
    """A server behind the gateway, with its connections. Belongs to the event loop that first uses it."""

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[Header] = ()
    ) -> UpstreamResponse:
        """Send a request and return as soon as the head of its answer is there.

        Cancelling the task that waits here, or in a method of the response, aborts the connection at once.

        Args:
            method: in capitals.
            path: below the upstream's base URL, with the query if any.
            body: sent as `application/json`.
            headers: further ones, without what is sent anyway: host, authorization, accept-encoding, content-length and
                content-type.

        Raises:
            UpstreamFailed: it cannot be reached, or broke off, or does not speak HTTP.
            UpstreamTimeout: no connection within `connect_seconds`, or no answer within `first_byte_seconds`.
            Overloaded: all `connections` are in use.
        """
        ...

    async def close(self) -> None:
        """Close idle connections and abort those in use."""
        ...


def open_upstream(url: str, settings: UpstreamSettings, *, api_key: str | None = None) -> Upstream:
    """A client for the server at `url`; nothing is connected yet.

    The environment's proxies (`HTTPS_PROXY` and so on, `NO_PROXY`) are honoured, except for loopback addresses.

    Raises:
        ConfigurationError: the URL or the key cannot be sent as HTTP headers.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigurationError(f"The URL of {parts.hostname} holds a user or password.", fix="Use api_key_env.")
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError(f"The API key for {parts.hostname} holds characters that no header can carry.")
    proxy = _proxy_for(parts)
    if parts.scheme == "http" and proxy is None:
        return Pool(parts, settings, api_key)
    from gateway.upstream.library import LibraryUpstream  # imported where needed: httpx takes long to load

    return LibraryUpstream(url, settings, api_key, proxy)


def _proxy_for(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
