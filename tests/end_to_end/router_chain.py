"""A gateway before the real vllm-router before two scripted replicas."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from sluice.models.router import HEALTH, router_command
from sluice.router_settings import RouterSettings
from sluice.settings import ModelSettings, Source
from tests.doubles.scripted_upstream import Behaviour, RecordedRequest, ScriptedUpstream
from tests.end_to_end.running_platform import engine_python, wait_until
from tests.gateway.running_gateway import RunningGateway
from tests.ports import free_ports

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Router:
    """A running router and its replicas."""

    model: ModelSettings
    replicas: tuple[ScriptedUpstream, ScriptedUpstream]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.model.port}/v1"

    def metrics(self) -> str:
        """What it tells Prometheus."""
        return httpx.get(f"http://127.0.0.1:{self.model.router_metrics_port}/metrics", trust_env=False).text

    def next(self, **behaviour: Any) -> None:
        """How either replica answers its next chat request."""
        for replica in self.replicas:
            replica.next(Behaviour(path=CHAT, **behaviour))

    def drop_connections(self) -> None:
        """As if both replicas had died."""
        for replica in self.replicas:
            replica.drop_connections()

    def chats(self) -> list[list[RecordedRequest]]:
        """The chat requests that reached each replica; the router sends others of its own."""
        return [[request for request in replica.requests if request.path == CHAT] for replica in self.replicas]

    def answered_by(self, content: str) -> list[int]:
        """The numbers of the replicas that got chat requests with this text."""
        return [number for number, chats in enumerate(self.chats()) for chat in chats if content.encode() in chat.body]

    def only_chat(self) -> RecordedRequest:
        """The one chat request that reached any replica."""
        first, second = self.chats()
        [request] = first + second
        return request


@dataclass(frozen=True)
class Chain:
    """The whole way of a request."""

    gateway: RunningGateway
    router: Router
    client: openai.OpenAI

    def ask(self, content: str, **options: Any) -> Any:
        """One chat request, by the official client."""
        return self.client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": content}], **options
        )


@contextmanager
def running_router(folder: Path, **settings: Any) -> Iterator[Router]:
    """The router as the supervisor starts it, with these settings of `models.<name>.router`, once it is live."""
    router = RouterSettings.model_validate(settings)
    model = ModelSettings(source=Source(path=folder), port=free_ports(6), replicas=2, router=router)
    command = router_command("m", model, engine_python())
    if not Path(command[0]).exists():
        pytest.fail(f"The engine's environment is missing: {command[0]}. Run: make install", pytrace=False)
    log = folder / "router.log"

    def is_live() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{model.port}{HEALTH}", trust_env=False, timeout=60).is_success
        return False

    with ExitStack() as stack:
        first, second = (stack.enter_context(ScriptedUpstream(port=port)) for port in model.engine_ports)
        output = stack.enter_context(log.open("wb"))
        process = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=output))
        stack.callback(process.kill)
        wait_until(is_live, 300)
        yield Router(model, (first, second))


@contextmanager
def chain_over(router: Router, home: Path) -> Iterator[Chain]:
    """A gateway before `router`, whose replicas have seen nothing yet."""
    for replica in router.replicas:
        replica.forget()
    with RunningGateway(home, router.url) as gateway, gateway.client as client:
        yield Chain(gateway, router, client)
