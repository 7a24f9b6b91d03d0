"""What people are shown of trials and verdicts, in commands and in the demo."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classic_ml.training.search import Trial
    from sluice.promotion import GateResult

TRIAL_COLUMNS = ("algorithm", "parameters", "ROC AUC, five folds")


def trial_rows(trials: "Sequence[Trial]") -> list[list[str]]:
    """A row of `TRIAL_COLUMNS` for each trial."""
    return [[trial.parameters["algorithm"], _given(trial.parameters), f"{trial.auc:.4f}"] for trial in trials]


def gate_lines(result: "GateResult") -> list[str]:
    """A verdict with the figures behind it."""
    metric, calibration = result.report["roc_auc"], result.report["calibration"]
    low, high = metric["interval"]
    if result.incumbent is None:
        compared = f"ROC AUC {metric['head']:.4f} [{low:.4f}, {high:.4f}]; needed: {metric['limit']}"
    else:
        compared = (
            f"ROC AUC {metric['head']:.4f}, version {result.incumbent} {metric['base']:.4f} on the same rows; "
            f"difference {metric['difference']:+.4f} [{low:+.4f}, {high:+.4f}], margin {metric['margin']}"
        )
    return [
        compared,
        f"Calibration error {calibration['head']:.3f}; at most {calibration['limit']}",
        f"Verdict on {result.candidate}: {result.verdict} ({result.id})",
    ]


def _given(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in parameters.items() if name != "algorithm")
