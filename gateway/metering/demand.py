"""What a request may come to in tokens, read from its body: an upper bound of its prompt, and what it wants."""

import re
import unicodedata
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
NUMBER_TOKENS = 20
"""For a number with an exponent, which a template prints without: `1e15` becomes 1000000000000000.0."""
TEMPLATE_TOKENS = 128
"""For what a chat template adds to all prompts: a system prompt of its own, the begin of the answer."""
TOOLS_TOKENS = 256
"""For how a template explains tools."""
MEDIA = (
    *(b'"image_url"', b'"video_url"', b'"audio_url"', b'"input_audio"', b'"file"'),
    *(b'"image_embeds"', b'"video_embeds"', b'"audio_embeds"', b'"image_pil"'),
)
"""Parts of a message that are no text; with a `uuid` the engine takes one that it has seen before for a few bytes."""
MEDIA_ENDS = (b'_url"', b'"input_audio"', b'"file"', b'_embeds"', b'_pil"')
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

_EXPONENTS = bytes.maketrans(b"123456789E", b"000000000e")
_ESCAPED = re.compile(rb"\\u00([4-7][0-9a-fA-F])")
_Amount = Annotated[int, Meta(ge=0)]
"""Less than none is all that it can to some servers."""


_amounts: msgspec.json.Decoder[_Amount | None] = msgspec.json.Decoder(_Amount | None)
_prompts: msgspec.json.Decoder[str | list[Any] | None] = msgspec.json.Decoder(str | list[Any] | None)


@dataclass(slots=True)
class Demand:
    """What one request asks for.

    Attributes:
        prompt: the most tokens its prompt can have; all of them together, where there are several.
        media: pictures and recordings in it.
        choices: answers to be written; 0 for embeddings.
        completion: the most tokens of each answer; None where the request leaves it to the model.
        limit_fields: the fields that tell the model so.
        prompts: how many there are at most; each has a context of its own.
        unsaid: the limit is OpenAI's default and stands nowhere in the body; to some servers that means without end.
    """

    prompt: int
    media: int
    choices: int
    completion: int | None
    limit_fields: tuple[str, ...]
    prompts: int = 1
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
        if "prompt" in fields:  # messages beside it are nothing to the model, and `/tokenize` might count them instead
            fields.pop("messages", None)
        return msgspec.json.encode({name: fields[name] for name in TOKENIZED_FIELDS if name in fields})


def read_demand(envelope: Envelope, endpoint: Endpoint) -> Demand:
    """Read what an envelope holds as it came.

    Raises:
        InvalidRequest: a field that says how much to generate is not a whole number (servers differ in what else they
            take for one, so it cannot be left to them) or is none to some, or one says nothing of how many tokens it makes.
    """
    for name, field in (("chat_template", envelope.chat_template), ("prompt_embeds", envelope.prompt_embeds)):
        if field is not ABSENT and field != NULL:
            raise InvalidRequest(
                f"'{name}': where tokens are counted it cannot be sent, the prompt might be any.", param=name
            )
    messages, media = bytes(envelope.messages), 0
    prompt = TEMPLATE_TOKENS + _size(messages)
    for field in (envelope.prompt, envelope.suffix, envelope.input):
        if field is not ABSENT:
            prompt += _size(bytes(field))
    for field in (
        envelope.tools, envelope.response_format, envelope.chat_template_kwargs, envelope.functions, envelope.documents,
    ):  # fmt: skip
        if field is not ABSENT:
            prompt += _size(bytes(field)) + _printed(bytes(field))
    if envelope.tools or envelope.functions:
        prompt += TOOLS_TOKENS
    if messages.find(b"[", 1) > 0:  # else there are texts alone
        media = _count_media(messages)
        if b"tool_calls" in messages or b"\\u00" in messages:
            prompt += _printed(messages)
    if endpoint.kind == "embedding":
        media += _count_media(bytes(envelope.input))
        prompts = max(_count_prompts(envelope.input, "input"), _count_prompts(envelope.messages, "messages"))
        return Demand(prompt + MEDIA_TOKENS * media, media, 0, 0, (), prompts)
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
        if 0 in (newer, older):
            raise InvalidRequest(f"'{limits[0]}': 0 is no limit to some servers; take at least 1.", param=limits[0])
        return Demand(prompt, media, choices, completion, limits)
    prompts = _count_prompts(envelope.prompt, "prompt")
    choices *= prompts
    if envelope.max_tokens is ABSENT:
        completion = max(newer or 0, DEFAULT_COMPLETION)
        fields = ONLY_OLDER if newer is None else LIMITS
        return Demand(prompt, media, choices, completion, fields, prompts, unsaid=True)
    if older is None:  # null
        return Demand(prompt, media, choices, None, LIMITS, prompts)
    # A completion of no token is asked for to score its prompt; vLLM writes one all the same.
    return Demand(prompt, media, choices, max(completion or 0, 1), limits, prompts)


def _amount(field: Raw, name: str) -> int | None:
    return None if field is ABSENT else decode(_amounts, field, name)


def _count_media(text: bytes) -> int:
    if b"\\u00" in text:  # letters of the marks may be written so
        text = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)
    if not any(end in text for end in MEDIA_ENDS):
        return 0
    return sum(text.count(mark) for mark in MEDIA)


def _count_prompts(field: Raw, name: str) -> int:
    prompts = None if field is ABSENT else decode(_prompts, field, name)
    if prompts is None or isinstance(prompts, str) or not prompts or isinstance(prompts[0], int):
        return 1
    return len(prompts)


def _size(text: bytes) -> int:
    """UTF-8 bytes of what a tokenizer gets: those that normalize (NFC) make up to three of one for some signs."""
    if text.isascii():
        return len(text)
    decoded = text.decode(errors="replace")
    if unicodedata.is_normalized("NFC", decoded):
        return len(text)
    return max(len(text), len(unicodedata.normalize("NFC", decoded).encode()))


def _printed(text: bytes) -> int:
    """What a template makes more of a value that it prints anew: a blank behind each comma and colon, and numbers."""
    return text.count(b",") + text.count(b":") + NUMBER_TOKENS * text.translate(_EXPONENTS).count(b"0e")
