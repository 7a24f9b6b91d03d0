"""`sluice demo churn`: from a customer file to a prediction, and from a drifted month to the next candidate."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sluice.demo import Outcome, Stage
from sluice.errors import NotAllowed, UpstreamRefused

if TYPE_CHECKING:
    from classic_ml.features import TrainingSet
    from classic_ml.pipelines import Retrained
    from classic_ml.registry import ModelVersion
    from classic_ml.settings import ClassicMlSettings
    from sluice.promotion import GateResult

MODEL = "churn"
FIRST_MONTH = datetime(2026, 9, 1, tzinfo=UTC)
SHIFTED_MONTH = datetime(2026, 10, 1, tzinfo=UTC)
CUSTOMER = "7590-VHVEG"
NOBODY = "0000-NOONE"


def churn(stage: Stage) -> Outcome:
    """Play the whole journey; a second time finds all that it made and makes nothing twice."""
    from classic_ml.demo_keys import keys_of
    from classic_ml.settings import ClassicMlSettings
    from sluice.identity import identify

    settings = stage.settings.section("classic_ml", ClassicMlSettings)
    keys = keys_of(stage.engine, stage.folder / MODEL / "keys.json", ("ml-engineer", "ml-lead"))
    engineer, lead = (identify(stage.engine, key).owner for key in keys)

    month = _load_month(stage, settings, FIRST_MONTH)
    version = _train(stage, settings, month, engineer)
    gate = _promote(stage, settings, version, engineer, lead)
    prediction = _predict(stage)
    shifted = _load_month(stage, settings, SHIFTED_MONTH)
    retrained = _watch(stage, settings, shifted)
    return _outcome(stage, version, gate, prediction, retrained)


def _load_month(stage: Stage, settings: "ClassicMlSettings", month: datetime) -> "TrainingSet":
    """The shipped file with faults planted in it, or the shifted one, as far as a training set."""
    from classic_ml.churn.samples import plant_faults, shifted_month
    from classic_ml.features import build_training_set, materialize
    from classic_ml.ingestion import ingest
    from classic_ml.lakehouse import Lakehouse
    from classic_ml.projects import find_project

    project, lakehouse = find_project(MODEL), Lakehouse.of(stage.settings)
    file = stage.folder / MODEL / f"customers-{month:%Y-%m}.csv"
    shifted = month == SHIFTED_MONTH
    with stage.step(f"Customers of {month:%B %Y}" + (", after prices rose" if shifted else ", with bad rows planted")):
        if shifted:
            shifted_month(file)
        else:
            plant_faults(file)
        loaded = ingest(
            file,
            project.dataset,
            month,
            lakehouse=lakehouse,
            engine=stage.engine,
            home=stage.home,
            rejected_share=settings.quality.rejected_share,
            now=month,  # the demo plays this month, whatever the clock says
        )
    there = "were there already" if loaded.already_there else "loaded"
    stage.show(f"  {loaded.accepted:,} of {loaded.rows:,} rows {there}: {', '.join(loaded.tables)}")
    if loaded.quarantined:
        table = Table("rows in quarantine", "reason", box=None, padding=(0, 2))
        for reason, count in loaded.reasons.items():
            table.add_row(str(count), reason)
        stage.show(table)
    with stage.step("Features online, labels joined with what was known then"):
        materialize(stage.engine, lakehouse, project.view)
        training_set = build_training_set(
            lakehouse, [project.view], project.labels, stage.engine, stage.home, since=month, until=month
        )
    stage.show(f"  training_set:{training_set.id[:12]}")
    return training_set


def _train(stage: Stage, settings: "ClassicMlSettings", training_set: "TrainingSet", author: str) -> "ModelVersion":
    with stage.console.status("Loading Ray and MLflow") as status:
        from classic_ml.showing import TRIAL_COLUMNS, trial_rows
        from classic_ml.training.train import train

        trained = train(
            training_set,
            model=MODEL,
            home=stage.home,
            engine=stage.engine,
            author=author,
            settings=settings.training,
            progress=status.update,
        )
    version = trained.version
    done = "found again" if trained.reused else "trained on Ray, logged to MLflow"
    stage.show(f"[green]✓[/green] Candidate model:{MODEL}@{version.version}, {done} (run {version.run[:12]})")
    table = Table(*TRIAL_COLUMNS, box=None, padding=(0, 2))
    for row in trial_rows(trained.trials):
        table.add_row(*row)
    stage.show(table)
    return version


def _promote(
    stage: Stage, settings: "ClassicMlSettings", version: "ModelVersion", engineer: str, lead: str
) -> "GateResult":
    """Gate, a refused approval, an approval, the move; a later version that somebody promoted meanwhile stays."""
    from classic_ml.registry import PRODUCTION, gate_model, promote_model
    from sluice.promotion import approve, labelled

    with stage.step("Its gate"):
        gate = gate_model(stage.home, stage.engine, MODEL, version.version, settings.gate)
    _show_gate(stage, gate)
    try:
        approve(stage.engine, version.candidate, by=engineer)
    except NotAllowed as refusal:
        stage.show(f"  {engineer} wants to approve it. Refused: {refusal}")
    label = labelled(stage.engine, "model", MODEL, PRODUCTION)
    if label is not None and label.version != version.version:
        stage.show(f"  Version {label.version} is in '{PRODUCTION}' already, and stays.")
        return gate
    with stage.step(f"{lead} approves it, and '{PRODUCTION}' moves to version {version.version}"):
        approve(stage.engine, version.candidate, by=lead, note="demo")
        promote_model(stage.home, stage.engine, MODEL, version.version, by=engineer, settings=stage.settings.promotion)
    return gate


def _predict(stage: Stage) -> dict[str, Any]:
    with stage.gateway() as gateway:
        with stage.step(f"POST /v1/predict/{MODEL} through the gateway (the first time, Ray Serve starts)"):
            answer, request = gateway.post(f"/predict/{MODEL}", {"entity": CUSTOMER})
        stage.show(
            f"  {CUSTOMER} leaves with a probability of {answer['score']:.2f}, says version {answer['version']}"
            f" ({answer['id']}, request {request})"
        )
        try:
            gateway.post(f"/predict/{MODEL}", {"entity": NOBODY})
        except UpstreamRefused as refusal:
            stage.show(f"  {NOBODY} is nobody. Answered {refusal.status}: {refusal}")
    return answer


def _watch(stage: Stage, settings: "ClassicMlSettings", month: "TrainingSet") -> "Retrained | None":
    from classic_ml.monitoring import monitor_month
    from classic_ml.pipelines import retrain

    with stage.step("The month held against what the model learned from"):
        found = monitor_month(stage.home, stage.engine, MODEL, month, settings.monitoring)
    table = Table("drifted", "severity", "stability index", "p, adjusted", box=None, padding=(0, 2))
    for feature in found.report.drifted:
        table.add_row(feature.name, str(feature.severity), f"{feature.psi:.2f}", f"{feature.p_value:.1g}")
    stage.show(table, f"  Report with plots: {found.page}")
    if found.alert is None:
        return None
    stage.show(f"  Alert {found.alert.id}, {found.alert.severity}: {found.alert.summary}")
    with stage.console.status("Retraining") as status:
        retrained = retrain(
            found.alert,
            home=stage.home,
            engine=stage.engine,
            training=settings.training,
            gate=settings.gate,
            progress=status.update,
        )
    done = "found again" if retrained.trained.reused else "trained"
    stage.show(f"[green]✓[/green] The alert's retraining: model:{MODEL}@{retrained.trained.version.version}, {done}")
    _show_gate(stage, retrained.gate)
    return retrained


def _show_gate(stage: Stage, gate: "GateResult") -> None:
    from classic_ml.showing import gate_lines

    for line in gate_lines(gate):
        stage.show(f"  {line}")


def _outcome(
    stage: Stage,
    version: "ModelVersion",
    gate: "GateResult",
    prediction: dict[str, Any],
    retrained: "Retrained | None",
) -> Outcome:
    table = Table("", "", box=None, show_header=False, padding=(0, 2))
    table.add_row("training set", version.training_set[:12])
    table.add_row("candidate", f"version {version.version}, ROC AUC {version.auc:.4f} over five folds")
    table.add_row("gate", f"{gate.verdict} ({gate.id})")
    table.add_row("prediction", f"{prediction['id']}: {prediction['score']:.4f} by version {prediction['version']}")
    if retrained:
        after = retrained.trained.version
        table.add_row("retraining", f"version {after.version}, gate {retrained.gate.verdict}; nothing was promoted")
    stage.show("", table)
    following = ["sluice ml models", "sluice ml drift"]
    if retrained:
        following.append(f"sluice ml approve {MODEL} {retrained.trained.version.version}")
    return Outcome(
        f"Version {prediction['version']} answers; the candidate's ROC AUC is {version.auc:.3f}; a drifted month led to the next.",
        tuple(following),
        f"prediction:{prediction['id']}",
    )
