"""The services process's application, served on loopback in a thread of the test process."""

import socket
import threading
import time
from typing import Any, Self

import httpx
import uvicorn

from sluice.database import connect, migrate
from sluice.identity import create_key
from sluice.services import create_services
from sluice.settings import Settings


class RunningServices:
    """`with RunningServices(settings) as services: services.post("/v1/tools/…", {...}, key)`."""

    def __init__(self, settings: Settings) -> None:
        migrate(settings.database_url)
        self.engine = connect(settings.database_url)
        self.ada, self.bob = (create_key(self.engine, owner=owner)[1] for owner in ("ada", "bob"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(create_services(settings), log_config=None))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],))
        self.http = httpx.Client(base_url=self.origin, trust_env=False, timeout=120)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < deadline
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.engine.dispose()

    def post(self, path: str, body: dict[str, Any], key: str = "") -> httpx.Response:
        """One request, with ada's key unless another is given."""
        headers = {"authorization": f"Bearer {key or self.ada}", "x-request-id": "req-outer"}
        return self.http.post(path, json=body, headers=headers)

    def get(self, path: str) -> httpx.Response:
        """One request with ada's key."""
        return self.http.get(path, headers={"authorization": f"Bearer {self.ada}"})

    def ask(self, question: str, thread: str | None = None, key: str = "", **more: Any) -> httpx.Response:
        """One question to the analyst."""
        metadata = {"metadata": {"thread_id": thread}} if thread else {}
        messages = [{"role": "user", "content": question}]
        body = {"model": "agent/analyst", "messages": messages, **metadata, **more}
        return self.post("/v1/chat/completions", body, key)
