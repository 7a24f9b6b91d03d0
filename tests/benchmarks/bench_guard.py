"""Guardrails, measured: what leaks through the hold-back, what the validators find and miss, and what they cost.

Prints a table and writes `.sluice/bench/guard.json`. Ends with 1 when a figure misses what it must reach. The data is read from
`--data` (docs/guardrails.md names its sources); without it only the leak and the cost are measured.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import report
from rich.console import Console

from sluice.guardrails import Policy, injection, load_policy, pii
from sluice.offline import switch_off
from sluice.settings_files import load_settings
from tests.public_data import PUBLIC_DATA
from tests.sluice.guardrails.violations import ATTACK, PERSONAL, PROSE, SECRET, chunks

OUTPUT = Path(".sluice/bench/guard.json")
TOKEN = 4
"""Characters of a piece, about a token, where the cost of a stream is measured."""
KINDS = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CREDIT_CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN",
    "IP_ADDRESS": "IP_ADDRESS",
}
"""The data's personal data that has a pattern; names, places and dates have none."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the guardrails.")
    parser.add_argument("--chunkings", type=int, default=5_000)
    parser.add_argument("--data", type=Path, default=PUBLIC_DATA / "guardrails")
    options = parser.parse_args()
    switch_off()
    policy = load_policy(load_settings(), "strict")
    console = Console()
    with console.status("5,000 ways to cut texts with violations"):
        leaked, checked = leaks(policy, options.chunkings)
    rows = [report.row(f"Bytes of violations sent, {checked:,} chunkings", leaked, "", "=", 0)]
    cost = cpu_per_kilobyte(policy)
    rows.append(report.row("Hold-back, CPU per KB of text in pieces of a token", cost, "ms", "≤", 60))
    measured: dict[str, Any] = {"chunkings": checked, "cpu_ms_per_kb": cost}
    if options.data.is_dir():
        found = quality(options.data)
        measured["quality"] = found
        rows += quality_rows(found)
    else:
        console.print(f"Recall and false alarms are not measured: there is no folder {options.data}")
    report.show(console, rows)
    report.write(OUTPUT, rows, measured)
    return 0 if not any(row.holds is False for row in rows) else 1


def leaks(policy: Policy, chunkings: int) -> tuple[int, int]:
    """Bytes of planted violations that were released, over so many texts, each cut in its own way."""
    leaked = 0
    for seed in range(chunkings):
        chance = random.Random(seed)
        planted: list[tuple[str, bool]] = []
        for _ in range(chance.randint(1, 5)):
            planted.append((" ".join(["", *chance.choices(PROSE, k=chance.randint(1, 12)), ""]), False))
            planted.append((chance.choice(chance.choices([PERSONAL, SECRET, ATTACK], [6, 1, 1])[0]), True))
        planted.append((" " + " ".join(chance.choices(PROSE, k=8)), False))
        held = policy.hold_back()
        pieces = chunks("".join(text for text, _ in planted), seed)
        leaked += leaked_bytes("".join([*map(held.feed, pieces), held.finish()]), planted, blocked=held.blocked)
    return leaked, chunkings


def leaked_bytes(released: str, planted: list[tuple[str, bool]], *, blocked: bool) -> int:
    """How much of the violations stands where a label or the end should be; also what else was lost or added."""
    place = 0
    for text, is_violation in planted:
        rest = released[place:]
        if not is_violation:
            if not rest.startswith(text):
                return len(text.encode())
            place += len(text)
        elif rest.startswith("[") and "]" in rest:
            place += rest.index("]") + 1
        else:
            return 0 if blocked and not rest else max(1, len(rest.encode()))
    return len(released[place:].encode())


def cpu_per_kilobyte(policy: Policy) -> float:
    """Milliseconds for prose with a few violations, in pieces of a token, all three validators at work."""
    prose = [" ".join(PROSE), PERSONAL[0], " ".join(reversed(PROSE)), PERSONAL[2]]
    text = " and ".join(prose * 20)
    began = time.process_time()
    held = policy.hold_back()
    for place in range(0, len(text), TOKEN):
        held.feed(text[place : place + TOKEN])
    held.finish()
    return (time.process_time() - began) * 1000 / (len(text) / 1000)


def quality(folder: Path) -> dict[str, Any]:
    """Shares of texts in which an injection is found, and of personal data found, by data set and kind."""

    def read(name: str) -> list[dict[str, Any]]:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    injected = {
        "jailbreak_prompts": [row["text"] for row in read("jailbreak_prompts")],
        "prompt_injection": [row["text"] for row in read("prompt_injection")],
        "xstest, safe": [row["prompt"] for row in read("xstest") if row["label"] == "safe"],
        "xstest, unsafe": [row["prompt"] for row in read("xstest") if row["label"] != "safe"],
        "pii_synthetic": [row["text"] for row in read("pii_synthetic")],
    }
    shares = {name: share(injection.find, texts) for name, texts in injected.items()}
    return {"injection": shares, "pii": personal_data(read("pii_synthetic"))}


def share(find: Callable[[str], Any], texts: Iterable[str]) -> float:
    found = [bool(find(text)) for text in texts]
    return sum(found) / len(found)


def personal_data(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By kind, the share that is found whole; and findings that touch no personal data, for each 1,000 texts."""
    there, found, false = Counter[str](), Counter[str](), 0
    for row in rows:
        spans = [span for span in row["spans"] if span["type"] in KINDS]
        findings = pii.find(row["text"])
        for span in spans:
            there[span["type"]] += 1
            found[span["type"]] += any(f.start <= span["start"] and f.end >= span["end"] for f in findings)
        false += sum(not any(s["start"] < f.end and f.start < s["end"] for s in spans) for f in findings)
    recall = {KINDS[kind]: found[kind] / count for kind, count in there.items()}
    return {"recall": recall, "all": found.total() / there.total(), "false_per_1000": 1000 * false / len(rows)}


def quality_rows(found: dict[str, Any]) -> list[report.Row]:
    shares, personal = found["injection"], found["pii"]
    return [
        report.row("Injections found, jailbreak_prompts", 100 * shares["jailbreak_prompts"], "%", "≥", 70),
        report.row("Injections found, prompt_injection", 100 * shares["prompt_injection"], "%", "≥", 12),
        report.row("False alarms of injection, xstest, safe", 100 * shares["xstest, safe"], "%", "≤", 1),
        report.row("False alarms of injection, pii_synthetic", 100 * shares["pii_synthetic"], "%", "≤", 1),
        *(
            report.row(f"Personal data found, {kind}", 100 * part, "%", "≥", 65)
            for kind, part in personal["recall"].items()
        ),
        report.row("False alarms of personal data, in 1,000 texts", personal["false_per_1000"], "", "≤", 5),
    ]


if __name__ == "__main__":
    sys.exit(main())
