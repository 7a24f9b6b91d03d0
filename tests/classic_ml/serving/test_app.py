"""The HTTP face of predictions, as a Ray Serve replica has it."""

import pickle
from collections.abc import Iterator

import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from classic_ml.registry import find_version, gate_model, promote_model
from classic_ml.serving.app import create_app
from classic_ml.serving.lineage import resolve
from classic_ml.serving.prediction import Prediction
from classic_ml.settings import GateSettings
from sluice.identity import create_key, revoke_key
from sluice.promotion import approve, labelled
from sluice.settings import KeySettings, PromotionSettings
from tests.classic_ml.trained import GOOD, SIMILAR, Trained

CUSTOMER = "0007-TESTS"
GATE = GateSettings(margin=0.1, minimum_auc=0.6, calibration_error=0.2)


def put_into_production(trained: Trained, version: str) -> None:
    approve(trained.engine, gate_model(trained.home, trained.engine, "churn", version, GATE).candidate, by="bea")
    promote_model(trained.home, trained.engine, "churn", version, by="bea", settings=PromotionSettings())


@pytest.fixture
def client(trained: Trained) -> Iterator[TestClient]:
    """With a key that may do everything."""
    _, key = create_key(trained.engine, owner="ada")
    with TestClient(create_app(trained.engine, trained.home, KeySettings())) as client:
        client.headers["authorization"] = f"Bearer {key}"
        yield client


def test_a_prediction_is_recorded_and_traced(trained: Trained, client: TestClient) -> None:
    put_into_production(trained, GOOD)
    answer = client.post("/v1/predict/churn", json={"entity": CUSTOMER}, headers={"x-request-id": "req-1"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"], body["entity"]) == ("churn", GOOD, CUSTOMER)
    assert 0 < body["score"] < 1
    assert body["features_at"].startswith("2026-02-28")
    label = labelled(trained.engine, "model", "churn", "production")
    assert label is not None
    with Session(trained.engine) as session:
        [kept] = session.exec(select(Prediction)).all()
        assert (kept.id, kept.score, kept.request_id) == (body["id"], body["score"], "req-1")
        assert set(kept.features) == set(find_version(trained.engine, "churn", GOOD).features)
        found = resolve(session, kept.id)
        assert found is not None
        assert found.sources == (("promotion", f"promotion:{label.promotion_id}"), ("features", kept.features_source))
        assert resolve(session, "pred-none") is None


def test_the_score_is_that_of_the_logged_model_on_the_entitys_features(trained: Trained, client: TestClient) -> None:
    put_into_production(trained, GOOD)
    body = client.post("/v1/predict/churn", json={"entity": CUSTOMER}).json()
    version = find_version(trained.engine, "churn", GOOD)
    pipeline = pickle.loads((trained.home.root / version.artifacts / "model/model.pkl").read_bytes())
    with Session(trained.engine) as session:
        features = session.get_one(Prediction, body["id"]).features
    row = [[features[name] for name in version.features]]
    import numpy as np

    assert body["score"] == pytest.approx(pipeline.predict_proba(np.array(row, dtype=object))[0, 1])


def test_a_moved_label_answers_at_once(trained: Trained, client: TestClient) -> None:
    put_into_production(trained, GOOD)
    first = client.post("/v1/predict/churn", json={"entity": CUSTOMER}).json()
    put_into_production(trained, SIMILAR)
    second = client.post("/v1/predict/churn", json={"entity": CUSTOMER}).json()
    assert (first["version"], second["version"]) == (GOOD, SIMILAR)
    assert first["score"] != second["score"]


def test_what_is_not_there(trained: Trained, client: TestClient) -> None:
    def refusal(model: str, entity: str = CUSTOMER) -> str:
        answer = client.post(f"/v1/predict/{model}", json={"entity": entity})
        assert answer.status_code == 404
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        return answer.json()["error"]["message"]

    assert "No version of model 'churn' is in production" in refusal("churn")
    put_into_production(trained, GOOD)
    assert "'0000-NOONE'" in refusal("churn", "0000-NOONE")
    assert "There is no model 'weather'" in refusal("weather")
    with Session(trained.engine) as session:
        assert not session.exec(select(Prediction)).all()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"entity": 7}', b'{"entity": ""}', b'{"entity": "a", "version": "2"}']
)
def test_wrong_bodies(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/predict/churn", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_other_paths_methods_and_sizes(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/v1/predict/churn").status_code == 405
    assert client.post("/v1/other").status_code == 404
    assert client.post("/v1/predict/churn", content=b" " * 100_000).status_code == 413


def test_keys(trained: Trained, client: TestClient) -> None:
    put_into_production(trained, GOOD)
    row, other = create_key(trained.engine, owner="eve", models=["smollm2"])
    _, allowed = create_key(trained.engine, owner="eve", models=["churn"])

    def status(authorization: str) -> int:
        headers = {"authorization": authorization}
        return client.post("/v1/predict/churn", json={"entity": CUSTOMER}, headers=headers).status_code

    assert status(f"Bearer {allowed}") == 200
    assert status(f"Bearer {other}") == 404
    revoke_key(trained.engine, row.id)
    assert [status(wrong) for wrong in ("", "Bearer", f"Basic {allowed}", f"Bearer {allowed[:-1]}-")] == [401] * 4
