"""A gateway over HTTP with an embedder of words and a model that says what the test wants."""

import json
import math
import re
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

DIMENSIONS = 64


def vector_of(text: str) -> list[float]:
    """Texts with the same words are near one another."""
    vector = [1e-3] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % DIMENSIONS] += 1
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


@dataclass
class GatewayDouble:
    """Remembers what it was sent: `requests` holds path, headers and body of each."""

    replies: deque[str] = field(default_factory=deque[str])
    finish_reason: str = "stop"
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, str], dict[str, Any]]]
    )

    def __enter__(self) -> Self:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                double.requests.append((self.path, dict(self.headers.items()), body))
                answer = json.dumps(double.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.send_header("x-request-id", f"req-{len(double.requests)}")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What it answers on OpenAI's API."""
        if path == "/v1/embeddings":
            return {"data": [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(body["input"])]}
        message = {"role": "assistant", "content": self.replies.popleft()}
        return {"choices": [{"message": message, "finish_reason": self.finish_reason}]}

    def sent(self, path: str) -> list[dict[str, Any]]:
        """The bodies sent to one path."""
        return [body for to, _, body in self.requests if to == path]
