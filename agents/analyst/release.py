"""One version of the analyst: what it is made of, as one hash. Promotable like a prompt or a model."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from sqlmodel import Session

from agents.settings import chat_model
from agents.tools import Tool
from sluice import lineage
from sluice.promotion import Candidate
from sluice.settings import Settings

NAME = "analyst"


def release_of(settings: Settings, tools: dict[str, Tool]) -> Candidate:
    """`agent:analyst@<hash>` of its code (graph, prompts, examples), the tools it is shown, and the model it asks.

    Raises:
        MissingRequirement: the deployment has no chat model.
    """
    parts = json.dumps([_files(), _shown(tools), chat_model(settings)], sort_keys=True)
    return Candidate("agent", NAME, hashlib.sha256(parts.encode()).hexdigest())


def record_release(session: Session, release: Candidate, settings: Settings, tools: dict[str, Tool]) -> None:
    """Note what a release is, in the session's transaction; a known one stays as it is."""
    attributes = {"files": _files(), "tools": sorted(tools), "model": chat_model(settings)}
    lineage.record(session, release.id, attributes)


@cache
def _files() -> dict[str, str]:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return {source.name: hashlib.sha256(source.read_bytes()).hexdigest()[:16] for source in sources}


def _shown(tools: dict[str, Tool]) -> list[dict[str, Any]]:
    return [tool.as_json() for tool in tools.values()]
