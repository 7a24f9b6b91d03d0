"""A look at a model: report, plots, and one alert."""

import json

import pytest
from sqlmodel import Session, select

from classic_ml.monitoring import Alert, find_alert, monitor_month
from classic_ml.registry import gate_model, promote_model
from classic_ml.settings import GateSettings, MonitoringSettings
from sluice import audit, lineage
from sluice.errors import NotFound
from sluice.promotion import approve
from sluice.settings import PromotionSettings
from tests.classic_ml.trained import FEBRUARY, GOOD, JANUARY, Trained


@pytest.fixture
def in_production(trained: Trained) -> Trained:
    gate = GateSettings(minimum_auc=0.6, calibration_error=0.2)
    approve(trained.engine, gate_model(trained.home, trained.engine, "churn", GOOD, gate).candidate, by="bea")
    promote_model(trained.home, trained.engine, "churn", GOOD, by="bea", settings=PromotionSettings())
    return trained


def test_dearer_bills_raise_one_alert_however_often_one_looks(in_production: Trained) -> None:
    home, engine, month = in_production.home, in_production.engine, in_production.month(FEBRUARY)
    first = monitor_month(home, engine, "churn", month, MonitoringSettings())
    assert first.alert is not None
    assert first.report.features[0].name in ("monthly_charges", "total_charges")
    assert (first.alert.severity, first.alert.retraining) == ("critical", None)
    second = monitor_month(home, engine, "churn", month, MonitoringSettings())
    assert second.alert == first.alert
    with Session(engine) as session:
        assert len(session.exec(select(Alert)).all()) == 1
    assert [entry.action for entry in audit.entries(engine, f"alert:{first.alert.id}")] == ["alert.raised"]
    assert find_alert(engine) == first.alert
    roles = [role for role, _ in lineage.trace(engine, f"alert:{first.alert.id}").sources]
    assert roles == ["reference", "current"]


def test_the_report_needs_nothing_beside_it(in_production: Trained) -> None:
    found = monitor_month(
        in_production.home, in_production.engine, "churn", in_production.month(FEBRUARY), MonitoringSettings()
    )
    page = found.page.read_text()
    assert page.count("data:image/png;base64,") == len(found.report.drifted) > 0
    assert "http" not in page
    assert 'src="/' not in page
    plain = json.loads(found.page.with_suffix(".json").read_text())
    assert plain["severity"] == "critical"
    assert {feature["name"] for feature in plain["features"]} >= {"prediction", "monthly_charges", "contract"}


def test_the_month_it_learned_from_raises_nothing(in_production: Trained) -> None:
    found = monitor_month(
        in_production.home, in_production.engine, "churn", in_production.month(JANUARY), MonitoringSettings()
    )
    assert found.alert is None
    with pytest.raises(NotFound, match="There is no alert"):
        find_alert(in_production.engine)


def test_nothing_is_in_production_yet(trained: Trained) -> None:
    with pytest.raises(NotFound, match="No version of model 'churn' is in production"):
        monitor_month(trained.home, trained.engine, "churn", trained.month(FEBRUARY), MonitoringSettings())
