"""A platform of its own for a benchmark: the end-to-end tests' one, in a home folder that begins empty."""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "platform")]

from sluice.cli.demo import ORDER as DEMOS  # noqa: E402
from tests.end_to_end.running_platform import RunningPlatform, engine_python  # noqa: E402

__all__ = ["DEMOS", "REPOSITORY", "RunningPlatform", "fresh_platform", "made"]

HOME = REPOSITORY / ".sluice" / "bench" / "platform"
MADE_ONCE = ("prompt_version", "gate_result", "approval", "label", "promotion", "online_feature", "alert")


@contextmanager
def fresh_platform() -> Iterator[RunningPlatform]:
    """Up and running; models that another home has fetched are copied, all else is made anew."""
    if not engine_python().exists():
        sys.exit("The engine's environment is missing. Run: make install")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the block that stops what was started
    HOME.mkdir(parents=True, exist_ok=True)
    fetched = REPOSITORY / ".sluice" / "models"
    if fetched.exists() and not (HOME / "models").exists():
        shutil.copytree(fetched, HOME / "models", symlinks=True)
    platform = RunningPlatform(HOME)
    platform.prepare(dict(os.environ))
    try:
        platform.up()
        yield platform
    finally:
        platform.sluice("down", timeout=120)


def made(platform: RunningPlatform) -> dict[str, object]:
    """What was made, not what happened: rows of these tables, tables of the lakehouse, runs and versions, points."""
    found: dict[str, object] = {}
    # Closed at once: a connection left open would lose its locks when the file is copied, and then read what is old.
    with closing(sqlite3.connect(platform.home / "sluice.db")) as database:
        for table in MADE_ONCE:
            found[table] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        kinds = "SELECT substr(id, 1, instr(id, ':') - 1) AS kind, count(*) FROM lineage_node GROUP BY kind"
        happened = {"answer", "request", "tool_call", "gateway"}
        found |= {f"lineage {kind}": count for kind, count in database.execute(kinds) if kind not in happened}
    mlflow = platform.home / "mlflow" / "mlflow.db"
    if mlflow.exists():
        with closing(sqlite3.connect(mlflow)) as database:
            for table in ("runs", "model_versions"):
                found[f"mlflow {table}"] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    for folder in ("indexes", "lakehouse", "ml"):
        found[f"files in {folder}"] = sum(path.is_file() for path in (platform.home / folder).rglob("*"))
    return found
