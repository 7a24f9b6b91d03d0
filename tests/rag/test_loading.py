import hashlib
import os
from pathlib import Path

import pytest
from llama_index.core.schema import Document as LlamaDocument
from pypdf import PdfWriter

from rag.demo import DOCUMENTS
from rag.html import HtmlReader
from rag.loading import Document, Skipped, load_file, load_folder
from sluice.errors import NotFound
from tests.rag.conftest import PAGES, no_progress

LIMIT = 1_000_000


def test_every_kind_of_file_is_read_with_its_hash(pages: Path) -> None:
    documents, skipped = load_folder(pages, LIMIT, no_progress)
    assert [document.path for document in documents] == ["keepers/rota.html", "locks.md", "tolls.txt"]
    assert not skipped
    html, markdown, text = documents
    assert html.text == "# Rota\n\nInes Okafor keeps the sluice at Marrick."
    assert markdown.text == PAGES["locks.md"]
    assert text.sha256 == hashlib.sha256((pages / "tolls.txt").read_bytes()).hexdigest()


def test_a_pdf_is_read_page_by_page() -> None:
    read = load_file(DOCUMENTS / "reservoir.pdf", "reservoir.pdf", LIMIT)
    assert isinstance(read, Document)
    first, second = read.text.split("\f")
    assert "1.9 million cubic metres" in first
    assert "Anselm Birk" in second


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("photo.bin", b"\x89PNG\0\0", "is no text but binary"),
        ("old.txt", "Grüße".encode("latin-1"), "is not UTF-8 (byte 2)"),
        ("broken.pdf", b"%PDF-1.4\nnothing that follows", "cannot be read as PDF"),
        ("empty.md", b" \n", "holds no text"),
        ("large.txt", b"x" * (LIMIT + 1), "is larger than"),
        ("page.html", b"<script>only()</script>", "holds no text"),
    ],
)
def test_what_cannot_be_read_is_skipped_and_named(pages: Path, name: str, content: bytes, why: str) -> None:
    (pages / name).write_bytes(content)
    documents, skipped = load_folder(pages, LIMIT, no_progress)
    assert len(documents) == len(PAGES)
    [one] = skipped
    assert one.path == name
    assert one.why.startswith(why)


def test_a_file_that_may_not_be_opened_is_skipped(pages: Path) -> None:
    assert load_file(pages / "nowhere.txt", "nowhere.txt", LIMIT) == Skipped(
        "nowhere.txt", "cannot be opened: No such file or directory"
    )


def test_hidden_files_and_what_is_no_file_are_passed_over(pages: Path) -> None:
    (pages / ".git").mkdir()
    (pages / ".git" / "config").write_text("secret")
    os.mkfifo(pages / "pipe")
    documents, skipped = load_folder(pages, LIMIT, no_progress)
    assert len(documents) == len(PAGES)
    assert not skipped


def test_a_folder_that_is_missing_or_empty_or_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, said in {"nowhere": "does not exist", "empty": "is empty", "file": "is a file"}.items():
        with pytest.raises(NotFound, match=f"{name}' {said}"):
            load_folder(tmp_path / name, LIMIT, no_progress)


def test_a_folder_with_nothing_readable_says_what_was_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0")
    with pytest.raises(NotFound, match=r"holds nothing that can be read: a\.bin is no text"):
        load_folder(tmp_path, LIMIT, no_progress)


def test_a_byte_order_mark_hides_no_heading(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf# Title")
    read = load_file(tmp_path / "a.md", "a.md", LIMIT)
    assert isinstance(read, Document)
    assert read.text == "# Title"


def test_nothing_outside_the_folder_is_read_through_a_link(pages: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (pages / "elsewhere").symlink_to(tmp_path)
    (pages / "secret.txt").symlink_to("../secret.txt")
    (pages / "again.txt").symlink_to("tolls.txt")
    (pages / "loop").symlink_to(pages)
    (pages / "self.txt").symlink_to("self.txt")
    documents, skipped = load_folder(pages, LIMIT, no_progress)
    assert [document.path for document in documents] == ["again.txt", "keepers/rota.html", "locks.md", "tolls.txt"]
    assert skipped == [
        Skipped("elsewhere", "is a link that leads out of the folder"),
        Skipped("secret.txt", "is a link that leads out of the folder"),
        Skipped("self.txt", "cannot be opened: Too many levels of symbolic links"),
    ]


def test_a_name_that_is_not_utf8_is_skipped_and_can_be_shown(pages: Path) -> None:
    Path(os.fsdecode(os.fsencode(pages) + b"/\xff.txt")).write_text("text")
    documents, skipped = load_folder(pages, LIMIT, no_progress)
    assert len(documents) == len(PAGES)
    assert skipped == [Skipped("\\xff.txt", "has a name that is not UTF-8")]


def test_a_locked_pdf_says_that_it_is(tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    writer.write(tmp_path / "locked.pdf")
    read = load_file(tmp_path / "locked.pdf", "locked.pdf", LIMIT)
    assert read == Skipped("locked.pdf", "cannot be read as PDF (File has not been decrypted)")


def test_a_file_that_changes_while_it_is_read_is_skipped(pages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written_to(self: HtmlReader, file: Path) -> list[LlamaDocument]:
        file.write_text("<p>Another text.")
        return [LlamaDocument(text="Another text.")]

    monkeypatch.setattr(HtmlReader, "load_data", written_to)
    read = load_file(pages / "keepers/rota.html", "rota.html", LIMIT)
    assert read == Skipped("rota.html", "changed while it was read")
