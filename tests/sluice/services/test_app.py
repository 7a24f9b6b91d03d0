from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from sluice.database import connect, migrate
from sluice.errors import NotFound
from sluice.identity import create_key
from sluice.services import Caller, create_services
from sluice.settings import Settings


class Body(BaseModel):
    """What the test's route takes."""

    count: int


@pytest.fixture
def key_and_client(tmp_path: Path) -> Iterator[tuple[str, TestClient]]:
    settings = Settings.model_validate({"platform": {"home": tmp_path}})
    migrate(settings.database_url)
    key = create_key(connect(settings.database_url), owner="ada")[1]
    app = create_services(settings)

    @app.post("/v1/thing")
    def thing(body: Body, caller: Caller) -> dict[str, object]:
        if body.count == 0:
            raise NotFound("There is no thing.")
        return {"owner": caller.identity.owner, "request": caller.request_id, "same": caller.key == key}

    with TestClient(app, raise_server_exceptions=False) as client:
        yield key, client


def test_a_route_knows_its_caller(key_and_client: tuple[str, TestClient]) -> None:
    key, client = key_and_client
    headers = {"authorization": f"Bearer {key}", "x-request-id": "req-1"}
    answer = client.post("/v1/thing", json={"count": 1}, headers=headers)
    assert answer.json() == {"owner": "ada", "request": "req-1", "same": True}


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer sk-sluice-nope", "Basic abc"])
def test_who_has_no_key_is_refused(key_and_client: tuple[str, TestClient], authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    answer = key_and_client[1].post("/v1/thing", json={"count": 1}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [('{"count": 0}', 404, None), ('{"count": "x"}', 400, "count"), ("{}", 400, "count"), ("{", 400, None)],
)
def test_errors_have_openais_shape(
    key_and_client: tuple[str, TestClient], body: str, status: int, param: str | None
) -> None:
    key, client = key_and_client
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    answer = client.post("/v1/thing", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_health_needs_no_key(key_and_client: tuple[str, TestClient]) -> None:
    assert key_and_client[1].get("/health").json() == {"status": "live"}
