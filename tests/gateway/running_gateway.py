"""A gateway that serves on loopback, in a thread of the test process, before a scripted upstream."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import openai
from sqlmodel import Session, select

from gateway.app import create_app
from gateway.server import build_server, listen
from gateway.usage.record import UsageRow
from sluice.database import connect, migrate
from sluice.identity import create_key
from sluice.settings import Settings


class RunningGateway:
    """`with RunningGateway(home, upstream_url) as gateway: ...`; further settings go over the defaults:
    of the gateway by name, others as `sections`."""

    def __init__(
        self,
        home: Path,
        upstream_url: str,
        *,
        services: dict[str, Any] | None = None,
        routes: dict[str, Any] | None = None,
        sections: dict[str, Any] | None = None,
        **gateway: Any,
    ) -> None:
        self.settings = Settings.model_validate(
            {
                "platform": {"home": home},
                "gateway": {"port": 0, "usage": {"flush_seconds": 0.05}, "keys": {"refresh_seconds": 0.1}} | gateway,
                "routes": {"m": {"url": upstream_url}, "alias": {"url": upstream_url, "model": "m"}} | (routes or {}),
                "services": services or {},
            }
            | (sections or {})
        )
        migrate(self.settings.database_url)
        self.engine = connect(self.settings.database_url)
        self.key = create_key(self.engine, owner="tester")[1]
        self._http = httpx.Client(trust_env=False, verify=False, timeout=300)

    def __enter__(self) -> Self:
        self.application = create_app(self.settings)
        self.server = build_server(self.application, self.settings.gateway)
        listener = listen(self.settings.gateway, 0, shared=False)
        self.port: int = listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.run, args=([listener],))
        self._thread.start()
        self.wait(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.engine.dispose()

    def stop(self) -> None:
        """What SIGTERM does."""
        self.server.should_exit = True

    @property
    def client(self) -> openai.OpenAI:
        """The official client, without retries."""
        return openai.OpenAI(base_url=f"{self.origin}/v1", api_key=self.key, max_retries=0)

    def post(
        self,
        body: dict[str, Any] | bytes | Iterator[bytes],
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request by a plain client; an iterator is sent chunked."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"authorization": f"Bearer {self.key}"} | (headers or {})
        return self._http.post(self.origin + path, headers=headers, content=content)

    def connect(self) -> socket.socket:
        """A raw connection, for requests that no client would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def head(self, length: int, *, path: str = "/v1/chat/completions") -> bytes:
        """The head of a raw POST."""
        return (
            f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {self.key}\r\ncontent-length: {length}\r\n\r\n"
        ).encode()

    def usage(self, count: int) -> list[UsageRow]:
        """The usage records, once there are `count` of them; fails if there are more."""

        def rows() -> list[UsageRow]:
            with Session(self.engine) as session:
                return list(session.exec(select(UsageRow).order_by(UsageRow.request_id)))

        self.wait(lambda: len(rows()) >= count)
        found = rows()
        assert len(found) == count
        return found

    def wait_for_meters(self, *ids: str) -> None:
        """Until the gateway counts by these budgets and limits, which were set after their key was made."""

        def known() -> set[str]:
            meters = self.application.keyring.meters
            return {meter.id for of in (*meters.budgets.values(), *meters.limits.values()) for meter in of}

        self.wait(lambda: known() >= set(ids))

    def wait(self, condition: Any, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)
