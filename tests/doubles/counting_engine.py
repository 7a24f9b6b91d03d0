"""An engine that writes words at a pace and counts every token it really makes, also those that nobody reads."""

import asyncio
import json
import socket
import threading
from collections import Counter
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORD = "Paris "
"""Every token; the benchmarks of the gateway take an answer with it for the right one."""


class CountingEngine:
    """vLLM's manners: it keeps to `max_completion_tokens` and the context, stops when its client leaves, and tells its
    usage at the end. A prompt has a token for each word and `TEMPLATE` more.

    Args:
        seconds: for one token.
        context: tokens of prompt and answer together.

    Attributes:
        made: tokens of all prompts and answers so far.
        requests: how many there were; `tokenized`: how many asked for a count alone.
        made_for: tokens of each call, by its request id.
    """

    TEMPLATE = 9

    def __init__(self, *, seconds: float = 0.001, context: int = 512) -> None:
        self.seconds = seconds
        self.context = context
        self.made = 0
        self.requests = self.tokenized = 0
        self.made_for: Counter[str] = Counter()

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
        ]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)

    async def _tokenize(self, request: Request) -> Response:
        self.tokenized += 1
        return JSONResponse({"count": self._prompt(await request.json()), "max_model_len": self.context})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        prompt = self._prompt(body)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or self.context - prompt
        if prompt + limit > self.context:
            error = {"message": f"maximum context length is {self.context} tokens", "type": "BadRequestError"}
            return JSONResponse({"error": error}, 400)
        request_id = request.headers.get("x-request-id", "")
        self.requests += 1
        self._count(request_id, prompt)
        if body.get("stream"):
            return StreamingResponse(self._events(prompt, limit, request_id), media_type="text/event-stream")
        for _ in range(limit):
            await self._token(request_id)
            if await request.is_disconnected():
                return Response()
        message = {"role": "assistant", "content": WORD * limit}
        choices = [{"index": 0, "message": message, "finish_reason": "length"}]
        return JSONResponse(
            {"id": "c", "object": "chat.completion", "choices": choices, "usage": _usage(prompt, limit)}
        )

    async def _events(self, prompt: int, limit: int, request_id: str) -> Any:
        yield _event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for number in range(limit):
            await self._token(request_id)
            finish = "length" if number == limit - 1 else None
            yield _event([{"index": 0, "delta": {"content": WORD}, "finish_reason": finish}])
        yield _event([], usage=_usage(prompt, limit))
        yield b"data: [DONE]\n\n"

    async def _token(self, request_id: str) -> None:
        await asyncio.sleep(self.seconds)
        self._count(request_id, 1)

    def _count(self, request_id: str, tokens: int) -> None:
        self.made += tokens
        self.made_for[request_id] += tokens

    def _prompt(self, body: dict[str, Any]) -> int:
        return self.TEMPLATE + sum(len(message["content"].split()) for message in body["messages"])


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(choices: list[dict[str, Any]], **further: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **further}
    return f"data: {json.dumps(chunk)}\n\n".encode()
