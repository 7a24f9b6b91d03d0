"""`sluice ml train`, `gate`, `approve`, `promote`, `models`, `predict`, `drift`, `retrain`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.cli.table import print_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from classic_ml.settings import ClassicMlSettings
    from sluice.home import Home
    from sluice.promotion import GateResult
    from sluice.settings import Settings

Model = Annotated[str, typer.Argument(help="The model's name: churn.")]
Version = Annotated[str, typer.Argument(help="The version's number; 'sluice ml models' lists them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str | None, typer.Option(help="Act in the name of this key's owner. Default: your own key.")]


def register(group: typer.Typer) -> None:
    """Add these commands to `sluice ml`."""
    for command in (train, gate, approve, promote, models, predict, drift, retrain):
        group.command()(command)


def train(
    model: Model = "churn",
    training_set: Annotated[
        str | None, typer.Option(help="Id of a training set. Default: one of all labels there are.")
    ] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Search with Ray Tune and Optuna, train a network with Ray Train, register the better one as a candidate.

    Everything stands in MLflow. What was trained before, from the same data with the same settings, is found again.
    """
    from rich.console import Console

    here = _open()
    author = _owner(here, key)
    from classic_ml.features import build_training_set, load_training_set
    from classic_ml.lakehouse import Lakehouse
    from classic_ml.projects import find_project

    project = find_project(model)
    if training_set is None:
        lakehouse = Lakehouse.of(here.settings)
        chosen = build_training_set(lakehouse, [project.view], project.labels, here.engine, here.home)
    else:
        chosen = load_training_set(here.home, training_set.removeprefix("training_set:"))
    with Console(stderr=True).status("Loading Ray and MLflow") as status:
        from classic_ml.showing import TRIAL_COLUMNS, trial_rows
        from classic_ml.training.train import train as train_model

        trained = train_model(
            chosen,
            model=model,
            home=here.home,
            engine=here.engine,
            author=author,
            settings=here.section.training,
            progress=status.update,
        )
    version = trained.version
    if as_json:
        _print_json(
            {
                "model": model,
                "version": version.version,
                "run": version.run,
                "training_set": version.training_set,
                "roc_auc": version.auc,
                "reused": trained.reused,
                "trials": [{"parameters": trial.parameters, "roc_auc": trial.auc} for trial in trained.trials],
            }
        )
        return
    print_table(TRIAL_COLUMNS, trial_rows(trained.trials))
    done = "was trained before" if trained.reused else "is the candidate"
    typer.echo(f"{version.candidate.id} {done}: ROC AUC {version.auc:.4f} over five folds (run {version.run}).")
    typer.echo(f"Next: sluice ml gate {model} {version.version}")


def gate(model: Model, version: Version, as_json: AsJson = False) -> None:
    """Judge a version against the one in production, on rows that neither has seen."""
    from rich.console import Console

    here = _open()
    with Console(stderr=True).status("Scoring and resampling"):
        from classic_ml.registry import gate_model

        result = gate_model(here.home, here.engine, model, version, here.section.gate)
    if as_json:
        _print_json({"id": result.id, "verdict": result.verdict, "incumbent": result.incumbent, **result.report})
    else:
        _print_gate(result)
    raise typer.Exit(0 if result.verdict == "pass" else 1)


def approve(
    model: Model,
    version: Version,
    note: Annotated[str, typer.Option(help="Why; it is kept with the approval.")] = "",
    key: Key = None,
) -> None:
    """Approve a version in the name of a key's owner, who must not be its author."""
    here = _open()
    by = _owner(here, key)
    from classic_ml.registry import find_version
    from sluice.promotion import approve as approve_candidate

    candidate = find_version(here.engine, model, version).candidate
    approve_candidate(here.engine, candidate, by=by, note=note)
    typer.echo(f"{by} has approved {candidate}.")


def promote(model: Model, version: Version, key: Key = None) -> None:
    """Put a version into production, if its gate passes and somebody else has approved it."""
    here = _open()
    by = _owner(here, key)
    from classic_ml.registry import promote_model

    label = promote_model(here.home, here.engine, model, version, by=by, settings=here.settings.promotion)
    typer.echo(f"Version {label.version} of {model} is in '{label.label}' ({label.promotion_id}).")


