"""The text of an HTML page with its structure kept: headings as in Markdown, blocks apart, what nobody sees left out.

LlamaIndex's own HTML reader and node parser put the text of inner tags behind that of the outer ones, so that no span
of the result would be what a reader of the page sees.
"""

import re
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, PreformattedString, Tag
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document

UNSEEN = {"head", "nav", "noscript", "script", "style", "svg", "template"}
HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
BLOCKS = {
    *(
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
    ),
    *("figure", "footer", "form", "header", "hr", "html", "main", "ol", "p", "pre", "section", "summary", "table"),
    *("tbody", "thead", "ul"),
}


class HtmlReader(BaseReader):
    """A LlamaIndex reader of HTML files in UTF-8."""

    def load_data(self, file: Path, **_: Any) -> list[Document]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One document for a page."""
        return [Document(text=html_text(file.read_text("utf-8")), metadata={"filename": file.name})]


def html_text(html: str) -> str:
    """What a reader of the page sees, as text."""
    text = _render(BeautifulSoup(html, "html.parser"))
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _render(element: PageElement) -> str:
    if isinstance(element, PreformattedString):  # comments, doctypes
        return ""
    if isinstance(element, NavigableString):
        return re.sub(r"\s+", " ", element)
    if not isinstance(element, Tag) or element.name in UNSEEN:
        return ""
    if element.name == "pre":
        return f"\n\n{element.get_text()}\n\n"
    inner = "".join(_render(child) for child in element.children)
    if element.name in HEADINGS:
        heading = " ".join(inner.split())
        return f"\n\n{HEADINGS[element.name]} {heading}\n\n" if heading else ""
    if element.name in BLOCKS:
        return f"\n\n{inner}\n\n"
    match element.name:
        case "br":
            return "\n"
        case "li":
            return f"\n- {inner.strip()}"
        case "tr":
            return f"\n{inner}"
        case "td" | "th":
            return f"{inner} "
        case _:
            return inner
