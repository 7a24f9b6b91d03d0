"""An answer to a question: search, the prompt by its version, the model through the gateway, citations, lineage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine
from sqlmodel import Session

from rag.citations import Citation, cite, quote
from rag.excerpts import Excerpt, choose_excerpts
from rag.index.search import Hit, Index
from rag.settings import PROMPT, RagSettings
from sluice import lineage
from sluice.errors import InvalidRequest

Kind = Literal["answer", "quote", "refusal"]
"""In the model's words; in the document's, for the model's were not borne out; none, for nothing relevant was found."""

REFUSAL = "Nothing in the documents has to do with this question."


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        id: `answer:<request id>`, for `sluice trace`.
        text: with `[n]` where a citation has the number n.
        index: the lineage's id of the index's version.
        relevance: of the best passage; below `rag.threshold` there is a refusal.
    """

    id: str
    kind: Kind
    text: str
    citations: list[Citation]
    index: str
    relevance: float


def answer(question: str, index: Index, *, rag: RagSettings, engine: Engine, parent: str | None = None) -> Answer:
    """Answer from the passages that an index has on the question, or refuse.

    Args:
        index: its embedder's client pays for all calls.
        parent: the request on whose behalf this is asked; the client should carry it too.

    Raises:
        InvalidRequest: the question is empty.
        UpstreamRefused: the gateway's answer: no such model or prompt for this key, a budget is spent.
        UpstreamFailed: the gateway cannot be reached.
        StateUnavailable: the database or the index cannot be used.
    """
    if not question.strip():
        raise InvalidRequest("The question is empty.", param="question")
    vector, request_id = index.embedder.question(question)
    hits = index.rank(question, vector, rag.passages)
    relevance = max((hit.relevance for hit in hits), default=0.0)
    kind: Kind = "refusal"
    text, citations = REFUSAL, list[Citation]()
    if relevance >= rag.threshold and (
        excerpts := choose_excerpts(index, question, vector, hits, rag.context_characters)
    ):
        said, request_id = _ask(question, excerpts, index, rag)
        cited = cite(said, question, excerpts, index.terms)
        kind = "quote" if cited is None else "answer"
        text, citations = quote(excerpts) if cited is None else cited
    given = Answer(f"answer:{request_id}", kind, text, citations, index.version.id, relevance)
    _leave_traces(engine, given, question, request_id, hits, parent)
    return given


def _ask(question: str, excerpts: Sequence[Excerpt], index: Index, rag: RagSettings) -> tuple[str, str]:
    """What the model says, whole sentences only, and the request's id."""
    passages = "\n\n".join(f"[{number}] {excerpt.text}" for number, excerpt in enumerate(excerpts, 1))
    variables = {"question": question, "passages": passages}
    prompt = {"id": PROMPT, "version": rag.prompt_version, "variables": variables}
    body: dict[str, Any] = {"model": rag.chat_model, "prompt": prompt}
    reply, request_id = index.embedder.client.post("/chat/completions", body)
    choice = reply["choices"][0]
    said = str(choice["message"]["content"] or "").strip()
    if choice["finish_reason"] == "length":
        end = max(said.rfind(stop) for stop in (". ", ".\n", "! ", "? "))
        said = said[: end + 1] if end > 0 else said
    return said, request_id


def _leave_traces(
    engine: Engine, given: Answer, question: str, request_id: str, hits: Sequence[Hit], parent: str | None
) -> None:
    cited = {citation.chunk for citation in given.citations}
    found = [{"chunk": hit.chunk, "score": hit.score, "relevance": hit.relevance} for hit in hits]
    attributes = {"question": question, "answer": given.text, "kind": given.kind, "found": found, "parent": parent}
    sources = [("request", f"request:{request_id}"), ("index", given.index)]
    with Session(engine) as session:
        for hit in hits:
            lineage.record(session, f"document:{hit.document}", {"path": hit.path})
            span = {"path": hit.path, "span": [hit.start, hit.end], "text": hit.text}
            lineage.record(session, f"chunk:{hit.chunk}", span, [("document", f"document:{hit.document}")])
            sources.append(("cited" if hit.chunk in cited else "found", f"chunk:{hit.chunk}"))
        lineage.record(session, given.id, attributes, sources)
        session.commit()
