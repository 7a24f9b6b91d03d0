import pytest

from gateway.tokens import TokenUsage, usage_of


@pytest.mark.parametrize("count", ["-1", "1e30", str(2**53 + 1), str(10**30), '"3"', "[]", "1.5", "null"])
def test_a_count_that_cannot_be_is_no_report(count: str) -> None:
    assert usage_of(b'{"usage":{"prompt_tokens":%b,"completion_tokens":1}}' % count.encode()) is None


def test_what_is_nested_too_deeply_reports_nothing() -> None:
    assert usage_of(b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}") is None


def test_a_report() -> None:
    assert usage_of(b'{"usage":{"prompt_tokens":2,"completion_tokens":1}}') == TokenUsage(2, 1)
    assert usage_of(b"{}") is usage_of(b"no JSON") is None


@pytest.mark.parametrize("body", [b'{"usage":' + b"[" * 100_000, b'{"usage":{"\xff":1', b"\xff"])
def test_a_body_that_cannot_be_read_reports_nothing(body: bytes) -> None:
    assert usage_of(body) is None