def models(model: Model = "churn", as_json: AsJson = False) -> None:
    """List a model's versions: their ROC AUC, their gate's last verdict, and which one is in production."""
    here = _open()
    from sqlmodel import Session

    from classic_ml.registry import PRODUCTION, follow_label, list_versions
    from sluice.promotion import labelled, latest_gate

    follow_label(here.home, here.engine, model)
    label = labelled(here.engine, "model", model, PRODUCTION)
    rows: list[dict[str, Any]] = []
    with Session(here.engine) as session:
        for version in list_versions(here.engine, model):
            verdict = latest_gate(session, version.candidate)
            rows.append(
                {
                    "version": version.version,
                    "algorithm": version.parameters["algorithm"],
                    "roc_auc": version.auc,
                    "author": version.author,
                    "gate": verdict and verdict.verdict,
                    "label": PRODUCTION if label and label.version == version.version else None,
                    "run": version.run,
                    "training_set": version.training_set,
                }
            )
    if as_json:
        _print_json(rows)
    elif not rows:
        typer.echo(f"Model '{model}' has no version yet. To make one: sluice ml train {model}")
    else:
        shown = [row | {"roc_auc": f"{row['roc_auc']:.4f}", "training_set": row["training_set"][:12]} for row in rows]
        print_table(list(rows[0]), [[str(value or "") for value in row.values()] for row in shown])


def predict(
    model: Model, entity: Annotated[str, typer.Argument(help="A customer's id.")], as_json: AsJson = False
) -> None:
    """Ask the model in production about a customer, through the gateway. The first time, Ray Serve has to start."""
    from rich.console import Console

    from sluice.gateway_client import GatewayClient, gateway_access
    from sluice.settings_files import load_settings

    with GatewayClient(*gateway_access(load_settings())) as client, Console(stderr=True).status("Asking"):
        answer, _ = client.post(f"/predict/{model}", {"entity": entity})
    if as_json:
        _print_json(answer)
        return
    typer.echo(
        f"{entity}: {answer['score']:.4f}, by version {answer['version']}, features of {answer['features_at'][:10]}"
    )
    typer.echo(f"Where it comes from: sluice trace {answer['id']}")


def drift(
    model: Model = "churn",
    month: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The load to look at, by its --as-of. Default: the newest."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the newest month against what the model in production learned from; write a report, raise an alert."""
    from rich.console import Console

    here = _open()
    with Console(stderr=True).status("Comparing"):
        from classic_ml.monitoring import monitor_month
        from classic_ml.monitoring.report import as_plain
        from classic_ml.pipelines.month import training_set_of_month

        current = training_set_of_month(here.settings, here.engine, model, month and month.replace(tzinfo=UTC))
        found = monitor_month(here.home, here.engine, model, current, here.section.monitoring)
    alert = found.alert
    if as_json:
        report = as_plain(found.report)
        _print_json({"page": str(found.page), "alert": alert and alert.id, **report})
        return
    rows = [[one.name, str(one.severity), f"{one.psi:.3f}", f"{one.p_value:.2g}"] for one in found.report.features]
    print_table(["column", "severity", "stability index", "p, adjusted"], rows)
    typer.echo(f"Report: {found.page}")
    if alert is not None:
        typer.echo(f"Alert {alert.id}, {alert.severity}: {alert.summary}")
        typer.echo(f"Next: sluice ml retrain {alert.id}")


def retrain(
    alert: Annotated[str | None, typer.Argument(help="The alert that asks for it. Default: the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a candidate on the data of an alert and judge it. It is never promoted by itself."""
    from rich.console import Console

    here = _open()
    with Console(stderr=True).status("Loading Ray and MLflow") as status:
        from classic_ml.monitoring import find_alert
        from classic_ml.pipelines import retrain as run

        retrained = run(
            find_alert(here.engine, alert),
            home=here.home,
            engine=here.engine,
            training=here.section.training,
            gate=here.section.gate,
            progress=status.update,
        )
    version, result = retrained.trained.version, retrained.gate
    if as_json:
        _print_json({"version": version.version, "run": version.run, "gate": result.id, "verdict": result.verdict})
        return
    typer.echo(f"{version.candidate.id}: ROC AUC {version.auc:.4f} on the new month (run {version.run}).")
    _print_gate(result)


@dataclass(frozen=True)
class _Here:
    settings: "Settings"
    section: "ClassicMlSettings"
    engine: "Engine"
    home: "Home"


def _open() -> _Here:
    from classic_ml.settings import ClassicMlSettings
    from sluice.database import connect, migrate
    from sluice.settings_files import load_settings

    settings = load_settings()
    migrate(settings.database_url)
    section = settings.section("classic_ml", ClassicMlSettings)
    return _Here(settings, section, connect(settings.database_url), settings.home)


def _owner(here: _Here, key: str | None) -> str:
    from sluice.gateway_client import gateway_access
    from sluice.identity import identify

    return identify(here.engine, key or gateway_access(here.settings)[1]).owner


def _print_gate(result: "GateResult") -> None:
    from classic_ml.showing import gate_lines

    for line in gate_lines(result):
        typer.echo(line)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2))
