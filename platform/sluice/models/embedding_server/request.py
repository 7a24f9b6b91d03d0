"""What a client asks for: OpenAI's `CreateEmbeddingRequest`, with vLLM's `truncate_prompt_tokens`."""

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from sluice.errors import InvalidRequest, NotFound
from sluice.models.embedding_server import TokenIds

if TYPE_CHECKING:
    from sluice.models.embedding_server.encoder import Encoder

MAX_INPUTS = 2048


class EmbeddingRequest(msgspec.Struct):
    """The request's fields; those not named here are accepted and ignored.

    Token ids are taken as they are: special tokens are the client's to add, as with vLLM.
    """

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None

    def token_ids(self, encoder: "Encoder") -> list[TokenIds]:
        """The inputs as token ids, each at most as long as the model takes.

        Raises:
            InvalidRequest: an input is empty, too long or no input, naming which.
        """
        inputs = _inputs(self.input)
        limit = encoder.max_tokens if self.truncate_prompt_tokens == -1 else self.truncate_prompt_tokens
        texts = [value for value in inputs if isinstance(value, str)]
        if texts:
            ids = encoder.tokenize(texts, limit)
        else:
            ids = [value[:limit] for value in inputs if isinstance(value, list)]
            _check_vocabulary(ids, encoder.vocabulary)
        _check_lengths(ids, encoder.max_tokens)
        return ids


def parse(body: bytes, name: str, encoder: "Encoder") -> EmbeddingRequest:
    """The request in a body, with those fields checked that do not need the inputs' tokens.

    Raises:
        NotFound: it asks for another model than the one named.
        InvalidRequest: not JSON, a wrong type, or a value that this model cannot follow.
    """
    try:
        request = msgspec.json.decode(body, type=EmbeddingRequest)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    check_model(request.model, name)
    if request.dimensions is not None and not 1 <= request.dimensions <= encoder.dimensions:
        raise InvalidRequest(
            f"'dimensions' is {request.dimensions}, but '{name}' has 1 to {encoder.dimensions}.",
            param="dimensions",
        )
    keep, least = request.truncate_prompt_tokens, encoder.special_tokens + 1
    if keep is not None and keep != -1 and not least <= keep <= encoder.max_tokens:
        raise InvalidRequest(
            f"'truncate_prompt_tokens' is {keep}: expected -1 (the model's length) or {least} to {encoder.max_tokens}.",
            param="truncate_prompt_tokens",
        )
    return request


def check_model(wanted: str, name: str) -> None:
    """Raise NotFound unless the model that a client wants is the one that is served."""
    if wanted != name:
        raise NotFound(f"The model '{wanted}' does not exist.", param="model", code="model_not_found")


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    message = str(error)
    field = re.search(r"\$\.(\w+)|missing required field `(\w+)`", message)
    return InvalidRequest(f"The request is wrong: {message}.", param=(field[1] or field[2]) if field else None)


def _inputs(value: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """The inputs, one for each vector: all texts or all lists of token ids."""
    if isinstance(value, str):
        inputs: list[str | list[int]] = [value]
    elif value and all(isinstance(item, int) for item in value):
        inputs = [[item for item in value if isinstance(item, int)]]
    else:
        inputs = [item for item in value if not isinstance(item, int)]
        if len(inputs) < len(value) or len({type(item) for item in inputs}) > 1:
            raise InvalidRequest("'input' mixes texts, token ids and lists: expected one of them.", param="input")
    if not inputs:
        raise InvalidRequest("'input' is empty: expected at least one text.", param="input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidRequest(f"'input' holds {len(inputs)} inputs, at most {MAX_INPUTS} are taken.", param="input")
    if (index := next((index for index, item in enumerate(inputs) if not item), None)) is not None:
        raise InvalidRequest(f"Input {index} is empty: expected a text or token ids.", param="input")
    return inputs


def _check_vocabulary(inputs: list[TokenIds], vocabulary: int) -> None:
    for index, ids in enumerate(inputs):
        if min(ids) < 0 or max(ids) >= vocabulary:
            raise InvalidRequest(
                f"Input {index} holds a token id outside the model's vocabulary of {vocabulary}.",
                fix="Send texts, or ids of the model's own tokenizer.",
                param="input",
            )


def _check_lengths(inputs: list[TokenIds], limit: int) -> None:
    for index, ids in enumerate(inputs):
        if len(ids) > limit:
            raise InvalidRequest(
                f"This model's maximum context length is {limit} tokens, but input {index} has {len(ids)}.",
                fix="Shorten it, or send 'truncate_prompt_tokens': -1.",
                param="input",
                code="context_length_exceeded",
            )
