import json

import pytest

from gateway.upstream_errors import error_of
from sluice.errors import openai_body


def body(message: str, param: str | None = None, code: object = 400) -> bytes:
    return json.dumps({"error": {"message": message, "type": "BadRequestError", "param": param, "code": code}}).encode()


def test_vllms_error_in_openais_shape() -> None:
    error = error_of(400, body("n must be at least 1, got 0.", "n"))
    assert error.status == 400
    assert openai_body(error)["error"] == {
        "message": "n must be at least 1, got 0.",
        "type": "invalid_request_error",
        "param": "n",
        "code": None,
    }


def test_vllms_printed_dictionary_becomes_a_sentence() -> None:
    message = "1 validation error:\n  {'type': 'list_type', 'loc': 'body.messages', 'msg': 'Input should be a valid list', 'input': 'a'}"
    error = error_of(400, body(message, "body.messages"))
    assert str(error) == "'messages': Input should be a valid list."
    assert error.param == "messages"


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 5000.",
        "max_tokens=5000 cannot be greater than max_model_len=2048.",
    ],
)
def test_too_long_a_context_has_openais_code(message: str) -> None:
    assert error_of(400, body(message)).code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "The upstream answered 500 without a message."),
        (b"Internal Server Error", "Internal Server Error"),
        (b"<html>oops</html>", "The upstream answered 500 without a message."),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"error":"plain text"}', "plain text"),
        (b'{"object":"error","message":"old shape"}', "old shape"),
        (b'{"error":{"message":5}}', '{"error":{"message":5}}'),
        (b"\xff\xfe", "��"),
        (b"[]", "[]"),
    ],
)
def test_any_other_shape_still_gives_a_message(answer: bytes, message: str) -> None:
    error = error_of(500, answer)
    assert str(error) == message
    assert error.status == 500
    assert error.type == "server_error"


@pytest.mark.parametrize("status", [401, 403, 407])
def test_an_upstreams_refusal_of_our_key_is_not_the_clients(status: int) -> None:
    error = error_of(status, body("Incorrect API key provided: sk-secret"))
    assert error.status == 502
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize(("code", "expected"), [("rate_limit", "rate_limit"), ("a\x00b", None), ("c" * 101, None)])
def test_a_code_is_short_and_printable(code: str, expected: str | None) -> None:
    assert error_of(400, body("no", code=code)).code == expected


def test_a_message_that_is_not_utf8_is_shown_as_far_as_it_is() -> None:
    error = error_of(500, b'{"error":{"message":"sorry \xff"}}')
    assert "sorry" in error.message
