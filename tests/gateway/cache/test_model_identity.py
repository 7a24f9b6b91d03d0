import json
import os
from pathlib import Path
from typing import Any

from gateway.cache.model_identity import model_identities
from sluice.home import Home
from sluice.models.sources import _identity
from sluice.settings import Settings


def deployment(home: Path, source: dict[str, Any], **model: Any) -> Settings:
    models = {"m": {"port": 1, "source": source, **model}}
    return Settings.model_validate({"platform": {"home": home}, "models": models})


def fetched(settings: Settings, digest: str) -> None:
    folder = Home(settings.platform.home).models / "m" / _identity(settings.models["m"].source)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"source": "x", "digest": digest, "folder": str(folder), "fetched_at": ""}
    (folder / "source.json").write_text(json.dumps(record))


def test_weights_and_how_they_run_tell_models_apart(tmp_path: Path) -> None:
    settings = deployment(tmp_path, {"package": "p==1"})
    assert model_identities(settings) == {}  # not fetched: nobody knows what will answer
    fetched(settings, "sha256:1")
    first = model_identities(settings)
    fetched(settings, "sha256:2")
    second = model_identities(settings)
    assert first != second
    assert model_identities(deployment(tmp_path, {"package": "p==1"}, dtype="float32")) != second
    assert model_identities(deployment(tmp_path, {"package": "p==1"}, replicas=2, port=7)) == second


def test_a_folder_used_where_it_lies_changes_with_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    weights = folder / "model.safetensors"
    (folder / "config.json").write_text("{}")
    weights.write_bytes(b"1")
    settings = deployment(tmp_path / "home", {"path": str(folder)})
    before = model_identities(settings)
    assert set(before) == {"m"}
    os.utime(weights, ns=(1, 1))
    assert model_identities(settings) != before


def test_a_route_is_where_it_leads(tmp_path: Path) -> None:
    def identity(**route: Any) -> str:
        return model_identities(Settings.model_validate({"routes": {"r": {"url": "http://a/v1", **route}}}))["r"]

    assert identity() != identity(url="http://b/v1")
    assert identity() != identity(model="other")
    assert identity() != identity(provider="anthropic")
    assert identity() == identity(api_key_env="RENEWED")
