from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from rag.index.build import Built
from sluice.identity import create_key
from sluice.services import create_services
from sluice.settings import Settings
from tests.rag.gateway_double import GatewayDouble

Post = Callable[[str, dict[str, Any]], httpx.Response]


@pytest.fixture
def key(database: Engine) -> str:
    return create_key(database, owner="ada")[1]


@pytest.fixture
def post(settings: Settings, key: str) -> Iterator[Post]:
    headers = {"authorization": f"Bearer {key}", "x-request-id": "req-asked"}
    with TestClient(create_services(settings), raise_server_exceptions=False) as client:
        yield lambda path, body: client.post(path, json=body, headers=headers)


def test_search_answers_with_places(post: Post, pages: Path, build: Callable[[Path], Built]) -> None:
    version = build(pages).version
    found = post("/v1/search", {"query": "day ticket crowns", "limit": 2}).json()
    assert found["index"] == version.id
    assert len(found["hits"]) == 2
    assert found["hits"][0]["path"] == "tolls.txt"
    assert found["hits"][0]["start"] == 0


def test_ask_calls_the_gateway_with_the_callers_key_on_behalf_of_the_request(
    post: Post, pages: Path, build: Callable[[Path], Built], gateway_double: GatewayDouble, key: str
) -> None:
    build(pages)
    gateway_double.requests.clear()
    gateway_double.replies.append("A day ticket costs 9 crowns.")
    given = post("/v1/ask", {"question": "What does a day ticket cost?"}).json()
    assert (given["kind"], given["text"]) == ("answer", "A day ticket costs 9 crowns. [1]")
    assert given["citations"][0]["path"] == "tolls.txt"
    for _, headers, _ in gateway_double.requests:
        assert headers["authorization"] == f"Bearer {key}"
        assert headers["x-sluice-parent"] == "req-asked"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/ask", {"question": "?", "index": "dogs"}, 404, "There is no index 'dogs'. Take one of: docs"),
        ("/v1/ask", {"question": "?", "index": "../docs"}, 400, "cannot be an index's name"),
        ("/v1/ask", {"question": ""}, 400, "'question'"),
        ("/v1/ask", {"question": " "}, 400, "The question is empty."),
        ("/v1/ask", {}, 400, "'question'"),
        ("/v1/search", {"query": "a", "limit": 0}, 400, "'limit'"),
        ("/v1/search", {"query": "a" * 5_000}, 400, "'query'"),
    ],
)
def test_mistakes_get_one_clear_sentence(
    post: Post,
    pages: Path,
    build: Callable[[Path], Built],
    path: str,
    body: dict[str, Any],
    status: int,
    message: str,
) -> None:
    build(pages)
    response = post(path, body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


def test_asking_before_anything_was_indexed(post: Post) -> None:
    response = post("/v1/ask", {"question": "What does a day ticket cost?"})
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "Nothing has been indexed yet. Run: sluice rag index FOLDER"
