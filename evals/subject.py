"""What is evaluated: a function from a case to an answer.

A prompt as it is at some commit is not in the registry yet, and the registry belongs to `prompts`, which evals do not
import. So whoever owns a kind of subject declares under the entry points `sluice.subjects` how one is made of a file:

    prompt = "prompts.subject:make_subject"     # (Settings, Engine, name, content of the file) -> Subject

For a prompt it registers the version (its id is the content's Git blob hash, so a second time changes nothing) and
returns `stored_prompt(GatewayClient(*gateway_access(settings)), name, version)`. Wrong content raises InvalidRequest
at once; so does, when it is called, a case that lacks a variable of the prompt, named in the message.
"""

import importlib.metadata
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from evals.case import Answer, Case
from sluice.errors import MissingRequirement
from sluice.gateway_client import GatewayClient
from sluice.settings import Settings

Subject = Callable[[Case], Answer]
MakeSubject = Callable[[Settings, Engine, str, bytes], Subject]


def stored_prompt(gateway: GatewayClient, name: str, version: str) -> Subject:
    """A version of a prompt in the registry, filled with the case's variables; the case's model and parameters go
    before the prompt's own."""

    def ask(case: Case) -> Answer:
        prompt = {"id": name, "version": version, "variables": dict(case.variables)}
        model = {"model": case.model} if case.model else {}
        return _chat(gateway, {**case.parameters, **model, "prompt": prompt})

    return ask


def retrieval(gateway: GatewayClient, index: str) -> Subject:
    """What `/v1/ask` answers to the case's question from an index, with the passages that it cites."""

    def ask(case: Case) -> Answer:
        response, request_id = gateway.post("/ask", {"question": case.variables["question"], "index": index})
        return Answer(response["text"], tuple(citation["text"] for citation in response["citations"]), request_id)

    return ask


def maker(kind: str) -> MakeSubject:
    """How a subject of this kind is made of a file.

    Raises:
        MissingRequirement: no installed package says so.
    """
    for entry in importlib.metadata.entry_points(group="sluice.subjects", name=kind):
        return entry.load()
    raise MissingRequirement(f"No installed package knows how to evaluate a {kind}.", fix="Run: make install")


def _chat(gateway: GatewayClient, body: dict[str, Any]) -> Answer:
    response, request_id = gateway.post("/chat/completions", body)
    return Answer(response["choices"][0]["message"].get("content") or "", request_id=request_id)
