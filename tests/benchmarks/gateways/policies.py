"""Sluice with each of its policies switched on by itself, and with all of them: one target each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from gateways.launching import QUESTION, Launch
from gateways.targets import Target, envoy, sluice
from sqlalchemy import Engine

from prompts.registry import register
from sluice.database import connect
from sluice.identity import create_key

VALIDATORS = {"injection": "block", "pii": "redact", "secrets": "block"}
WORDS = QUESTION | {"user": "words"}
BUDGETS = dict.fromkeys(("minute", "day", "ever"), 10**12)
PROMPT = b"""description: The question of the benchmark.
messages:
  - role: system
    content: You are a helpful assistant.
  - role: user
    content: What is the capital of {{ country }}?
variables:
  country: the country's English name
"""


def of_words(launch: Callable[[int, Path], Launch]) -> Callable[[int, Path], Launch]:
    """The same target, asked for an answer of words."""
    return lambda upstream, folder: replace(launch(upstream, folder), question=WORDS)


def under(
    *validators: str, budgets: dict[str, int] | None = None, prompt: bool = False
) -> Callable[[int, Path], Launch]:
    """Sluice with a key under a guardrail policy of these validators, in both directions, and with these budgets; asked
    in the client's own words or by a stored prompt."""

    def launch(upstream: int, folder: Path) -> Launch:
        plain = sluice(upstream, folder)
        engine = connect(f"sqlite:///{folder / 'home' / 'sluice.db'}")
        chosen = {name: VALIDATORS[name] for name in validators}
        policies = {"bench": {"input": chosen, "output": chosen, "hold_back": 300}} if chosen else {}
        (folder / "configs" / "guardrails.yaml").write_text(yaml.safe_dump({"guardrails": {"policies": policies}}))
        _, key = create_key(engine, owner="bench", budgets=budgets, policy="bench" if chosen else None)
        question = _asked_by_prompt(engine) if prompt else WORDS
        engine.dispose()
        return replace(plain, headers={"authorization": f"Bearer {key}"}, question=question)

    return launch


def _asked_by_prompt(engine: Engine) -> dict[str, Any]:
    version = register(engine, "bench", PROMPT, author="bench").version
    reference = {"id": "bench", "version": version, "variables": {"country": "France"}}
    return {name: value for name, value in WORDS.items() if name != "messages"} | {"prompt": reference}


TARGETS = (
    Target("envoy", "Envoy", of_words(envoy)),
    Target("off", "Sluice, all policies off", of_words(sluice)),
    Target("prompt", "a stored prompt", under(prompt=True)),
    Target("budget", "three token budgets", under(budgets=BUDGETS)),
    Target("injection", "guardrail: injection", under("injection")),
    Target("pii", "guardrail: pii", under("pii")),
    Target("secrets", "guardrail: secrets", under("secrets")),
    Target("guardrails", "all three guardrails", under(*VALIDATORS)),
    Target("all", "everything above", under(*VALIDATORS, budgets=BUDGETS, prompt=True)),
)
