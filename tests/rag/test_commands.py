import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from rag.commands import rag
from sluice.errors import NotFound
from sluice.settings import Settings
from tests.rag.gateway_double import GatewayDouble


@pytest.fixture(autouse=True)
def deployment(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of settings that says what the fixture `settings` says, and a key."""
    chosen = {
        "platform": {"home": str(settings.platform.home)},
        "gateway": {"port": settings.gateway.port},
        "models": {"words": {"kind": "embedding", "source": {"path": str(tmp_path / "model")}, "port": 1}},
        "rag": {"embedding_model": "words", "threshold": 0.4},
    }
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "all.yaml").write_text(yaml.safe_dump(chosen))
    monkeypatch.setenv("SLUICE_CONFIG", str(configs))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sluice-test")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(rag, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_index_says_what_it_did_and_what_it_skipped(pages: Path) -> None:
    (pages / "photo.bin").write_bytes(b"\0")
    first = run("index", str(pages))
    assert "3 documents in 4 chunks: index:docs@" in first.stdout
    assert "Skipped: photo.bin is no text but binary." in first.stderr
    assert "nothing has changed" in run("index", str(pages)).stdout


def test_index_for_programs(pages: Path) -> None:
    (pages / "[red]x.bin").write_bytes(b"\0")
    shown = json.loads(run("index", str(pages), "--name", "canal", "--json").stdout)
    assert (shown["index"], shown["new"], shown["documents"], shown["chunks"]) == ("canal", True, 3, 4)
    assert shown["skipped"] == [{"path": "[red]x.bin", "why": "is no text but binary"}]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere' does not exist"):
        run("index", str(tmp_path / "nowhere"))


HIT: dict[str, Any] = {"path": "[a].md", "start": 3, "end": 9, "text": "one\ntwo [b]", "score": 1.5, "relevance": 0.7}


def test_search_shows_rank_score_place_and_snippet(
    gateway_double: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_double, "answer", lambda _path, _body: {"index": "index:docs@1", "hits": [HIT]})
    shown = run("search", "a query", "-n", "3").stdout
    assert "1  1.50   0.70       [a].md:3-9" in shown
    assert "one two [b]" in shown
    assert json.loads(run("search", "a query", "--json").stdout)["hits"] == [HIT]
    assert gateway_double.sent("/v1/search")[0] == {"query": "a query", "index": None, "limit": 3}


def test_ask_shows_the_answer_its_citations_and_its_id(
    gateway_double: GatewayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"id": "answer:req-1", "text": "Two. [1]", "citations": [HIT | {"number": 1}]}
    monkeypatch.setattr(gateway_double, "answer", lambda _path, _body: given)
    shown = run("ask", "a question", "--index", "docs").stdout
    assert "Two. [1]" in shown
    assert "[1] [a].md:3-9" in shown
    assert "answer:req-1" in shown
    long = given | {"text": "payment method " * 20}
    monkeypatch.setattr(gateway_double, "answer", lambda _path, _body: long)
    monkeypatch.setenv("COLUMNS", "18")
    assert run("ask", "a question").stdout.splitlines()[0].rstrip() == "payment method"
    assert gateway_double.sent("/v1/ask")[:1] == [{"question": "a question", "index": "docs"}]
