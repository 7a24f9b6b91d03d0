import json

import pytest

from gateway.endpoints import ENDPOINTS
from gateway.envelope import body_for_upstream, read_envelope
from sluice.errors import InvalidRequest

CHAT = ENDPOINTS["/v1/chat/completions"]
EMBEDDINGS = ENDPOINTS["/v1/embeddings"]


def sent(body: bytes, upstream_model: str | None = None) -> bytes:
    return body_for_upstream(body, read_envelope(body), CHAT, upstream_model)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[]}',
        b'{"model":"m","stream":false}',
        b'{"model":"m","stream":null,"stream_options":null}',
        b' { "model" : "m", "unknown": [1.10, 1e400, 12345678901234567890], "stream":true,"stream_options":{"include_usage":true} } ',
    ],
)
def test_a_body_that_needs_no_change_is_not_touched(body: bytes) -> None:
    assert sent(body) is body


def test_a_stream_is_asked_for_its_usage_and_nothing_else_changes() -> None:
    body = b'{"model":"m","seed":12345678901234567890,"stream":true,"x":"\\u00e9}"} \n'
    assert (
        sent(body)
        == b'{"model":"m","seed":12345678901234567890,"stream":true,"x":"\\u00e9}","stream_options":{"include_usage":true}}'
    )


@pytest.mark.parametrize("options", ["null", "{}", '{"include_usage":false}', '{"include_usage":null}'])
def test_a_wish_against_usage_is_overruled(options: str) -> None:
    body = f'{{"model":"m","a":1.10,"stream":true,"stream_options":{options}}}'.encode()
    assert sent(body) == b'{"model":"m","a":1.10,"stream":true,"stream_options":{"include_usage":true}}'


def test_other_stream_options_are_kept() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"continuous_usage_stats":true}}'
    assert json.loads(sent(body))["stream_options"] == {"continuous_usage_stats": True, "include_usage": True}


def test_the_upstreams_own_model_name_is_put_in() -> None:
    assert sent(b'{"model":"m","top_p":0.10}', "other/name") == b'{"model":"other/name","top_p":0.10}'


def test_a_field_given_twice_means_its_last_value_everywhere() -> None:
    body = b'{"model":"allowed","model":"used","stream":true,"stream":false}'
    envelope = read_envelope(body)
    assert envelope.model == json.loads(body)["model"] == "used"
    assert envelope.stream is False


def test_embeddings_do_not_stream() -> None:
    body = b'{"model":"m","input":"x","stream":true}'
    assert body_for_upstream(body, read_envelope(body), EMBEDDINGS, None) is body


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (b"", None, "not valid JSON"),
        (b"{bad", None, "not valid JSON"),
        (b'{"model":"m"} trailing', None, "not valid JSON"),
        (b'{"model":"m","x":NaN}', None, "not valid JSON"),
        (b'["model"]', None, "Expected `object`, got `array`"),
        (b"{}", "model", "The field is required"),
        (b'{"model":5}', "model", "Expected `str`, got `int`"),
        (b'{"model":null}', "model", "Expected `str`, got `null`"),
        (b'{"model":"m","stream":"yes"}', "stream", "Expected `bool | null`, got `str`"),
        (
            b'{"model":"m","stream_options":{"include_usage":1}}',
            "stream_options.include_usage",
            "Expected `bool | null`",
        ),
        (b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested too deeply"),
    ],
)
def test_a_wrong_body_is_named(body: bytes, param: str | None, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_envelope(body)
    assert raised.value.param == param
    assert message in raised.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m\xff"}',
        b'{"model":"alias","\xff":1}',
        b'{"model":"m","stream":true,"stream_options":{"\xff":1}}',
    ],
)
def test_what_is_not_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not UTF-8") as raised:
        body_for_upstream(body, read_envelope(body), CHAT, "other" if b"alias" in body else None)
    assert raised.value.code == "invalid_json"
