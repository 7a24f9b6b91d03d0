"""A provider that does not speak OpenAI's API, through the LiteLLM SDK; implements `Upstream`.

Only the chat endpoint, and only OpenAI's own fields: the SDK takes its own settings, the provider's address and key among
them, as further arguments, so a field that is not on the list here must never reach it.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import msgspec

from gateway.upstream.header import Header
from sluice.errors import InvalidRequest, UpstreamFailed, UpstreamTimeout
from sluice.offline import switch_off
from sluice.settings import UpstreamSettings

FIELDS = {
    *("messages", "stream", "stream_options", "user"),
    *("temperature", "top_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("max_tokens", "max_completion_tokens", "reasoning_effort", "logprobs", "top_logprobs"),
    *("response_format", "tools", "tool_choice", "parallel_tool_calls"),
}

CODES = {"ContextWindowExceededError": "context_length_exceeded", "ContentPolicyViolationError": "content_filter"}
"""By the SDK's exceptions, which know how each provider says so: OpenAI's codes."""


class ProviderUpstream:
    """One provider's API at one address.

    Args:
        provider: LiteLLM's name of it, such as `anthropic`.
    """

    def __init__(self, provider: str, url: str, settings: UpstreamSettings, api_key: str | None) -> None:
        self._provider = provider
        self._url = url
        self._settings = settings
        self._api_key = api_key
        self._library: asyncio.Task[Any] | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[Header] = ()
    ) -> "ProviderResponse":
        if path != "/chat/completions":
            raise InvalidRequest("This model serves /v1/chat/completions only.", param="model")
        fields: dict[str, Any] = msgspec.json.decode(body)
        model = fields.pop("model")
        _check(fields)
        library = await self._load()
        seconds = self._settings.first_byte_seconds
        try:
            async with asyncio.timeout(seconds):
                answer = await library.acompletion(
                    **fields,
                    model=f"{self._provider}/{model}",
                    api_base=self._url,
                    api_key=self._api_key or "none",
                    max_retries=0,
                    timeout=seconds,
                )
        except TimeoutError:
            raise UpstreamTimeout(f"{self._provider} sent nothing for {seconds:g} s (first_byte_seconds).") from None
        except Exception as error:
            return ProviderResponse(*_refusal(error), settings=self._settings)
        if fields.get("stream"):
            return ProviderResponse(200, b"text/event-stream", events=_events(answer), settings=self._settings)
        return ProviderResponse(200, body=answer.model_dump_json().encode(), settings=self._settings)

    async def close(self) -> None:
        if self._library is not None:
            self._library.cancel()

    async def _load(self) -> Any:
        """The SDK, imported once, in a thread: it takes seconds."""
        if self._library is None:
            self._library = asyncio.create_task(asyncio.to_thread(_import_library))
        return await asyncio.shield(self._library)


class ProviderResponse:
    """An answer, whole or as a stream of events; implements `UpstreamResponse`."""

    def __init__(
        self,
        status: int,
        content_type: bytes = b"application/json",
        body: bytes = b"",
        *,
        events: AsyncIterator[bytes] | None = None,
        settings: UpstreamSettings,
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.headers: list[Header] = [(b"content-type", content_type)]
        self._body = body
        self._events = events
        self.idle_seconds = settings.idle_seconds

    async def chunk(self) -> bytes:
        if self._events is None:
            body, self._body = self._body, b""
            return body
        try:
            async with asyncio.timeout(self.idle_seconds):
                return await anext(self._events, b"")
        except TimeoutError:
            raise UpstreamTimeout(f"The provider sent nothing for {self.idle_seconds:g} s (idle_seconds).") from None
        except UpstreamFailed:
            raise
        except Exception as error:
            raise UpstreamFailed(f"The provider broke off its answer ({type(error).__name__}).") from None

    async def read(self) -> bytes:
        parts: list[bytes] = []
        while part := await self.chunk():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """What is still coming ends with the task that read it: the SDK closes its connection when it is collected."""
        self._events = None
        self._body = b""


async def _events(answer: Any) -> AsyncIterator[bytes]:
    async for chunk in answer:
        if any(choice.finish_reason for choice in chunk.choices) and answer.received_finish_reason is None:
            # To the SDK a connection that broke is an end like any other; it makes the reason up.
            raise UpstreamFailed("The provider ended its stream before the answer was complete.")
        yield b"data: " + chunk.model_dump_json(exclude_none=True).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _check(fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - FIELDS:
        name = min(unknown)
        raise InvalidRequest(f"The field '{name}' cannot be sent to this model's provider.", param=name)
    # The SDK would fetch a picture from wherever its address leads.
    parts = [part for message in _list(fields.get("messages")) for part in _list(_dict(message).get("content"))]
    for part in parts:
        picture = _dict(part).get("image_url", "")
        url = str(_dict(picture).get("url", picture))
        if _dict(part).get("type") not in ("text", "image_url") or (url and not url.startswith("data:")):
            raise InvalidRequest("To this model go texts, and pictures as data: URLs.", param="messages")


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _refusal(error: Exception) -> tuple[int, bytes, bytes]:
    """The provider's error as OpenAI's; what the SDK itself could not send is a bad request."""
    status = getattr(error, "status_code", 502)
    message = str(getattr(error, "message", error)).partition("\n")[0]
    code = CODES.get(type(error).__name__)
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
    return (
        status if isinstance(status, int) and 400 <= status < 600 else 502,
        b"application/json",
        msgspec.json.encode(body),
    )


def _import_library() -> Any:
    switch_off()
    library: Any = importlib.import_module("litellm")
    library.telemetry = False
    library.suppress_debug_info = True
    return library
