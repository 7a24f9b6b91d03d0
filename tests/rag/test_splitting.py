from typing import get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rag.loading import Document, Format
from rag.splitting import Splitter, load_tokenizer, sections
from sluice.errors import ConfigurationError, MissingRequirement
from sluice.settings import Settings

LIMIT = 16
_words = st.sampled_from(
    ["sluice", "gate.", "# Head", "## ", "#\t", "```", "-", "e.g.", "1,450", "…", "世界", "x" * 90]
)
_gaps = st.sampled_from([" ", "\n", "\n\n", "\n\n\n", "\t", "\f", "\r\n", " ", ". ", ""])
_texts = st.lists(st.tuples(_words, _gaps) | st.tuples(st.text(max_size=12), _gaps), max_size=60).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)


def document(text: str, kind: Format = "text") -> Document:
    return Document("a.md", "hash", kind, text)


@hypothesis_settings(deadline=None)  # the first run imports LlamaIndex
@given(text=_texts, kind=st.sampled_from(get_args(Format)))
def test_chunks_are_spans_of_the_text_in_order_and_within_the_limit(
    tokenizer: Tokenizer, text: str, kind: Format
) -> None:
    splitter = Splitter(tokenizer, LIMIT)
    whole = document(text, kind)
    end = 0
    for chunk in splitter.split(whole):
        assert text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() != ""
        assert chunk.start >= end
        assert not text[end : chunk.start].strip(), "nothing but white space lies between chunks"
        assert splitter.tokens(chunk.text) <= LIMIT - 2
        end = chunk.end
    assert not text[end:].strip()


def test_sections_of_markdown_end_at_headings_and_a_bare_heading_joins_the_next() -> None:
    text = "intro\n\n# One\n\n## Two\n\ntext\n```\n# no heading\n```\n# Three\n"
    assert [text[start:end] for start, end in sections(text, "markdown")] == [
        "intro",
        "# One\n\n## Two\n\ntext\n```\n# no heading\n```",
        "# Three",
    ]


def test_sentences_stay_whole_where_they_fit(tokenizer: Tokenizer) -> None:
    text = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen."
    assert [chunk.text for chunk in Splitter(tokenizer, 16).split(document(text))] == [
        "One two three four five six. Seven eight nine ten eleven.",
        "Twelve thirteen fourteen.",
    ]


def test_no_chunk_crosses_a_page(tokenizer: Tokenizer) -> None:
    chunks = list(Splitter(tokenizer, 256).split(document("first page\fsecond page", "pdf")))
    assert [chunk.text for chunk in chunks] == ["first page", "second page"]


def test_a_chunk_is_named_by_its_file_and_its_place(tokenizer: Tokenizer) -> None:
    splitter = Splitter(tokenizer, 256)
    pages = list(splitter.split(document("same\fsame", "pdf")))
    assert len({chunk.hash for chunk in pages}) == 2
    assert pages[0].hash == next(splitter.split(document("same\fsame", "pdf"))).hash


def test_the_models_own_tokenizer_is_used(settings: Settings) -> None:
    assert load_tokenizer(settings, "words").encode("a b").ids == [1, 0, 0, 2]


def test_a_model_that_is_none_or_was_not_fetched_is_named(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"no embedding model 'other'\. Take one of: words"):
        load_tokenizer(settings, "other")
    package = {"kind": "embedding", "source": {"package": "a==1"}, "port": 1}
    unfetched = Settings.model_validate({"platform": settings.platform, "models": {"far": package}})
    with pytest.raises(MissingRequirement, match="sluice models pull far"):
        load_tokenizer(unfetched, "far")
