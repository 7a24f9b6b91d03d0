"""vllm-router's command line: it stands before several replicas of one model and chooses among them.

Its traps, as measured with 0.1.17: it opens its port once one replica is healthy, looks for that only every 30 s
unless told otherwise, always takes a second port for its metrics, and answers 503 on `/health` while any replica is
down although it goes on serving. `/liveness` says whether the router itself is well. It tries a refused connection
again on the same replica until its circuit breaker opens; that takes 10 failures unless told otherwise, more than it
tries for one request, so that clients see a replica's end.
"""

from pathlib import Path

from sluice.settings import ModelSettings, ports_of

HEALTH = "/liveness"


def router_command(model: ModelSettings, python: Path) -> tuple[str, ...]:
    """The router's command line; its ports and the replicas' are `ports_of(model)`."""
    port, *replicas, metrics = ports_of(model)
    return (
        *(str(python.with_name("vllm-router")), "--host", "127.0.0.1", "--port", str(port)),
        *("--worker-urls", *(f"http://127.0.0.1:{replica}" for replica in replicas)),
        *("--policy", "cache_aware"),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(metrics)),
        *("--worker-startup-timeout-secs", str(int(model.start_seconds)), "--worker-startup-check-interval", "1"),
        *("--health-check-interval-secs", "5"),
        *("--cb-failure-threshold", "2", "--cb-timeout-duration-secs", "5"),
        *("--log-level", "warning"),
    )
