import pytest

from gateway.cache.wish import is_deterministic, read_sampling, read_wish
from gateway.endpoints import ENDPOINTS
from sluice.errors import InvalidRequest

CHAT, EMBEDDINGS = ENDPOINTS["/v1/chat/completions"], ENDPOINTS["/v1/embeddings"]


@pytest.mark.parametrize(
    ("body", "deterministic"),
    [
        (b'{"temperature":0}', True),
        (b'{"temperature":0.0,"n":1,"best_of":1}', True),
        (b'{"temperature":-0.0,"n":null}', True),
        (b"{}", False),
        (b'{"temperature":null}', False),
        (b'{"temperature":1e-9}', False),
        (b'{"temperature":0,"n":2}', False),
        (b'{"temperature":0,"best_of":3}', False),
        (b'{"top_p":0}', False),
    ],
)
def test_only_what_asks_for_the_likeliest_answer_is_deterministic(body: bytes, deterministic: bool) -> None:
    sampling = read_sampling(body)
    assert sampling is not None
    assert is_deterministic(CHAT, sampling) is deterministic
    assert is_deterministic(EMBEDDINGS, sampling)


@pytest.mark.parametrize("body", [b'{"temperature":"0"}', b'{"n":1.5}', b'{"max_tokens":[]}', b'{"temperature":true}'])
def test_a_field_of_another_type_is_the_servers_to_refuse(body: bytes) -> None:
    assert read_sampling(body) is None


def test_the_headers_words() -> None:
    assert read_wish([(b"host", b"x")]) is None
    assert read_wish([(b"x-sluice-cache", b" Refresh ")]) == b"refresh"
    for headers in ([(b"x-sluice-cache", b"hit")], [(b"x-sluice-cache", b"use")] * 2):
        with pytest.raises(InvalidRequest, match="x-sluice-cache is wrong"):
            read_wish(headers)
