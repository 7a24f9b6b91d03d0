"""The upstreams behind every gateway: a constant answer as fast as nginx can, and streams at an exact pace."""

import sys
from pathlib import Path

from gateways.launching import Launch, free_port

BENCHMARKS = Path(__file__).parents[1]
# A chat completion as vLLM 0.32 answers it.
ANSWER = (
    '{"id":"chatcmpl-91e07b6ddfad4d85","object":"chat.completion","created":1795544045,"model":"mock","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"The capital of France is Paris.","refusal":null,"annotations":null,'
    '"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"stop","stop_reason":null,'
    '"token_ids":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-ac94ed15","usage":{"prompt_tokens":37,'
    '"total_tokens":45,"completion_tokens":8,"prompt_tokens_details":null},"prompt_logprobs":null,"kv_transfer_params":null}'
)
NGINX = """
daemon off;
master_process off;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_timeout 3600;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location = /v1/chat/completions {{ return 200 '{answer}'; }}
        location = /health {{ return 200; }}
        location = /v1/traces {{ return 200; }}
        location = /v1/metrics {{ return 200; }}
        location / {{ return 404 '{{}}'; }}
    }}
}}
"""


def constant_mock(nginx: str, folder: Path) -> Launch:
    """nginx, one process, that answers every chat completion request with the same body."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(port=port, answer=ANSWER))
    return Launch(port, [nginx, "-p", str(folder), "-e", "stderr", "-c", str(configuration)], folder)


def streaming_mock(folder: Path) -> Launch:
    """A process that streams 100 chunks, one every 10 ms, to whoever asks for a stream (see `stream_mock`)."""
    port = free_port()
    return Launch(
        port, [sys.executable, "-m", "gateways.stream_mock", str(port)], folder, {"PYTHONPATH": str(BENCHMARKS)}
    )
