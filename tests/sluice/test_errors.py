from sluice.errors import InvalidRequest, NotAuthenticated, SluiceError, UpstreamRefused, openai_body


def test_an_error_is_one_sentence_and_its_fix() -> None:
    assert str(SluiceError("It is broken.", fix="Mend it.")) == "It is broken. Mend it."
    assert str(SluiceError("It is broken.")) == "It is broken."


def test_openai_body() -> None:
    error = InvalidRequest("'model': Expected `str`.", param="model", code="wrong_type")
    assert openai_body(error) == {
        "error": {
            "message": "'model': Expected `str`.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "wrong_type",
        }
    }


def test_one_errors_code_does_not_stick_to_its_class() -> None:
    InvalidRequest("a", code="x")
    assert InvalidRequest("b").code is None


def test_an_upstreams_status_decides_the_type() -> None:
    assert UpstreamRefused("x", status=429).type == "rate_limit_error"
    assert UpstreamRefused("x", status=503).type == "server_error"


def test_not_authenticated_never_says_why() -> None:
    assert openai_body(NotAuthenticated()) == openai_body(NotAuthenticated())
