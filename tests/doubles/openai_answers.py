"""What a model server answers on OpenAI's API, in vLLM's shapes, without a model: the words are the test's."""

import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

CONTENT = ("Hello", " from", " the", " scripted", " upstream", " — ünïcödé 🌊", ".")
CREATED = 1_700_000_000
MODEL = "scripted"
Body = dict[str, Any]


def error_body(message: str, *, status: int = 400, type: str = "BadRequestError", param: str | None = None) -> Body:  # noqa: A002 - the field's name
    """vLLM's error object."""
    return {"error": {"message": message, "type": type, "param": param, "code": status}}


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def plain_answer(path: str, request: Body, content: Sequence[str] = CONTENT) -> Body | None:
    """The JSON answer for `path`, or None if there is no such endpoint."""
    match path:
        case "/v1/chat/completions":
            message = {"role": "assistant", "content": "".join(content), "tool_calls": []}
            choices = [
                {"index": i, "message": message, "logprobs": None, "finish_reason": "stop"} for i in _indices(request)
            ]
            return _envelope("chatcmpl", "chat.completion", request, choices) | {"usage": _usage(request, len(content))}
        case "/v1/completions":
            text = "".join(content)
            choices = [{"index": i, "text": text, "logprobs": None, "finish_reason": "stop"} for i in _indices(request)]
            return _envelope("cmpl", "text_completion", request, choices) | {"usage": _usage(request, len(content))}
        case "/v1/embeddings":
            inputs = request.get("input", "")
            count = len(inputs) if isinstance(inputs, list) else 1
            data = [{"index": i, "object": "embedding", "embedding": [0.25, -0.5, 0.125]} for i in range(count)]
            usage = {
                "prompt_tokens": _prompt_tokens(request),
                "total_tokens": _prompt_tokens(request),
                "completion_tokens": 0,
            }
            return {
                "id": "embd-1",
                "object": "list",
                "created": CREATED,
                "model": _model(request),
                "data": data,
                "usage": usage,
            }
        case "/v1/chat/completions/render" | "/v1/completions/render":
            return {"request_id": "render-1", "token_ids": token_ids(request)}
        case "/v1/models":
            return {
                "object": "list",
                "data": [{"id": MODEL, "object": "model", "created": CREATED, "owned_by": "vllm"}],
            }
        case _:
            return None


def streamed_answer(path: str, request: Body, content: Sequence[str] = CONTENT) -> Iterator[bytes]:
    """The SSE events of a streamed answer; as with vLLM, usage comes only where `stream_options` asks for it."""
    options = request.get("stream_options") or {}
    chat = path == "/v1/chat/completions"
    kind, prefix = ("chat.completion.chunk", "chatcmpl") if chat else ("text_completion", "cmpl")

    def event(choices: list[Body], tokens: int, usage: bool) -> bytes:
        body = _envelope(prefix, kind, request, choices)
        return sse(body | {"usage": _usage(request, tokens)} if usage else body)

    def choice(index: int, text: str, finish: str | None, role: str | None = None) -> Body:
        delta = ({"role": role} if role else {}) | {"content": text}
        said: Body = {"delta": delta} if chat else {"text": text}
        return {"index": index, **said, "logprobs": None, "finish_reason": finish}

    continuous = bool(options.get("include_usage") and options.get("continuous_usage_stats"))
    indices = _indices(request)
    if chat:
        yield from (event([choice(i, "", None, "assistant")], 0, continuous) for i in indices)
    for number, text in enumerate(content, 1):
        yield from (event([choice(i, text, None)], number, continuous) for i in indices)
    yield from (event([choice(i, "", "stop")], len(content), continuous) for i in indices)
    if options.get("include_usage"):
        yield event([], len(content), True)
    yield b"data: [DONE]\n\n"


def sse(value: Any) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def _envelope(prefix: str, kind: str, request: Body, choices: list[Body]) -> Body:
    return {"id": f"{prefix}-1", "object": kind, "created": CREATED, "model": _model(request), "choices": choices}


def _indices(request: Body) -> range:
    return range(request.get("n") or 1)


def _model(request: Body) -> str:
    return request.get("model") or MODEL


def _usage(request: Body, completion: int) -> Body:
    prompt, completion = _prompt_tokens(request), completion * len(_indices(request))
    return {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}


def token_ids(request: Body) -> list[int]:
    """The prompt's tokens: equal words are equal tokens, in every process."""
    return [zlib.crc32(word.encode()) & 0xFFFF for word in _words(request)]


def _prompt_tokens(request: Body) -> int:
    """One token a word: tests can count."""
    return len(_words(request))


def _words(request: Body) -> list[str]:
    said = (
        request.get("prompt")
        or request.get("input")
        or [message.get("content") for message in request.get("messages", [])]
    )
    return str(said if isinstance(said, str) else " ".join(str(part) for part in said)).split()
