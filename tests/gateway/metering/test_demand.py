import json
import unicodedata
from typing import Any

import pytest

from gateway.endpoints import ENDPOINTS
from gateway.envelope import read_envelope
from gateway.metering.demand import MEDIA_TOKENS, TEMPLATE_TOKENS, Demand, read_demand
from sluice.errors import InvalidRequest

HELLO: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello? Grüß Gott 世界"}]}
TEXT: Any = {"model": "m", "prompt": "Once"}


def read(body: dict[str, Any], path: str = "/v1/chat/completions") -> Demand:
    return read_demand(read_envelope(encoded(body)), ENDPOINTS[path])


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps({"model": "m"} | body, ensure_ascii=False).encode()


def test_a_prompt_has_no_more_tokens_than_bytes() -> None:
    text = HELLO["messages"][0]["content"]
    assert len(text.encode()) + TEMPLATE_TOKENS <= read(HELLO).prompt < len(text.encode()) + TEMPLATE_TOKENS + 60
    tool = {"type": "function", "function": {"name": "find", "description": "x" * 500}}
    assert read(HELLO | {"tools": [tool]}).prompt > read(HELLO).prompt + 500


def test_a_picture_counts_as_much_as_one_can() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    spoken = {"type": "text", "text": 'about "image_url"'}
    assert read({"messages": [{"role": "user", "content": [part]}]}).prompt > 2 * MEDIA_TOKENS
    assert read({"messages": [{"role": "user", "content": [spoken]}]}).prompt < 1_000
    escaped = json.dumps({"messages": [{"role": "user", "content": [part]}]}).replace("_url", "\\u005fur\\u006C")
    escaped = escaped.replace("{", '{"model":"m",', 1)
    assert read_demand(read_envelope(escaped.encode()), ENDPOINTS["/v1/chat/completions"]).prompt > 2 * MEDIA_TOKENS


@pytest.mark.parametrize("part", ["image_pil", "image_embeds", "audio_embeds", "video_embeds"])
def test_a_picture_that_the_engine_has_seen_before_counts_too(part: str) -> None:
    content = [{"type": part, part: None, "uuid": "1"}]
    assert read({"messages": [{"role": "user", "content": content}]}).prompt > MEDIA_TOKENS
    assert read({"input": [{"role": "user", "content": content}]}, "/v1/embeddings").prompt > MEDIA_TOKENS


def test_a_file_counts_though_its_text_is_elsewhere() -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    assert read({"messages": [{"role": "user", "content": [part]}]}).prompt > MEDIA_TOKENS


@pytest.mark.parametrize("sign", ["\U0001d160", "\u0958", "\ufb2c"])
def test_signs_that_a_tokenizer_takes_apart_count_as_what_it_makes_of_them(sign: str) -> None:
    text = sign * 100
    normalized = len(unicodedata.normalize("NFC", text).encode())
    assert normalized > len(text.encode())
    assert read({"messages": [{"role": "user", "content": text}]}).prompt >= normalized + TEMPLATE_TOKENS
    assert read({"prompt": text}, "/v1/completions").prompt >= normalized + TEMPLATE_TOKENS


@pytest.mark.parametrize("numbers", ["[1e15,1e15,1E15,9e+15]", "[1,2,3,4,5,6,7,8,9]", '{"a":1,"b":{"c":[1,1,1,1,1]}}'])
def test_what_a_template_prints_anew_counts_as_it_is_printed(numbers: str) -> None:
    printed = len(json.dumps(json.loads(numbers)))
    tool = b'{"model":"m","messages":[],"tools":[%b]}' % numbers.encode()
    arguments = json.dumps([{"tool_calls": [{"function": {"arguments": numbers}}]}], separators=(",", ":"))
    escaped = arguments.replace("tool_calls", "t\\u006fol_calls")
    spoken = [b'{"model":"m","messages":%b}' % messages.encode() for messages in (arguments, escaped)]
    for body in (tool, *spoken):
        assert read_demand(read_envelope(body), ENDPOINTS["/v1/chat/completions"]).prompt >= TEMPLATE_TOKENS + printed


@pytest.mark.parametrize(
    ("path", "body", "prompts"),
    [
        ("/v1/completions", {"prompt": "a"}, 1),
        ("/v1/completions", {"prompt": ["a", "b", "c"], "n": 2}, 3),
        ("/v1/embeddings", {"input": ["a", "b"]}, 2),
        ("/v1/embeddings", {"input": [1, 2, 3]}, 1),
        ("/v1/embeddings", {"messages": [[{"role": "user", "content": "a"}]] * 4}, 4),
    ],
)
def test_each_prompt_has_a_context_of_its_own(path: str, body: dict[str, Any], prompts: int) -> None:
    assert read(body, path).prompts == prompts


def test_the_messages_of_an_embedding_count() -> None:
    messages = [{"role": "user", "content": "x" * 500}]
    assert read({"input": "a", "messages": messages}, "/v1/embeddings").prompt > 500


