"""`sluice demo ask`: documents indexed, a question answered with a citation that resolves, one refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.panel import Panel
from rich.text import Text

from evals.cache import Cache, key_of, serving
from evals.case import Answer, Case, Score
from evals.metrics.faithfulness import Faithfulness
from rag.embedding import Embedder
from rag.index.build import build_index, store_points
from rag.index.opened import OpenIndexes
from rag.index.search import Hit
from rag.index.server import ServerStore
from rag.loading import Document, load_file, load_folder
from rag.settings import rag_settings
from rag.splitting import Splitter, load_tokenizer
from rag.view import place, show_answer, show_hits
from sluice.demo import Outcome, Stage
from sluice.errors import ProcessFailed
from sluice.gateway_client import GatewayClient, gateway_access

DOCUMENTS = Path(__file__).parent / "demo_documents"
INDEX = "canal"
QUERY = "what water costs and gates do in winter"
ANSWERABLE = "How high is Broad Cross above the sea?"
OFF_TOPIC = "Which guitar strings sound best for jazz?"


def ask(stage: Stage) -> Outcome:
    """From a folder to an answer, and back from its citation to the passage in the file."""
    with stage.gateway() as client:
        with stage.step(f"Markdown, HTML, PDF and text in {DOCUMENTS} are indexed as '{INDEX}'"):
            built = build_index(
                DOCUMENTS, INDEX, settings=stage.settings, engine=stage.engine, client=client, progress=_quiet
            )
        change = "" if built.new else ", as before: nothing has changed"
        stage.show(Text(f"  {len(built.version.documents)} documents, {built.version.chunks} chunks{change}\n", "dim"))
        with stage.step(f"Searching: {QUERY}"):
            hits = client.post("/search", {"index": INDEX, "query": QUERY, "limit": 3})[0]["hits"]
        show_hits(hits, stage.console)
        with stage.step("The same query finds the same passages through qdrant-client, the way to a Qdrant server"):
            _check_other_engine(stage, client)
        with stage.step(f"Asking: {ANSWERABLE}"):
            answered = client.post("/ask", {"index": INDEX, "question": ANSWERABLE})[0]
        show_answer(answered, stage.console)
        with stage.step("The citation leads to these characters of the file"):
            cited = _resolve(stage, answered)
        stage.show(cited)
        with stage.step("ragas: how faithful is the answer to what it cites?"):
            score = _faithfulness(stage, answered)
        shown = score.reason if score.value is None else f"{score.value:.2f} of 1"
        judge = rag_settings(stage.settings).chat_model
        stage.show(Text(f"  {shown}, says {judge}; nobody measured how well it judges, so this gates nothing\n"))
        with stage.step(f"Asking: {OFF_TOPIC}"):
            refused = client.post("/ask", {"index": INDEX, "question": OFF_TOPIC})[0]
        show_answer(refused, stage.console)
    if answered["kind"] == "refusal" or refused["kind"] != "refusal":
        raise ProcessFailed("A question was answered that should not be, or the other way round.")
    return Outcome(
        f"{len(built.version.documents)} documents answered a question with {len(answered['citations'])} citation "
        "that resolves, and refused one they hold nothing about.",
        (
            f'sluice rag ask --index {INDEX} "When did the last lime boat unload?"',
            f'sluice rag search --index {INDEX} "who keeps the sluice on Tuesday"',
            "sluice rag index FOLDER",
        ),
        answered["id"],
    )


def _faithfulness(stage: Stage, answered: dict[str, Any]) -> Score:
    """By ragas, with the packaged model as judge; a score of the same answer is kept."""
    cited = tuple(citation["text"] for citation in answered["citations"])
    metric = Faithfulness(metric="faithfulness", model=rag_settings(stage.settings).chat_model)
    kept = Cache(stage.home.root / "evals" / serving(stage.settings))
    key = key_of("score", metric.identity, answered["text"], cited)
    score = kept.get(key, Score)
    if score is None:
        scorer = metric.scorer(gateway_access(stage.settings))
        score = scorer(Case("demo", {"question": ANSWERABLE}), Answer(answered["text"], cited))
        if score.value is not None:
            kept.put(key, score)
    return score


def _check_other_engine(stage: Stage, client: GatewayClient) -> None:
    """Put the same chunks into qdrant-client's own engine, and compare what both find.

    Raises:
        ProcessFailed: they find different passages.
    """
    from qdrant_client import QdrantClient

    rag = rag_settings(stage.settings)
    opened = OpenIndexes(stage.settings, stage.engine)
    index = opened.open(INDEX, client)
    documents, _ = load_folder(DOCUMENTS, rag.file_bytes, _quiet)
    splitter = Splitter(load_tokenizer(stage.settings, index.version.model), index.version.chunk_tokens)
    chunks = [chunk for document in documents for chunk in splitter.split(document)]
    vectors = Embedder(client, index.version.model).chunks([chunk.text for chunk in chunks], _quiet)
    other = ServerStore(QdrantClient(":memory:"), INDEX)
    other.write(index.version.dimensions, store_points(chunks, vectors, index.terms))
    found, same = _places(index.search(QUERY, 3)), _places(replace(index, store=other).search(QUERY, 3))
    other.close()
    opened.close()
    if found != same:
        raise ProcessFailed(f"Qdrant Edge finds {', '.join(found)}; qdrant-client finds {', '.join(same)}.")


def _places(hits: Sequence[Hit]) -> list[str]:
    return [f"{hit.path}:{hit.start}-{hit.end}" for hit in hits]


def _resolve(stage: Stage, answered: dict[str, Any]) -> Panel:
    """The first citation, read from its file again.

    Raises:
        ProcessFailed: something else stands there.
    """
    citation = answered["citations"][0]
    limit = rag_settings(stage.settings).file_bytes
    document = load_file(DOCUMENTS / citation["path"], citation["path"], limit)
    start, end = citation["start"], citation["end"]
    if not isinstance(document, Document) or document.text[start:end] != citation["text"]:
        raise ProcessFailed(f"Citation {place(citation)} does not stand there.")
    shown = Text(document.text[max(0, start - 120) : end + 120])
    shown.stylize("bold green", min(120, start), min(120, start) + end - start)
    return Panel(shown, title=place(citation), title_align="left")


def _quiet(_what: str, _done: int, _total: int) -> None:
    """What takes a moment shows no progress here."""
