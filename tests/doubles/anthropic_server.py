"""A server that speaks Anthropic's Messages API (`POST /v1/messages`), plain and streamed, in a thread."""

import http.server
import json
import threading
from typing import Any, Self

PIECES = ("Hello", " from", " Claude.")
ERRORS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
USAGE = {"input_tokens": 11, "output_tokens": 3}


class AnthropicServer:
    """`with AnthropicServer() as server: ...`; `refuse_with` answers the next requests with that status and `message`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.refuse_with = 0
        self.message = "Refused"
        self.break_off = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append({"path": self.path, **body})
                outer.keys.append(self.headers.get("x-api-key", ""))
                if outer.refuse_with:
                    error = {"type": "error", "error": {"type": ERRORS[outer.refuse_with], "message": outer.message}}
                    self._send(outer.refuse_with, "application/json", json.dumps(error).encode())
                elif body.get("stream"):
                    self._send(200, "text/event-stream", outer.stream(body["model"]))
                else:
                    self._send(200, "application/json", json.dumps(outer.answer(body["model"])).encode())

            def _send(self, status: int, content_type: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                if not outer.break_off:
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, model: str) -> dict[str, Any]:
        content = [{"type": "text", "text": "".join(PIECES)}]
        about = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
        return {**about, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}

    def stream(self, model: str) -> bytes:
        start = {**self.answer(model), "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 0}}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
                for piece in PIECES
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ]
        if self.break_off:
            events = events[:3]
        return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
