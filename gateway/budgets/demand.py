"""What a request may come to in tokens, read from its body: an upper bound of its prompt, and what it wants."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from gateway.endpoints import Endpoint
from gateway.envelope import read_fields
from sluice.errors import InvalidRequest

PROMPT_FIELDS = ("messages", "tools", "functions", "documents", "chat_template_kwargs", "response_format", "prompt", "suffix", "input")  # fmt: skip
"""What a chat template may put into the prompt. A byte-level tokenizer makes no more tokens than bytes, and JSON no
fewer bytes than its text; what JSON adds to each message and list item is more than a template does."""
UNBOUNDED = ("chat_template", "prompt_embeds")
"""With these, a prompt's bytes say nothing of its tokens."""
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
LIMITS = ("max_completion_tokens", "max_tokens")
"""Two names of one limit. OpenAI's completions know the second alone, some servers both."""
DEFAULT_COMPLETION = 16
"""Of `/v1/completions`, by OpenAI's API."""
NULL = Raw(b"null")

_ESCAPED = re.compile(rb"\\u00([4-7][0-9a-fA-F])")
_Amount = Annotated[int, Meta(ge=0)]
"""Less than none is all that it can to some servers."""


class _Wish(msgspec.Struct):
    max_completion_tokens: _Amount | None = None
    max_tokens: _Amount | UnsetType | None = UNSET
    min_tokens: _Amount | None = None
    n: _Amount | None = None
    best_of: _Amount | None = None


_wishes = msgspec.json.Decoder(_Wish)
_prompts: msgspec.json.Decoder[str | list[Any]] = msgspec.json.Decoder(str | list[Any])


@dataclass(frozen=True, slots=True)
class Demand:
    """What one request asks for.

    Attributes:
        prompt: the most tokens its prompt can have.
        media: pictures and recordings in it.
        choices: answers to be written; 0 for embeddings.
        completion: the most tokens of each answer; None where the request leaves it to the model.
        limit_fields: the fields that tell the model so.
    """

    body: bytes
    fields: dict[str, Raw]
    prompt: int
    media: int
    choices: int
    completion: int | None
    limit_fields: tuple[str, ...]

    def limited(self, completion: int) -> bytes:
        """The body with another limit for each answer."""
        fields = self.fields | dict.fromkeys(self.limit_fields, Raw(b"%d" % completion))
        if "min_tokens" in fields:  # it must not be above the limit; the wish for at least so many cannot be met
            fields["min_tokens"] = Raw(b"0")
        return msgspec.json.encode(fields)

    def to_tokenize(self) -> bytes | None:
        """The body for `/tokenize`; None where that cannot take this request."""
        uncounted = any(name in self.fields and name not in COUNTED_FIELDS for name in PROMPT_FIELDS)
        several = "prompt" in self.fields and bytes(self.fields["prompt"])[:1] != b'"'
        if uncounted or several or self.media:
            return None
        return msgspec.json.encode({name: self.fields[name] for name in TOKENIZED_FIELDS if name in self.fields})


def read_demand(body: bytes, endpoint: Endpoint) -> Demand:
    """Read a body that is JSON.

    Raises:
        InvalidRequest: a field that says how much to generate is not a whole number (servers differ in what else they
            take for one, so it cannot be left to them), the prompt has no bound, or a field's name is not UTF-8.
    """
    fields = read_fields(body)
    for name in UNBOUNDED:
        if fields.get(name, NULL) != NULL:
            raise InvalidRequest(f"'{name}': a key with a budget cannot send it, the prompt might be any.", param=name)
    prompt = sum(len(fields[name]) for name in PROMPT_FIELDS if name in fields) + TEMPLATE_TOKENS
    if "tools" in fields or "functions" in fields:
        prompt += TOOLS_TOKENS
    if endpoint.kind == "embedding":
        return Demand(body, fields, prompt, 0, 0, 0, ())
    try:
        wish = _wishes.decode(body)
        prompts = _count_prompts(fields["prompt"]) if endpoint.name == "completions" and "prompt" in fields else 1
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body: {error}.") from None
    messages = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), bytes(fields.get("messages", b"")))
    media = sum(messages.count(mark) for mark in MEDIA)
    prompt += MEDIA_TOKENS * media
    choices = prompts * max(wish.n or 1, wish.best_of or 1)
    if endpoint.name == "completions" and wish.max_tokens is UNSET:
        wish.max_tokens = DEFAULT_COMPLETION  # written down, since to some servers it means without end
        fields["max_tokens"] = Raw(b"%d" % DEFAULT_COMPLETION)
        body = msgspec.json.encode(fields)
    limits = {name: most for name in LIMITS if isinstance(most := getattr(wish, name), int)}
    completion = max(limits.values(), default=None)  # which of two a server goes by is its own business
    names = tuple(limits) or LIMITS[:1]
    if endpoint.name == "completions" and wish.max_tokens is None:
        completion, names = None, LIMITS
    return Demand(body, fields, prompt, media, choices, completion, names)


def _count_prompts(prompt: Raw) -> int:
    prompts = _prompts.decode(prompt)
    if isinstance(prompts, str) or not prompts or isinstance(prompts[0], int):
        return 1
    return len(prompts)
