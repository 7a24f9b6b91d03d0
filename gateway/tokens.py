"""The token counts an upstream reports, from a plain answer and from the events of a stream."""

from typing import Annotated

import msgspec

Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
"""More than any call can use; an upstream that reports more, or less than none, reports nothing."""


class PromptDetails(msgspec.Struct, frozen=True):
    """`usage.prompt_tokens_details`."""

    cached_tokens: Tokens | None = None


class TokenUsage(msgspec.Struct, frozen=True):
    """OpenAI's `usage` object; embeddings report no completion tokens."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens | None = None
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that the engine took from its prefix cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + (self.completion_tokens or 0)


NO_TOKENS = TokenUsage()


class _Answer(msgspec.Struct):
    usage: TokenUsage | None = None


_decoder = msgspec.json.Decoder(_Answer)


def usage_of(body: bytes) -> TokenUsage | None:
    """The usage of a plain answer, or None where it reports none or is not JSON."""
    try:
        return _decoder.decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
