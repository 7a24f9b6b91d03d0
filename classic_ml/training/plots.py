"""The plots of a run."""

from pathlib import Path

from classic_ml.training.cross_fit import Scores, roc_auc
from classic_ml.training.examples import Examples


def save_plots(folder: Path, examples: Examples, scores: Scores) -> None:
    """Write `roc.png` and `calibration.png`, from out-of-fold scores."""
    from matplotlib.figure import Figure
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_curve

    folder.mkdir(parents=True)
    false_positives, true_positives, _ = roc_curve(examples.labels, scores)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="false positive rate", ylabel="true positive rate", title="ROC, five folds")
    axes.plot(false_positives, true_positives, label=f"AUC {roc_auc(examples.labels, scores):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.legend()
    figure.savefig(folder / "roc.png", dpi=100)

    observed, predicted = calibration_curve(examples.labels, scores, n_bins=10, strategy="quantile")
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted share", ylabel="observed share", title="Calibration, five folds")
    axes.plot(predicted, observed, marker="o")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    figure.savefig(folder / "calibration.png", dpi=100)
