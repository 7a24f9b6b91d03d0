"""What a request may come to in tokens, read from its body: an upper bound of its prompt, and what it wants."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from gateway.endpoints import Endpoint
from gateway.envelope import ABSENT, Envelope, decode, read_fields
from sluice.errors import InvalidRequest

PROMPT_FIELDS = ("messages", "tools", "functions", "documents", "chat_template_kwargs", "response_format", "prompt", "suffix", "input")  # fmt: skip
"""What a chat template may put into the prompt. A byte-level tokenizer makes no more tokens than bytes, and JSON no
fewer bytes than its text; what JSON adds to each message and list item is more than a template does."""
TEMPLATE_TOKENS = 128
"""For what a chat template adds to all prompts: a system prompt of its own, the begin of the answer."""
TOOLS_TOKENS = 256
"""For how a template explains tools."""
MEDIA = (b'"image_url"', b'"video_url"', b'"audio_url"', b'"input_audio"')
MEDIA_TOKENS = 16_384
"""For one image, recording or video: the most that the usual models make of it."""
COUNTED_FIELDS = frozenset({"messages", "tools", "chat_template_kwargs", "response_format", "prompt"})
"""What `/tokenize` counts as the engine does; it sees no pictures."""
TOKENIZED_FIELDS = ("model", "messages", "prompt", "tools", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "add_special_tokens")  # fmt: skip
"""What vLLM's `/tokenize` takes of a request."""
LIMITS = NEWER, OLDER = ("max_completion_tokens", "max_tokens")
"""Two names of one limit. OpenAI's completions know the second alone, some servers both."""
ONLY_NEWER, ONLY_OLDER = (NEWER,), (OLDER,)
DEFAULT_COMPLETION = 16
"""Of `/v1/completions`, by OpenAI's API."""
NULL = Raw(b"null")

_ESCAPED = re.compile(rb"\\u00([4-7][0-9a-fA-F])")
_Amount = Annotated[int, Meta(ge=0)]
"""Less than none is all that it can to some servers."""


_amounts: msgspec.json.Decoder[_Amount | None] = msgspec.json.Decoder(_Amount | None)
_prompts: msgspec.json.Decoder[str | list[Any]] = msgspec.json.Decoder(str | list[Any])


@dataclass(slots=True)
class Demand:
    """What one request asks for.

    Attributes:
        prompt: the most tokens its prompt can have.
        media: pictures and recordings in it.
        choices: answers to be written; 0 for embeddings.
        completion: the most tokens of each answer; None where the request leaves it to the model.
        limit_fields: the fields that tell the model so.
        unsaid: the limit is OpenAI's default and stands nowhere in the body; to some servers that means without end.
    """

    prompt: int
    media: int
    choices: int
    completion: int | None
    limit_fields: tuple[str, ...]
    unsaid: bool = False

    def limited(self, body: bytes, completion: int) -> bytes:
        """The body with another limit for each answer."""
        fields = read_fields(body) | dict.fromkeys(self.limit_fields, Raw(b"%d" % completion))
        if "min_tokens" in fields:  # it must not be above the limit; the wish for at least so many cannot be met
            fields["min_tokens"] = Raw(b"0")
        return msgspec.json.encode(fields)

    def said(self, body: bytes) -> bytes:
        """The body with the limit that it leaves unsaid."""
        return msgspec.json.encode(read_fields(body) | {"max_tokens": Raw(b"%d" % DEFAULT_COMPLETION)})

    def to_tokenize(self, body: bytes) -> bytes | None:
        """The body for `/tokenize`; None where that cannot take this request."""
        fields = read_fields(body)
        uncounted = any(name in fields and name not in COUNTED_FIELDS for name in PROMPT_FIELDS)
        several = "prompt" in fields and bytes(fields["prompt"])[:1] != b'"'
        if uncounted or several or self.media:
            return None
        return msgspec.json.encode({name: fields[name] for name in TOKENIZED_FIELDS if name in fields})


def read_demand(envelope: Envelope, endpoint: Endpoint) -> Demand:
    """Read what an envelope holds as it came.

    Raises:
        InvalidRequest: a field that says how much to generate is not a whole number (servers differ in what else they
            take for one, so it cannot be left to them), or one says nothing of how many tokens it makes.
    """
    for name, field in (("chat_template", envelope.chat_template), ("prompt_embeds", envelope.prompt_embeds)):
        if field is not ABSENT and field != NULL:
            raise InvalidRequest(
                f"'{name}': where tokens are counted it cannot be sent, the prompt might be any.", param=name
            )
    if endpoint.kind == "embedding":
        return Demand(len(envelope.input) + TEMPLATE_TOKENS, 0, 0, 0, ())
    prompt = TEMPLATE_TOKENS + len(envelope.messages)
    for field in (
        envelope.prompt, envelope.tools, envelope.response_format, envelope.chat_template_kwargs, envelope.suffix,
        envelope.functions, envelope.documents, envelope.input,
    ):  # fmt: skip
        if field is not ABSENT:
            prompt += len(field)
    if envelope.tools or envelope.functions:
        prompt += TOOLS_TOKENS
    if media := _count_media(envelope.messages):
        prompt += MEDIA_TOKENS * media
    choices = 1
    if envelope.n is not ABSENT or envelope.best_of is not ABSENT:
        choices = max(_amount(envelope.n, "n") or 1, _amount(envelope.best_of, "best_of") or 1)
    _amount(envelope.min_tokens, "min_tokens")
    newer, older = _amount(envelope.max_completion_tokens, NEWER), _amount(envelope.max_tokens, OLDER)
    completion, limits = newer, ONLY_NEWER
    if older is not None:  # which of two a server goes by is its own business
        completion, limits = (older, ONLY_OLDER) if newer is None else (max(newer, older), LIMITS)
    if endpoint.name != "completions":
        return Demand(prompt, media, choices, completion, limits)
    if envelope.prompt:
        choices *= _count_prompts(envelope.prompt)
    if envelope.max_tokens is ABSENT:
        completion = max(newer or 0, DEFAULT_COMPLETION)
        return Demand(prompt, media, choices, completion, ONLY_OLDER if newer is None else LIMITS, unsaid=True)
    if older is None:  # null
        return Demand(prompt, media, choices, None, LIMITS)
    return Demand(prompt, media, choices, completion, limits)


def _amount(field: Raw, name: str) -> int | None:
    return None if field is ABSENT else decode(_amounts, field, name)


def _count_media(messages: Raw) -> int:
    text = bytes(messages)
    if b"\\u00" in text:  # letters of the marks may be written so
        text = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)
    if b'_url"' not in text and b'"input_audio"' not in text:
        return 0
    return sum(text.count(mark) for mark in MEDIA)


def _count_prompts(prompt: Raw) -> int:
    prompts = decode(_prompts, prompt, "prompt")
    if isinstance(prompts, str) or not prompts or isinstance(prompts[0], int):
        return 1
    return len(prompts)
