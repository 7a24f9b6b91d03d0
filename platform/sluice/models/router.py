"""vllm-router's command line: it stands before several replicas of one model and chooses among them.

Its traps, as measured with 0.1.17: it opens its port once one replica is healthy, looks for that only every 30 s
unless told otherwise, always takes a second port for its metrics, and answers 503 on `/health` while any replica is
down although it goes on serving. `/liveness` says whether the router itself is well. It tries a refused connection
again on the same replica until its circuit breaker opens; that takes 10 failures unless told otherwise, more than it
tries for one request, so that clients see a replica's end. A 500 counts as well: with 2 failures, one request that the
engine fails on takes out two replicas. `--max-concurrent-requests` counts requests begun in a
second, not those open, and its queue forgets its time-out: the gateway's limits stand in its place.

What the replicas' caches hold it can hear from them (`kv_aware`) only where each one's address for that is given: to
find it out by itself it asks `/get_server_info`, which vLLM 0.32 does not have. Both ends would connect and neither
listen if vLLM were given a plain address of loopback; one with a star or a double colon it binds.
"""

from collections.abc import Iterator
from pathlib import Path

from sluice.router_settings import KubernetesSettings, RouterSettings
from sluice.settings import ModelSettings

HEALTH = "/liveness"


def router_command(name: str, model: ModelSettings, python: Path) -> tuple[str, ...]:
    """The command line of the router before model `name`."""
    router = model.router
    breaker, retries = router.circuit_breaker, router.retries
    return (
        *(str(python.with_name("vllm-router")), "--host", "127.0.0.1", "--port", str(model.port)),
        *_replicas(model),
        *_policy(name, model),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(model.router_metrics_port)),
        *("--worker-startup-timeout-secs", str(int(model.start_seconds)), "--worker-startup-check-interval", "1"),
        *("--health-check-interval-secs", str(router.health_check_seconds)),
        *("--request-timeout-secs", str(router.request_timeout_seconds)),
        *("--retry-max-retries", str(retries.attempts), "--retry-jitter-factor", str(retries.jitter)),
        *("--retry-initial-backoff-ms", _milliseconds(retries.first_wait_seconds)),
        *("--retry-max-backoff-ms", _milliseconds(retries.longest_wait_seconds)),
        *("--retry-backoff-multiplier", str(retries.growth)),
        *("--cb-failure-threshold", str(router.breaker_failures), "--cb-success-threshold", str(breaker.successes)),
        *("--cb-timeout-duration-secs", str(breaker.open_seconds)),
        *("--log-level", "warning"),
        *router.arguments,
    )


def replica_urls(model: ModelSettings) -> tuple[str, ...]:
    """Addresses of the replicas, as the router names them too; of pods nobody knows them before."""
    split = model.router.disaggregation
    if split is not None:
        return (*split.prefill, *split.decode)
    return model.router.urls or tuple(f"http://127.0.0.1:{port}" for port in model.engine_ports)


def kv_events_endpoint(port: int) -> str:
    """Where a replica publishes what its cache holds: an address that vLLM binds, on loopback alone."""
    return f"tcp://[::ffff:127.0.0.1]:{port}"


def _replicas(model: ModelSettings) -> Iterator[str]:
    router = model.router
    if router.kubernetes is not None:
        yield from _pods(router, router.kubernetes)
    elif router.disaggregation is not None:
        split = router.disaggregation
        yield from ("--vllm-pd-disaggregation", "--kv-connector", split.kv_connector)
        for url in split.prefill:
            yield from ("--prefill", url)
            if split.bootstrap_port is not None:
                yield str(split.bootstrap_port)
        for url in split.decode:
            yield from ("--decode", url)
    else:
        yield from ("--worker-urls", *replica_urls(model))


def _pods(router: RouterSettings, kubernetes: KubernetesSettings) -> Iterator[str]:
    yield from ("--service-discovery", "--service-discovery-port", str(kubernetes.port))
    if kubernetes.namespace is not None:
        yield from ("--service-discovery-namespace", kubernetes.namespace)
    split = router.disaggregation
    if split is None:
        yield from ("--selector", *_labels(kubernetes.selector))
    else:
        yield from ("--vllm-pd-disaggregation", "--kv-connector", split.kv_connector)
        yield from ("--prefill-selector", *_labels(split.prefill_selector))
        yield from ("--decode-selector", *_labels(split.decode_selector))


def _policy(name: str, model: ModelSettings) -> Iterator[str]:
    router = model.router
    yield from ("--policy", router.policy)
    split = router.disaggregation
    if split is not None and split.prefill_policy is not None:
        yield from ("--prefill-policy", split.prefill_policy)
    if split is not None and split.decode_policy is not None:
        yield from ("--decode-policy", split.decode_policy)
    yield from ("--cache-threshold", str(router.cache_threshold))
    yield from ("--balance-abs-threshold", str(router.balance_abs_threshold))
    yield from ("--balance-rel-threshold", str(router.balance_rel_threshold))
    if router.policy == "kv_aware":
        yield from ("--kv-event-model", name, "--kv-event-block-size", str(router.kv_block_size))
        local = {
            url: f"tcp://127.0.0.1:{port}" for url, port in zip(replica_urls(model), model.kv_event_ports, strict=False)
        }
        for url, endpoint in (router.kv_events or local).items():
            yield from ("--kv-event-source", f"{url}={endpoint}")


def _labels(selector: dict[str, str] | None) -> list[str]:
    return [f"{label}={value}" for label, value in (selector or {}).items()]


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
