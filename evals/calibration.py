"""How far a judge agrees with people: only a judge whose agreement was measured may gate.

People's verdicts stand in a JSON Lines file that the judge's metric names under `labels`. What was measured is kept
beside it, `<labels>.agreement.json`, to be committed and reviewed with the suite. It holds for exactly that judge
(model, rubric, instruction) and exactly those labels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from evals.case import Answer, Case
from evals.files import Reader, from_disk, read_lines
from evals.metrics.settings import JudgeSettings, Scorer
from sluice.errors import ConfigurationError
from sluice.saving import save_whole

FROM = 0.5
"""A score from here on counts as the judge's yes; faithfulness is a share."""


class Labelled(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that a person has judged: one line of the file of labels."""

    id: str
    variables: dict[str, Any]
    answer: str
    label: Literal["pass", "fail"]
    expected: Any = None
    passages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa between a judge and people (1: always, 0: as by chance), with its 95 % interval.

    Attributes:
        cases: how many people have judged.
        unscored: those among them that the judge could not score; each counts as disagreement.
    """

    kappa: float
    low: float
    high: float
    cases: int
    unscored: int


def measure_agreement(pairs: list[tuple[bool, bool | None]], seed: int = 0) -> Agreement:
    """The agreement over pairs of a person's verdict and the judge's, None where it had none.

    The interval is the Bayesian bootstrap's over the four cells of the table, each with half a case more (Jeffreys'
    prior): ten cases of perfect agreement do not look certain.
    """
    # A judge that had no verdict is counted as if it had said the opposite.
    verdicts = [(person, (not person) if judge is None else judge) for person, judge in pairs]
    cells = np.array([verdicts.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))])
    draws = _kappa(np.random.default_rng(seed).dirichlet(cells + 0.5, 10_000))
    low, high = np.quantile(draws, [0.025, 0.975])
    kappa = float(_kappa(cells[None, :] / max(len(pairs), 1))[0])
    return Agreement(kappa, float(low), float(high), len(pairs), sum(judge is None for _, judge in pairs))


def _kappa(shares: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cohen's kappa of rows of cells (both yes, only the person, only the judge, both no); 0 where chance explains all."""
    both, person, judge, neither = shares.T
    by_chance = (both + person) * (both + judge) + (neither + person) * (neither + judge)
    room = 1 - by_chance
    return np.divide(both + neither - by_chance, room, out=np.zeros_like(room), where=room > 1e-12)


def calibrate(labels: str, metric: JudgeSettings, scorer: Scorer) -> Agreement:
    """Ask the judge about every answer that people have judged, and keep the agreement beside the labels.

    Raises:
        ConfigurationError: the file is not there, or a line of it is wrong.
        SluiceError: what the gateway or the judge's model raise.
    """
    content = from_disk(labels)
    if not content or not content.strip():
        raise ConfigurationError(f"There are no labels in '{labels}'.")
    pairs: list[tuple[bool, bool | None]] = []
    for _, line in read_lines(labels, content, Labelled):
        score = scorer(Case(line.id, line.variables, line.expected), Answer(line.answer, line.passages)).value
        pairs.append((line.label == "pass", None if score is None else score >= FROM))
    agreement = measure_agreement(pairs)
    kept = dict(_read(labels, from_disk)) | {_key(metric, content): agreement}
    save_whole(Path(agreement_file(labels)), msgspec.json.format(msgspec.json.encode(kept, order="sorted")) + b"\n")
    return agreement


def known_agreement(labels: str, metric: JudgeSettings, read: Reader) -> Agreement | None:
    """What was measured for exactly this judge and these labels, if anything was.

    Raises:
        ConfigurationError: the file beside the labels is damaged.
    """
    content = read(labels)
    return None if content is None else _read(labels, read).get(_key(metric, content))


def _read(labels: str, read: Reader) -> Mapping[str, Agreement]:
    content = read(agreement_file(labels))
    try:
        return {} if content is None else msgspec.json.decode(content, type=dict[str, Agreement])
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{agreement_file(labels)}: {error}.", fix="Remove it and run: sluice eval calibrate"
        ) from None


def agreement_file(labels: str) -> str:
    """Where what was measured on a file of labels is kept."""
    return f"{labels.removesuffix('.jsonl')}.agreement.json"


def _key(metric: JudgeSettings, labels: bytes) -> str:
    return hashlib.sha256(metric.identity.encode() + labels).hexdigest()[:16]
