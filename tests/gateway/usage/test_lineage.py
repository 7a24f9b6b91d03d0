import json
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.request_id import new_request_id
from gateway.usage.lineage import record_models, resolve
from gateway.usage.record import UsageRecord, insert
from sluice.database import connect
from sluice.home import Home
from sluice.identity import create_key
from sluice.lineage import Found
from sluice.lineage.graph import LineageNode
from sluice.models.sources import Record, _identity
from sluice.settings import Settings

RECORD = UsageRecord("", "k", "m", "chat.completions", 200, None, True, 12, 4, 3, 1_800_000_000.5, 20.0, 4.0, 15)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment with two models, one of them fetched."""
    models = {name: {"source": {"package": f"{name}==1"}, "port": port} for name, port in (("m", 8410), ("new", 8420))}
    settings = Settings.model_validate({"platform": {"home": tmp_path}, "models": models})
    shelf = Home(tmp_path).models / "m" / _identity(settings.models["m"].source)
    shelf.mkdir(parents=True)
    fetched = Record("m==1", "sha256:aa", str(shelf), "2026-11-24T00:00:00+00:00")
    (shelf / "source.json").write_text(json.dumps(asdict(fetched)))
    return settings


def resolved(engine: Engine, request_id: str) -> Found:
    with Session(engine) as session:
        found = resolve(session, request_id)
    assert found is not None
    return found


def test_a_request_is_known_by_its_record(engine: Engine) -> None:
    key, _ = create_key(engine, owner="ada")
    further = {"prompt": "capital@3f2a", "policy": "pii@77", "parent_id": "req-0", "verdicts": '[{"action":"redact"}]'}
    insert(engine, [msgspec.structs.replace(RECORD, request_id="req-1", key_id=key.id, **further)])
    found = resolved(engine, "req-1")
    assert found.sources == (
        ("prompt", "prompt:capital@3f2a"),
        ("policy", "policy:pii@77"),
        ("parent", "request:req-0"),
    )
    assert (
        found.attributes | {"owner": "ada", "charged_tokens": 15, "verdicts": [{"action": "redact"}]}
        == found.attributes
    )
    assert found.at is not None
    assert found.at.timestamp() == RECORD.started_at
    with Session(engine) as session:
        assert resolve(session, "req-2") is None


def test_a_request_is_traced_to_the_weights_that_answered_it(engine: Engine, settings: Settings) -> None:
    record_models(engine, settings)
    record_models(engine, settings)
    here, elsewhere = new_request_id(), "req-" + "f" * 28
    insert(engine, [msgspec.structs.replace(RECORD, request_id=id_) for id_ in (here, elsewhere)])
    assert resolved(engine, here).sources == (("model", "model:m@sha256:aa"),)
    assert resolved(engine, elsewhere).sources == ()
    with Session(engine) as session:
        node = session.get(LineageNode, "model:m@sha256:aa")
        assert node is not None
        assert node.attributes == {"source": "m==1", "fetched_at": "2026-11-24T00:00:00+00:00"}


def test_a_database_that_is_not_set_up_does_not_fail_the_start(
    database_url: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    record_models(connect(database_url), settings)
    assert "will not tell which weights answered" in caplog.text
