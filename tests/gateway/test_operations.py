import gzip
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway
from tests.public_data import PUBLIC_DATA


def get(gateway: RunningGateway, path: str) -> httpx.Response:
    return httpx.get(gateway.origin + path, trust_env=False, timeout=60)


def test_health(gateway: RunningGateway) -> None:
    assert get(gateway, "/health/live").json() == get(gateway, "/health").json() == {"status": "live"}
    assert get(gateway, "/health/ready").json() == {"status": "ready"}


def test_not_ready_when_keys_are_too_old(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    keys = {"refresh_seconds": 0.1, "stale_seconds": 0.5}
    with RunningGateway(tmp_path, scripted_upstream.url, keys=keys) as gateway:
        for name in ("sluice.db", "sluice.db-wal", "sluice.db-shm"):
            (tmp_path / name).rename(tmp_path / f"away-{name}")
        (tmp_path / "sluice.db").write_bytes(b"this is no database at all" * 100)
        gateway.application.keyring._engine.dispose()
        gateway.wait(lambda: get(gateway, "/health/ready").status_code != 200)
        response = gateway.post({"model": "m", "messages": []})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "state_unavailable")


def test_metrics_count_requests_and_tokens(gateway: RunningGateway) -> None:
    usage = gateway.post({"model": "m", "messages": []}).json()["usage"]
    for number in range(3):
        gateway.post({"model": f"unknown-{number}", "messages": []})
    text = get(gateway, "/metrics").text
    assert 'sluice_requests_total{endpoint="chat.completions",model="m",status="200"} 1.0' in text
    assert 'sluice_requests_total{endpoint="chat.completions",model="",status="404"} 3.0' in text
    assert f'{{endpoint="chat.completions",kind="completion",model="m"}} {float(usage["completion_tokens"])}' in text
    assert "unknown-" not in text
    assert "sluice_open_requests 0.0" in text


def test_models(gateway: RunningGateway) -> None:
    client = gateway.client
    assert {model.id for model in client.models.list()} == {"m", "alias"}
    assert client.models.retrieve("m").owned_by == "sluice"
    response = get(gateway, "/v1/models/m")
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_the_openapi_document_describes_every_endpoint(gateway: RunningGateway) -> None:
    paths = get(gateway, "/openapi.json").json()["paths"]
    assert {path for path in paths if not path.startswith("/admin/")} == {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/key",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


def test_the_documentation_page_loads_everything_from_here(gateway: RunningGateway) -> None:
    page = get(gateway, "/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) >= 3
    for source in sources:
        assert source.startswith("/")
        assert get(gateway, source).status_code == 200
    assert "http://" not in page
    assert "https://" not in page


def test_error_objects_fit_openais_own_document(gateway: RunningGateway) -> None:
    """Required and allowed fields of `Error` as OpenAI publishes it, where its document is at hand."""
    document = PUBLIC_DATA / "openai_openapi" / "openapi.json.gz"
    if not document.exists():
        pytest.skip("OpenAI's OpenAPI document is not here")
    schema = json.loads(gzip.decompress(document.read_bytes()))["components"]["schemas"]["Error"]
    for response in (get(gateway, "/v1/models"), get(gateway, "/nowhere"), gateway.post(b"{")):
        error = response.json()["error"]
        assert set(schema["required"]) <= set(error)
        assert set(error) <= set(schema["properties"])
