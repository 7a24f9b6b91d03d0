"""The plain load: `wrk`, a closed loop of 16 connections that send the same small chat completion."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from gateways.launching import CHAT, Server
from process_tree import cpu_seconds

CONNECTIONS = 16
SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["content-type"] = "application/json"
{headers}
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\\nRESULT {{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "errors": %d}}\\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class PlainResult:
    """One round of plain requests."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """User and system time of the server for each request it served, in milliseconds."""
    errors: int
    """Answers other than 2xx and 3xx, timeouts, and broken connections."""
    problem: str = ""


def plain_load(wrk: str, folder: Path, server: Server, seconds: float) -> PlainResult:
    """Ask a server without pause for some (whole) seconds."""
    script = folder / "chat.lua"
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in server.headers.items()
    )
    script.write_text(SCRIPT.format(body=json.dumps(server.question), headers=headers))
    command = [wrk, "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{max(1, round(seconds))}s"]
    command += ["--timeout", "20s", "--script", str(script), f"http://127.0.0.1:{server.port}{CHAT}"]
    before = cpu_seconds(server.pid)
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    # wrk ends with one request open on each connection. The server still serves them: wait for it, and count them.
    time.sleep(0.5)
    spent = cpu_seconds(server.pid) - before
    result = json.loads(output.split("RESULT ")[1])
    return PlainResult(
        requests=result["requests"],
        requests_per_second=result["requests"] / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        cpu_ms=spent * 1000 / (result["requests"] + CONNECTIONS),
        errors=result["errors"],
    )
