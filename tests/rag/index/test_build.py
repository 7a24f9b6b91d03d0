import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, func
from sqlmodel import Session, select

from rag.index import build as building
from rag.index.build import Built, build_index
from rag.index.opened import OpenIndexes
from rag.settings import RagSettings
from sluice import lineage
from sluice.errors import InvalidRequest, UpstreamFailed
from sluice.gateway_client import GatewayClient
from sluice.lineage.graph import LineageEdge, LineageNode
from sluice.settings import Settings
from tests.rag.conftest import no_progress
from tests.rag.gateway_double import GatewayDouble

Build = Callable[[Path], Built]


def rows(engine: Engine) -> tuple[int, ...]:
    with Session(engine) as session:
        return tuple(
            session.exec(select(func.count()).select_from(table)).one() for table in (LineageNode, LineageEdge)
        )


def test_the_manifest_says_what_is_in_it(pages: Path, build: Build) -> None:
    built = build(pages)
    assert built.new
    assert built.version.chunks == 4
    assert [(document.path, document.chunks) for document in built.version.documents] == [
        ("keepers/rota.html", 1),
        ("locks.md", 2),
        ("tolls.txt", 1),
    ]


def test_again_is_nothing_new_and_embeds_nothing(
    pages: Path, build: Build, database: Engine, gateway_double: GatewayDouble
) -> None:
    first, before = build(pages), rows(database)
    gateway_double.requests.clear()
    again = build(pages)
    assert not again.new
    assert again.version == first.version
    assert not gateway_double.requests
    assert rows(database) == before


def test_a_change_makes_another_version_and_leaves_the_first(pages: Path, build: Build, settings: Settings) -> None:
    first = build(pages).version
    (pages / "tolls.txt").write_text("Canoes pay 2 crowns.")
    second = build(pages).version
    assert first.version != second.version
    shelf = settings.platform.home / "indexes" / "docs"
    assert {path.name for path in shelf.iterdir() if path.is_dir()} == {first.version, second.version}


@pytest.mark.parametrize("change", [{"chunk_tokens": 64}, {"language": "german"}])
def test_settings_that_shape_chunks_make_another_version(
    pages: Path, build: Build, settings: Settings, database: Engine, client: GatewayClient, change: dict[str, object]
) -> None:
    rag = settings.section("rag", RagSettings).model_copy(update=change)
    other = settings.model_copy(update={"extensions": {"rag": rag}})
    built = build_index(pages, "docs", settings=other, engine=database, client=client, progress=no_progress)
    assert built.version.version != build(pages).version.version


def test_the_index_comes_from_its_documents(pages: Path, build: Build, database: Engine) -> None:
    version = build(pages).version
    tree = lineage.trace(database, version.id)
    assert [(role, node.attributes["path"]) for role, node in tree.sources] == [
        ("document", document.path) for document in version.documents
    ]


def test_nothing_half_built_is_left_when_embedding_fails(
    pages: Path, settings: Settings, database: Engine, tmp_path: Path
) -> None:
    with GatewayClient("http://127.0.0.1:9/v1", "k") as nowhere, pytest.raises(UpstreamFailed):
        build_index(pages, "docs", settings=settings, engine=database, client=nowhere, progress=no_progress)
    assert not [path for path in (settings.platform.home / "indexes" / "docs").iterdir() if path.name != ".lock"]


def test_what_a_killed_build_left_is_cleared_away(pages: Path, build: Build, settings: Settings) -> None:
    shelf = settings.platform.home / "indexes" / "docs"
    (shelf / ".making-killed" / "points").mkdir(parents=True)
    build(pages)
    assert not list(shelf.glob(".making-*"))


def test_killed_before_the_index_became_the_newest_it_is_finished_without_embedding(
    pages: Path,
    build: Build,
    settings: Settings,
    database: Engine,
    gateway_double: GatewayDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building, "_point_to", killed)
        with pytest.raises(KeyboardInterrupt):
            build(pages)
    gateway_double.requests.clear()
    assert build(pages).version == OpenIndexes(settings, database).open("docs", client=None).version  # type: ignore[arg-type]
    assert not gateway_double.requests
    assert rows(database)[0] == 4


def test_a_version_whose_manifest_is_gone_is_built_again(pages: Path, build: Build, settings: Settings) -> None:
    version = build(pages).version
    folder = settings.platform.home / "indexes" / "docs" / version.version
    (folder / "manifest.json").unlink()
    assert build(pages).new
    shutil.rmtree(folder)
    assert build(pages).new


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc", ".hidden", "x" * 65, "a b"])
def test_a_name_that_is_none_is_refused(
    pages: Path, settings: Settings, database: Engine, client: GatewayClient, name: str
) -> None:
    with pytest.raises(InvalidRequest, match="cannot be an index's name"):
        build_index(pages, name, settings=settings, engine=database, client=client, progress=no_progress)
