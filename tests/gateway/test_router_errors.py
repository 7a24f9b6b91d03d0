import pytest

from gateway.router_errors import router_error
from gateway.upstream_errors import error_of
from sluice.errors import UpstreamFailed

DESERIALIZE = "Failed to deserialize the JSON body into the target type: "
PARSE = "Failed to parse the request body as JSON: "


@pytest.mark.parametrize(
    ("text", "message", "param"),
    [
        (
            DESERIALIZE + 'temperature: invalid type: string "hot", expected f32 at line 1 column 90',
            "'temperature': invalid type: string \"hot\", expected f32.",
            "temperature",
        ),
        (
            DESERIALIZE + "missing field `messages` at line 1 column 13",
            "'messages': missing field `messages`.",
            "messages",
        ),
        (
            DESERIALIZE + "tools[0]: missing field `function` at line 1 column 100",
            "'tools[0].function': missing field `function`.",
            "tools[0].function",
        ),
        (DESERIALIZE + "duplicate field `model` at line 1 column 20", "duplicate field `model`.", None),
        (
            PARSE + "temperature: number out of range at line 1 column 46",
            "'temperature': number out of range.",
            "temperature",
        ),
        (PARSE + "EOF while parsing a value at line 1 column 15", "EOF while parsing a value.", None),
        (PARSE + "a\nb at line 1 column 1", "a\nb.", None),
    ],
)
def test_a_wrong_body_is_the_clients_fault_and_names_the_field(text: str, message: str, param: str | None) -> None:
    error = error_of(422, text.encode())
    assert (error.status, error.message, error.param) == (400, message, param)
    assert error.type == "invalid_request_error"


def test_a_long_problem_is_cut() -> None:
    error = error_of(400, (PARSE + "deep" + "[0]" * 200 + ": recursion limit exceeded").encode())
    assert error.status == 400
    assert len(error.message) < 310


@pytest.mark.parametrize(
    "text",
    [
        "Request failed: error sending request for url (http://10.0.0.5:8000/v1/chat/completions)",
        "Failed to get response body: error decoding response body for url (http://10.0.0.5:8000/v1/chat/completions)",
        "Backend request failed: error sending request for url (http://10.0.0.5:8000/tokenize)",
    ],
)
def test_a_lost_replicas_address_is_kept_back(text: str) -> None:
    error = error_of(500, text.encode())
    assert isinstance(error, UpstreamFailed)
    assert "10.0.0.5" not in error.message


def test_clients_are_told_when_to_come_again_where_no_replica_is_left() -> None:
    error = error_of(503, b"No available workers (all circuits open or unhealthy)")
    assert (error.status, error.code, error.retry_after) == (503, "no_replica", b"5")


@pytest.mark.parametrize("text", ["", "nginx says no", '{"error": "Request failed: x"}', "Request failing: x"])
def test_what_others_say_is_not_taken_for_the_routers(text: str) -> None:
    assert router_error(text) is None


def test_whoever_writes_like_a_router_is_still_at_fault_or_not() -> None:
    assert error_of(500, (PARSE + "x").encode()).status == 500
    assert error_of(400, b"Request failed: no").status == 400
    assert error_of(429, b"No available workers").status == 429
