"""From a document to chunks: along its structure first, then by sentences, measured in the embedder's own tokens."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag.loading import PAGE_BREAK, Document, Format
from sluice.errors import ConfigurationError, MissingRequirement
from sluice.models.sources import find_fetched
from sluice.settings import Settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_TOKEN = 8
"""Characters. A tokenizer counts a long word that it does not know as one token; here it is as many as its length."""

Span = tuple[int, int]
"""[start, end) in characters of a document's text."""


@dataclass(frozen=True)
class Chunk:
    """A part of a document: `document.text[start:end] == text`."""

    document: Document
    start: int
    end: int

    @property
    def text(self) -> str:
        """What stands there."""
        return self.document.text[self.start : self.end]

    @cached_property
    def hash(self) -> str:
        """32 hexadecimal digits that name these characters of this file."""
        key = f"{self.document.path}\0{self.document.sha256}\0{self.start}\0{self.end}"
        return hashlib.sha256(key.encode()).hexdigest()[:32]


class Splitter:
    """Splits documents into chunks that the embedder takes whole.

    Args:
        tokenizer: the embedder's own.
        chunk_tokens: the longest chunk, special tokens counted.
    """

    def __init__(self, tokenizer: "Tokenizer", chunk_tokens: int) -> None:
        from llama_index.core.node_parser import SentenceSplitter

        self._tokenizer = tokenizer
        self._limit = chunk_tokens - tokenizer.num_special_tokens_to_add(is_pair=False)
        self._sentences = SentenceSplitter(
            chunk_size=self._limit,
            chunk_overlap=0,
            paragraph_separator="\n\n",
            tokenizer=lambda text: range(self.tokens(text)),
        )

    def tokens(self, text: str) -> int:
        """The length of a text, special tokens not counted."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return max(len(ids), len(text) // LONGEST_TOKEN)

    def split(self, document: Document) -> Iterator[Chunk]:
        """The chunks of a document, in order, none overlapping; what lies between them is white space."""
        for start, end in sections(document.text, document.format):
            section = document.text[start:end]
            for inner_start, inner_end in self._fit(section):
                yield Chunk(document, start + inner_start, start + inner_end)

    def _fit(self, text: str) -> Iterator[Span]:
        """Spans of a text, each within the limit."""
        for start, end in locate(self._sentences.split_text(text), text):
            # Sentences were counted one by one; joined, they may come to a token more.
            if self.tokens(text[start:end]) <= self._limit:
                yield start, end
            else:
                middle = text.rfind(" ", start, (start + end) // 2) + 1 or (start + end) // 2
                for half_start, half_end in ((start, middle), (middle, end)):
                    for inner_start, inner_end in self._fit(text[half_start:half_end]):
                        yield half_start + inner_start, half_start + inner_end


def sections(text: str, kind: Format) -> list[Span]:
    """The parts of a text that no chunk crosses: a Markdown or HTML section with its heading, a page of a PDF."""
    if kind == "text":
        parts: Iterable[str] = [text]
    elif kind == "pdf":
        parts = text.split(PAGE_BREAK)
    else:
        return _markdown_sections(text)
    return list(locate(parts, text))


def _markdown_sections(text: str) -> list[Span]:
    from llama_index.core.node_parser import MarkdownNodeParser
    from llama_index.core.schema import Document as LlamaDocument

    # The parser writes headings anew with one blank after the signs; blanks of any other kind are made such ones
    # before, one for one, so that its sections are found again and their places hold for the text as it is.
    plain = re.sub(r"[^\S\n]", " ", text)
    nodes = MarkdownNodeParser().get_nodes_from_documents([LlamaDocument(text=plain)])
    spans: list[Span] = []
    start: int | None = None
    for begin, end in locate((node.get_content() for node in nodes), plain):
        start = begin if start is None else start
        # A heading without text of its own belongs to what follows it.
        if "\n" in text[begin:end] or not text.startswith("#", begin):
            spans.append((start, end))
            start = None
    if start is not None:
        spans.append((start, len(text.rstrip())))
    return spans


def locate(parts: Iterable[str], text: str) -> Iterator[Span]:
    """The spans of stripped parts of a text, given in order with nothing but white space between them."""
    end = 0
    for part in parts:
        if stripped := part.strip():
            start = text.index(stripped, end)
            end = start + len(stripped)
            yield start, end


def load_tokenizer(settings: Settings, model: str) -> "Tokenizer":
    """The tokenizer of an embedding model, from the folder it was fetched to.

    Raises:
        ConfigurationError: Sluice serves no such embedding model.
        MissingRequirement: it has not been fetched, or has no tokenizer of its own.
    """
    known = settings.models.get(model)
    if known is None or known.kind != "embedding":
        served = ", ".join(name for name, other in settings.models.items() if other.kind == "embedding")
        raise ConfigurationError(
            f"rag.embedding_model: Sluice serves no embedding model '{model}'.", fix=f"Take one of: {served or 'none'}."
        )
    folder = find_fetched(model, known, settings.home)
    if folder is None:
        raise MissingRequirement(f"Model '{model}' has not been fetched.", fix=f"Run: sluice models pull {model}")
    return open_tokenizer(folder)


def open_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer in a model's folder, neither cutting nor padding.

    Raises:
        MissingRequirement: there is none.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise MissingRequirement(f"The model in '{folder}' has no tokenizer.json.")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
