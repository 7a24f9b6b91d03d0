"""`kill -9` of the whole platform in the middle of each demo, at random points: the rerun must end in the same state.

Each point begins from the state before that demo, which is kept aside, so it takes two starts of the engine: with three
points a demo this runs for more than an hour. `--points 1` and `--only churn` make it shorter.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import report
from journeys.platform import DEMOS, REPOSITORY, RunningPlatform, fresh_platform, made
from rich.console import Console

OUTPUT = Path(".sluice/bench/kills.json")
KEPT = ("models", "lock", "configs", "logs", "run", "before")


def main() -> int:
    options = parse_options()
    console = Console()
    differences: list[str] = []
    points = 0
    with fresh_platform() as platform:
        for name in DEMOS:
            platform.sluice("down", timeout=120)
            keep(platform)
            platform.up()
            began = time.monotonic()
            platform.sluice("demo", name, timeout=900)
            seconds = time.monotonic() - began
            expected = made(platform)
            if name not in options.only:
                continue
            chosen = random.Random(f"{options.seed}/{name}")
            for _ in range(options.points):
                kill_all(platform)
                restore(platform)
                platform.up()
                after = chosen.uniform(0.05, 0.95) * seconds
                play_and_kill(platform, name, after)
                platform.up()
                platform.sluice("demo", name, timeout=900)
                points += 1
                found = made(platform)
                platform.sluice("audit", "verify")
                changed = {
                    key: (expected.get(key), found.get(key))
                    for key in expected | found
                    if expected.get(key) != found.get(key)
                }
                console.print(f"{name}: killed after {after:.1f} of {seconds:.1f} s: {changed or 'the same'}")
                differences += [f"{name} after {after:.1f} s: {changed}"] if changed else []
    rows = [report.row(f"of {points} kills, reruns that ended in another state", len(differences), "", "=", 0)]
    report.show(console, rows)
    report.write(OUTPUT, rows, {"differences": differences, "seed": options.seed})
    return 0 if rows[0].holds else 1


def play_and_kill(platform: RunningPlatform, name: str, after: float) -> None:
    """Start the demo, and kill it and all of the platform at once after so many seconds."""
    command = [sys.executable, "-m", "sluice", "demo", name]
    with subprocess.Popen(
        command, env=platform.environment(), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as demo:
        time.sleep(after)
        kill_all(platform)
        demo.wait()


def kill_all(platform: RunningPlatform) -> None:
    """SIGKILL to every process that runs with this deployment's settings."""
    while processes := platform.processes():
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=10)


def keep(platform: RunningPlatform) -> None:
    """Copy the state aside; nothing may be running."""
    before = platform.home / "before"
    shutil.rmtree(before, ignore_errors=True)
    before.mkdir()
    for entry in _state(platform.home):
        (shutil.copytree if entry.is_dir() else shutil.copy2)(entry, before / entry.name)


def restore(platform: RunningPlatform) -> None:
    """Put back what `keep` copied, and nothing else."""
    for entry in _state(platform.home):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for entry in (platform.home / "before").iterdir():
        (shutil.copytree if entry.is_dir() else shutil.copy2)(entry, platform.home / entry.name)


def _state(home: Path) -> list[Path]:
    return [entry for entry in home.iterdir() if entry.name not in KEPT]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=3, help="kills in each demo (3)")
    parser.add_argument("--only", default=list(DEMOS), type=lambda text: text.split(","), help="some of the demos")
    parser.add_argument("--seed", type=int, default=1, help="of the random points (1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
