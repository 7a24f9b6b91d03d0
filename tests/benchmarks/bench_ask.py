"""How well `ask` finds the passage that answers a question: nDCG@10 on SQuAD 2.0 and Cranfield.

    python -m tests.benchmarks.bench_ask [--data FOLDER] [--only squad2]

Needs a running platform for the embeddings. Each passage is a file, indexed as `sluice rag index` does it; a passage's rank
is that of its first chunk. Indexes and the questions' vectors are kept in .sluice/bench: a second run takes a minute.
"""

import argparse
import gzip
import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rag.embedding import Embedder
from rag.index.build import build_index
from rag.index.opened import OpenIndexes
from rag.index.search import Index
from rag.settings import RagSettings
from rag.view import indexing_progress
from sluice.database import connect, migrate
from sluice.errors import SluiceError
from sluice.gateway_client import GatewayClient, gateway_access
from sluice.settings_files import load_settings
from tests.benchmarks.report import Row, row, show, write
from tests.public_data import PUBLIC_DATA

FOLDER = Path(".sluice/bench")
LEAST = {"squad2": 0.89, "cranfield": 0.57}
DEPTH = 10


@dataclass(frozen=True)
class Collection:
    """Passages by id, questions, and for each question the ids of the passages that are relevant to it."""

    passages: Mapping[str, str]
    questions: Sequence[str]
    relevant: Sequence[frozenset[str]]


def squad2(data: Path) -> Collection:
    """Answerable questions; the passage each was asked about is the relevant one."""
    rows = [item for item in _rows(data / "squad2/questions.jsonl.gz") if not item["is_impossible"]]
    passages = {item["id"]: item["text"] for item in _rows(data / "squad2/passages.jsonl.gz")}
    return Collection(passages, [r["question"] for r in rows], [frozenset([r["passage_id"]]) for r in rows])


def cranfield(data: Path) -> Collection:
    """Abstracts with their titles; positions 1 to 4 are relevant."""
    passages = {d["id"]: f"{d['title']} {d['text']}".strip() for d in _rows(data / "cranfield/documents.jsonl.gz")}
    relevant: dict[str, set[str]] = {}
    for judgement in _rows(data / "cranfield/qrels.jsonl.gz"):
        if 1 <= judgement["position"] <= 4 and judgement["document_id"] in passages:
            relevant.setdefault(judgement["query_id"], set()).add(judgement["document_id"])
    queries = [q for q in _rows(data / "cranfield/queries.jsonl.gz") if q["id"] in relevant]
    return Collection(passages, [q["text"] for q in queries], [frozenset(relevant[q["id"]]) for q in queries])


def ndcg(ranking: Sequence[str], relevant: frozenset[str]) -> float:
    """Normalised discounted cumulative gain of the first ten, relevance being yes or no."""
    gain = sum(1 / math.log2(rank + 2) for rank, found in enumerate(ranking[:DEPTH]) if found in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(DEPTH, len(relevant))))


def measure(name: str, collection: Collection, client: GatewayClient) -> float:
    """The mean over all questions."""
    index = _index(name, collection, client)
    vectors = _question_vectors(name, collection.questions, index)
    files = {_file_name(passage): passage for passage in collection.passages}
    scores: list[float] = []
    for question, vector, relevant in zip(collection.questions, vectors, collection.relevant, strict=True):
        hits = index.rank(question, vector, 4 * DEPTH)
        ranking = list(dict.fromkeys(files[hit.path] for hit in hits))
        scores.append(ndcg(ranking, relevant))
    return sum(scores) / len(scores)


def _index(name: str, collection: Collection, client: GatewayClient) -> Index:
    folder = FOLDER / "ask" / name
    folder.mkdir(parents=True, exist_ok=True)
    for passage, text in collection.passages.items():
        (folder / _file_name(passage)).write_text(text, "utf-8")
    rag = RagSettings(home=(FOLDER / "ask" / "indexes").absolute())
    loaded = load_settings()
    settings = loaded.model_copy(update={"extensions": {**loaded.extensions, "rag": rag}})
    url = f"sqlite:///{(FOLDER / 'ask' / 'ask.db').absolute()}"
    migrate(url)
    engine = connect(url)
    with indexing_progress() as progress:
        build_index(folder, name, settings=settings, engine=engine, client=client, progress=progress)
    return OpenIndexes(settings, engine).open(name, client)


def _question_vectors(name: str, questions: Sequence[str], index: Index) -> list[list[float]]:
    key = hashlib.sha256(json.dumps([index.version.digest, *questions]).encode()).hexdigest()[:12]
    kept = FOLDER / "ask" / f"{name}-questions-{key}.json"
    if not kept.exists():
        with indexing_progress() as progress:
            vectors = Embedder(index.embedder.client, index.version.model).chunks(list(questions), progress)
        kept.write_text(json.dumps(vectors))
    return json.loads(kept.read_text())


def _file_name(passage: str) -> str:
    return f"{passage.replace('/', '_')}.txt"


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    """Measure, print the table, write `.sluice/bench/ask.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PUBLIC_DATA)
    parser.add_argument("--only", choices=list(LEAST))
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        parser.error(f"there is no folder {chosen.data}: expected squad2 and cranfield in it")
    rows: list[Row] = []
    with GatewayClient(*gateway_access(load_settings())) as client:
        for name, load in {"squad2": squad2, "cranfield": cranfield}.items():
            if chosen.only in (None, name):
                figure = round(measure(name, load(chosen.data), client), 4)
                rows.append(row(f"nDCG@10, {name}, question to passage", figure, "", "≥", LEAST[name]))
    show(Console(), rows)
    write(FOLDER / "ask.json", rows, {"figures": {item.what: item.figure for item in rows}})


if __name__ == "__main__":
    try:
        main()
    except SluiceError as error:
        sys.exit(f"Error: {error}")
