"""The churn model on the platform's own training set: five-fold ROC AUC, seconds, memory.

Run: python -m tests.benchmarks.bench_churn
"""

import argparse
import resource
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from classic_ml.churn import CHURN, CHURNED, CUSTOMER
from classic_ml.churn.samples import SAMPLE
from classic_ml.features import build_training_set
from classic_ml.ingestion import ingest
from classic_ml.lakehouse import Lakehouse
from classic_ml.settings import TrainingSettings
from classic_ml.training.train import TrainedModel, train
from sluice.database import connect, migrate
from sluice.home import Home
from tests.benchmarks.report import row, show, write

REPORT = Path(".sluice/bench/churn.json")
MONTH = datetime(2026, 9, 1, tzinfo=UTC)
GIB = 2**30


def main() -> None:
    """Train twice in an empty home folder, and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        with Memory() as memory, console.status("Training"):
            first, seconds = trained(Path(folder))
        with console.status("Training again"):
            again, seconds_again = trained(Path(folder))
    rows = [
        row("five-fold ROC AUC", first.version.auc, "", "≥", 0.840),
        row("training, first time", seconds, "s", "≤", 300),
        row("training, again", seconds_again, "s", "≤", 60),
        row("memory, all processes", memory.peak / GIB, "GiB", "≤", 4),
        row("versions after the second time", int(again.version.version), "", "=", 1),
    ]
    measured: dict[str, Any] = {
        "trials": [{"parameters": trial.parameters, "roc_auc": trial.auc} for trial in first.trials],
        "training_set": first.version.training_set,
        "driver_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    write(REPORT, rows, measured)
    show(console, rows)


def trained(root: Path) -> tuple[TrainedModel, float]:
    """From the shipped file to a registered version, and how long it took."""
    started = time.monotonic()
    home, lakehouse = Home(root), Lakehouse(root / "lakehouse")
    url = f"sqlite:///{root / 'sluice.db'}"
    migrate(url)
    engine = connect(url)
    ingest(SAMPLE, CHURN, MONTH, lakehouse=lakehouse, engine=engine, home=home)
    training_set = build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home)
    done = train(training_set, model="churn", home=home, engine=engine, author="bench", settings=TrainingSettings())
    engine.dispose()
    return done, time.monotonic() - started


class Memory:
    """The most memory that this process and all below it held at one time (shared pages counted once, as PSS)."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._stop.wait(1):
            total = 0
            for process in (this, *this.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


if __name__ == "__main__":
    main()
