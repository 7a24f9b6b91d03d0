"""Small real processes for the supervisor to keep."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.processes.child import Patience
from sluice.processes.plan import ProcessSpec
from tests.ports import free_port

SERVE = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
def serve():
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""

QUICK = Patience(
    poll_seconds=0.02,
    check_seconds=0.05,
    answer_seconds=60,
    checks=2,
    failures=3,
    steady_seconds=60,
    backoff_seconds=0.02,
    longest_backoff_seconds=0.05,
)

SpecMaker = Callable[..., ProcessSpec]


@pytest.fixture
def make_spec(tmp_path: Path) -> SpecMaker:
    """A spec whose process runs `code` after the definition of `serve()`, which answers health checks."""

    def make(name: str, code: str, group: int = 0, **changes: float) -> ProcessSpec:
        script = tmp_path / f"{name.replace('/', '-')}.py"
        script.write_text(SERVE + code)
        port = free_port()
        limits = {"start_seconds": 600.0, "stop_seconds": 60.0, "expected_seconds": 1.0, **changes}
        return ProcessSpec(
            name=name,
            command=(sys.executable, str(script), str(port)),
            health_url=f"http://127.0.0.1:{port}/health",
            group=group,
            **limits,
        )

    return make
