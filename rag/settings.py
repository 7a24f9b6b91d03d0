"""`rag:`, the settings of retrieval."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sluice.settings import Count, HomePath, HttpUrl, Section, Settings

Share = Annotated[float, Field(ge=0, le=1)]

PROMPT = "rag-answer"
PROMPT_VERSION = "8b0289ad89e57fca3851c27a1d39e9dc3e8c5245"
"""The blob hash of `prompts/library/rag-answer.yaml` that this version of the package was measured with."""


class RagSettings(Section):
    """`rag:`, how documents are indexed, searched and answered from.

    Attributes:
        home: the folder of the indexes; `indexes` below the platform's home where none is named.
        index: the index that is meant where a request names none.
        embedding_model: one that Sluice serves, for chunks are measured with its tokenizer.
        chunk_tokens: the longest chunk, in the embedder's tokens, special ones counted.
        file_bytes: larger files are skipped.
        language: of the documents, for stemming and stop words.
        candidates: how many of each kind of search are fused.
        dense_weight: the share of dense search in the fused score; the rest is BM25's.
        threshold: the least relevance (0 to 1) of the best passage for a question to be answered at all.
        passages: how many passages an answer may be drawn from.
        context_characters: of their sentences, the best so many go into the prompt; a larger model makes use of more.
        prompt_version: a version's hash, or a label such as `production`.
        qdrant_url: a Qdrant server or cluster instead of the engine in this process.
        qdrant_key_env: the variable that holds that server's key.
    """

    home: HomePath | None = None
    index: str = "docs"
    embedding_model: str = "minilm"
    chunk_tokens: Annotated[int, Field(ge=16)] = 256
    file_bytes: Count = 20 * 1024 * 1024
    language: str = "english"
    candidates: Count = 100
    dense_weight: Share = 0.55
    threshold: Share = 0.42
    chat_model: str = "smollm2"
    passages: Annotated[int, Field(ge=1, le=20)] = 3
    context_characters: Count = 400
    prompt_version: str = PROMPT_VERSION
    qdrant_url: HttpUrl | None = None
    qdrant_key_env: str | None = None


def rag_settings(settings: Settings) -> RagSettings:
    """The section, or its defaults."""
    return settings.section("rag", RagSettings)


def index_home(settings: Settings) -> Path:
    """The folder that holds all indexes."""
    return rag_settings(settings).home or settings.home.root / "indexes"
