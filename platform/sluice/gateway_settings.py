"""`gateway:`, and what the gateway works with: `redis:`, `cache:` and `telemetry:`."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from sluice.section import Count, Port, Seconds, Section


class LimitSettings(Section):
    """`gateway.limits:`, what a client may send and how slowly."""

    body_bytes: Count = 32 * 1024 * 1024
    header_bytes: Count = 64 * 1024
    header_seconds: Seconds = 10
    body_seconds: Seconds = 60
    idle_seconds: Seconds = 75


class UpstreamSettings(Section):
    """`gateway.upstream:`, how long the gateway waits for those behind it."""

    connect_seconds: Seconds = 5
    first_byte_seconds: Seconds = 600
    idle_seconds: Seconds = 120
    total_seconds: Seconds = 3600
    connections: Count = 1024
    response_bytes: Count = 64 * 1024 * 1024


class KeySettings(Section):
    """`gateway.keys:`, how keys are cached."""

    refresh_seconds: Annotated[float, Field(gt=0, le=1)] = 0.5
    stale_seconds: Seconds = 60


class UsageSettings(Section):
    """`gateway.usage:`, how usage records reach the database."""

    flush_seconds: Seconds = 0.5
    segment_bytes: Count = 2 * 1024 * 1024


class GatewaySettings(Section):
    """`gateway:`, the front door."""

    host: str = "127.0.0.1"
    port: Port = 8400
    workers: Count = 1
    drain_seconds: Seconds = 20
    access_log: Literal["none", "errors", "all"] = "errors"
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    keys: KeySettings = KeySettings()
    usage: UsageSettings = UsageSettings()


def _redis_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path)):
        raise ValueError("expected a URL such as redis://127.0.0.1:6379/0")
    return url


RedisUrl = Annotated[str, AfterValidator(_redis_url)]


class RedisSettings(Section):
    """`redis:`, where several gateway workers share what is spent and held; without a `url`, the one worker's memory.

    Attributes:
        prefix: of all keys, in braces, so that a cluster keeps them on one node.
        lease_seconds: a call whose process died is charged in full after this long, until its journal tells the truth.
        rebuild_seconds: after Redis lost what it knew, for all workers to write their usage records first.
        when_lost: whether calls that a hard budget counts are refused or let through uncounted.
    """

    url: RedisUrl = ""
    prefix: str = "sluice"
    connect_seconds: Seconds = 2
    command_seconds: Seconds = 1
    lease_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60
    rebuild_seconds: Seconds = 2
    when_lost: Literal["closed", "open"] = "closed"

    @field_validator("prefix")
    @classmethod
    def _is_one_slot(cls, prefix: str) -> str:
        if not prefix or not prefix.isascii() or set("{} \r\n") & set(prefix):
            raise ValueError("expected some letters without braces and spaces: braces go around it by themselves")
        return prefix


class CacheSettings(Section):
    """`cache:`, answers kept for requests that come again.

    Attributes:
        deterministic: keep answers to requests that ask for the likeliest answer, and embeddings, without being asked.
        seconds: how long an answer is good for.
        megabytes: of the in-process store, for each gateway worker.
        entry_bytes: of the largest answer that is kept.
        wait_seconds: how long a request waits for an identical one under way before it goes on by itself.
    """

    enabled: bool = False
    store: Literal["memory", "redis"] = "memory"
    deterministic: bool = True
    seconds: Seconds = 3600
    megabytes: Count = 64
    entry_bytes: Count = 1024 * 1024
    wait_seconds: Seconds = 60


def _collector_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("expected the base URL of a collector, such as http://127.0.0.1:4318, or nothing")
    if parts.username or parts.password:
        raise ValueError("holds a user or password, expected those in the variable that headers_env names")
    if parts.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics")):
        raise ValueError("expected the collector's base URL, without /v1/traces and /v1/metrics")
    return url.rstrip("/")


class TelemetrySettings(Section):
    """`telemetry:`, where traces and metrics are sent by OTLP over HTTP, and what is held of kept bodies.

    Attributes:
        otlp_endpoint: the collector's base URL; empty: nothing is sent anywhere.
        headers_env: the variable that holds further headers, as `name=value,name=value`.
        sample: the share of new traces that are kept; a client that began the trace has decided it.
        new_traces_per_second: the most of these, so that a busy gateway does not spend itself on them.
        held_body_bytes: of bodies that guardrail policies keep, in memory until they are in the database.
    """

    otlp_endpoint: Annotated[str, AfterValidator(_collector_url)] = ""
    headers_env: str | None = None
    service_name: Annotated[str, Field(min_length=1)] = "sluice-gateway"
    sample: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1
    new_traces_per_second: Count = 20
    metrics_seconds: Seconds = 15
    held_body_bytes: Count = 64 * 1024 * 1024


def worker_ports(gateway: GatewaySettings) -> range:
    """The ports on which each of several gateway workers answers alone; none for a single worker."""
    return range(gateway.port + 1, gateway.port + 1 + (gateway.workers if gateway.workers > 1 else 0))