@pytest.mark.parametrize(
    ("further", "choices", "completion", "fields"),
    [
        ({}, 1, None, ["max_completion_tokens"]),
        ({"max_tokens": 7}, 1, 7, ["max_tokens"]),
        ({"max_completion_tokens": 7}, 1, 7, ["max_completion_tokens"]),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 1, 9, ["max_completion_tokens", "max_tokens"]),
        ({"max_tokens": None}, 1, None, ["max_completion_tokens"]),
        ({"max_tokens": 7, "n": 3}, 3, 7, ["max_tokens"]),
    ],
)
def test_what_a_chat_asks_for(further: dict[str, Any], choices: int, completion: int | None, fields: list[str]) -> None:
    demand = read(HELLO | further)
    assert (demand.choices, demand.completion, list(demand.limit_fields)) == (choices, completion, fields)
    limited = json.loads(demand.limited(encoded(HELLO | further), 3))
    assert [limited[name] for name in fields] == [3] * len(fields)


@pytest.mark.parametrize(
    ("further", "choices", "completion"),
    [
        ({}, 1, 16),
        ({"max_tokens": None}, 1, None),
        ({"n": 2, "best_of": 5}, 5, 16),
        ({"prompt": ["a", "b"], "n": 2}, 4, 16),
        ({"prompt": [1, 2, 3]}, 1, 16),
        ({"prompt": [[1, 2], [3]]}, 2, 16),
        ({"max_tokens": None, "max_completion_tokens": 7}, 1, None),
    ],
)
def test_what_a_completion_asks_for(further: dict[str, Any], choices: int, completion: int | None) -> None:
    body = encoded(TEXT | further)
    demand = read(TEXT | further, "/v1/completions")
    assert (demand.choices, demand.completion) == (choices, completion)
    said = demand.said(body) if demand.unsaid else body
    assert json.loads(said).get("max_tokens") == completion, "some servers take none for no end"
    assert json.loads(demand.limited(body, 3))["max_tokens"] == 3


def test_a_completion_of_no_token_holds_the_one_that_is_written() -> None:
    assert read(TEXT | {"max_tokens": 0, "echo": True}, "/v1/completions").completion == 1


def test_embeddings_are_prompts_alone() -> None:
    demand = read({"model": "m", "input": ["x" * 100, "y"]}, "/v1/embeddings")
    assert (demand.choices, demand.completion) == (0, 0)
    assert demand.prompt > 101


def test_a_limit_takes_the_place_of_the_wish_and_touches_nothing_else() -> None:
    body = HELLO | {"max_tokens": 500, "min_tokens": 100, "temperature": 0.10}
    limited = json.loads(read(body).limited(encoded(body), 3))
    assert limited == body | {"max_tokens": 3, "min_tokens": 0}


def test_what_can_be_tokenized() -> None:
    asked = read(HELLO | {"max_tokens": 3, "stream": True}).to_tokenize(
        encoded(HELLO | {"max_tokens": 3, "stream": True})
    )
    assert asked is not None
    assert json.loads(asked) == HELLO
    asked = read(TEXT, "/v1/completions").to_tokenize(encoded(TEXT))
    assert asked is not None
    assert json.loads(asked) == TEXT
    for further in ({"prompt": ["a", "b"]}, {"suffix": "end"}):
        assert read(TEXT | further, "/v1/completions").to_tokenize(encoded(TEXT | further)) is None
    both = {"model": "m", "prompt": "a long one", "messages": [], "tools": []}
    asked = read(both, "/v1/completions").to_tokenize(encoded(both))
    assert asked is not None
    assert "messages" not in json.loads(asked), "an engine could count them instead"
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    shown = {"messages": [{"role": "user", "content": [picture]}]}
    assert read(shown).to_tokenize(encoded(shown)) is None


@pytest.mark.parametrize(
    "further",
    [
        {"max_tokens": "500"},
        {"max_tokens": -1},
        {"max_tokens": 0},
        {"max_completion_tokens": 0, "max_tokens": 5},
        {"n": "4"},
        {"n": 1.5},
        {"max_completion_tokens": [1]},
        {"chat_template": "{% for _ in range(9999) %}word {% endfor %}"},
    ],
)
def test_a_limit_that_servers_could_read_otherwise_is_refused(further: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read(HELLO | further)


def test_fields_with_escaped_names_and_fields_given_twice_count_as_servers_read_them() -> None:
    body = b'{"model":"m","messages":[],"max_tokens":5,"max_tok\\u0065ns":7}'
    assert read_demand(read_envelope(body), ENDPOINTS["/v1/chat/completions"]).completion == 7


def test_a_name_that_is_not_unicode_is_refused_where_the_body_is_written_anew() -> None:
    body = b'{"model":"m","\xff":1}'
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        read_demand(read_envelope(body), ENDPOINTS["/v1/chat/completions"]).limited(body, 3)
