"""Building a version of an index: aside, then renamed, so that a version that is there is whole.

A version's name is a hash of all that shapes it: building what is there already changes nothing and takes no time.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlmodel import Session

from rag.embedding import Embedder, Vector
from rag.index.store import Point
from rag.index.stores import write_store
from rag.index.version import NEWEST, IndexedDocument, IndexVersion, check_name, read_manifest, write_manifest
from rag.lexical import Terms
from rag.loading import Document, Progress, Skipped, load_folder
from rag.settings import RagSettings, index_home, rag_settings
from rag.splitting import Chunk, Splitter, load_tokenizer
from sluice import lineage
from sluice.gateway_client import GatewayClient
from sluice.models.sources import read_record
from sluice.saving import save_whole
from sluice.settings import Settings

FORMAT = 1
"""Raised when files are read or split in another way than before: then the same files make another version."""


@dataclass(frozen=True)
class Built:
    """What building came to.

    Attributes:
        new: whether the version was not there before.
    """

    version: IndexVersion
    skipped: list[Skipped]
    new: bool


def build_index(
    folder: Path, name: str, *, settings: Settings, engine: Engine, client: GatewayClient, progress: Progress
) -> Built:
    """Index the documents of a folder and make that the newest version of `name`.

    Raises:
        InvalidRequest: `name` cannot be an index's name.
        NotFound: there is no such folder, or nothing in it can be read.
        ConfigurationError, MissingRequirement: the embedding model is not one that Sluice serves, or not fetched.
        UpstreamRefused, UpstreamFailed: the chunks cannot be embedded.
        StateUnavailable: the database or the Qdrant server cannot be used, or what was built before is damaged.
    """
    check_name(name)
    rag = rag_settings(settings)
    documents, skipped = load_folder(folder, rag.file_bytes, progress)
    splitter = Splitter(load_tokenizer(settings, rag.embedding_model), rag.chunk_tokens)
    digest = _digest(settings, rag.embedding_model)
    version = _name_version(documents, rag, digest)
    home = index_home(settings)
    with _locked(home / name) as shelf:
        built = read_manifest(home, name, version)
        new = built is None
        if built is None:
            chunks = [chunk for document in documents for chunk in splitter.split(document)]
            vectors = Embedder(client, rag.embedding_model).chunks([chunk.text for chunk in chunks], progress)
            terms = Terms.of(rag.language, [chunk.text for chunk in chunks])
            built = IndexVersion(
                name=name,
                version=version,
                model=rag.embedding_model,
                digest=digest,
                dimensions=len(vectors[0]),
                chunk_tokens=rag.chunk_tokens,
                language=rag.language,
                average_terms=terms.average,
                chunks=len(chunks),
                documents=_list_documents(documents, chunks),
            )
            with _aside(shelf, version) as making:
                write_store(rag, making, built, store_points(chunks, vectors, terms))
                write_manifest(making, built)
        _point_to(shelf, version)
    _leave_traces(engine, built)
    return Built(built, skipped, new)


def _name_version(documents: Sequence[Document], rag: RagSettings, digest: str) -> str:
    shaping = [FORMAT, rag.chunk_tokens, rag.language, rag.embedding_model, digest, rag.qdrant_url]
    files = [(document.path, document.sha256) for document in documents]
    return hashlib.sha256(msgspec.json.encode([shaping, files])).hexdigest()[:32]


def _digest(settings: Settings, model: str) -> str:
    """The embedding model's weights; a folder that is used where it lies has no record of them."""
    record = read_record(model, settings.models[model], settings.home)
    return record.digest if record else str(settings.models[model].source)


def _list_documents(documents: Sequence[Document], chunks: Sequence[Chunk]) -> tuple[IndexedDocument, ...]:
    counts = Counter(chunk.document.path for chunk in chunks)
    return tuple(
        IndexedDocument(document.path, document.sha256, len(document.text), counts[document.path])
        for document in documents
    )


def store_points(chunks: Sequence[Chunk], vectors: Sequence[Vector], terms: Terms) -> Iterator[Point]:
    """Chunks as an engine stores them."""
    for chunk, vector in zip(chunks, vectors, strict=True):
        payload = {
            "path": chunk.document.path,
            "document": chunk.document.sha256,
            "start": chunk.start,
            "end": chunk.end,
            "text": chunk.text,
        }
        yield Point(chunk.hash, vector, terms.of_chunk(chunk.text), payload)


@contextmanager
def _locked(shelf: Path) -> Generator[Path]:
    """An index's folder, with nobody else building in it."""
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield shelf


@contextmanager
def _aside(shelf: Path, version: str) -> Generator[Path]:
    """A new folder that becomes the version's when all went well."""
    for stale in shelf.glob(".making-*"):  # of a process that was killed
        shutil.rmtree(stale)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=shelf))
    try:
        yield making
        making.chmod(0o755)
        final = shelf / version
        shutil.rmtree(final, ignore_errors=True)  # one whose manifest somebody removed
        making.rename(final)
        _sync(shelf)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _point_to(shelf: Path, version: str) -> None:
    save_whole(shelf / NEWEST, version.encode())
    _sync(shelf)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _leave_traces(engine: Engine, version: IndexVersion) -> None:
    attributes = {"model": version.model, "digest": version.digest, "chunks": version.chunks}
    with Session(engine) as session:
        for document in version.documents:
            lineage.record(session, f"document:{document.sha256}", {"path": document.path})
        sources = [("document", f"document:{document.sha256}") for document in version.documents]
        lineage.record(session, version.id, attributes, sources)
        session.commit()
