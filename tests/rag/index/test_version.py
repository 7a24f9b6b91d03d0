from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rag.index.build import Built
from rag.index.version import current_version
from rag.settings import index_home
from sluice.errors import InvalidRequest, NotFound
from sluice.promotion import Candidate, promote
from sluice.settings import PromotionSettings, Settings

Build = Callable[[Path], Built]


def test_before_anything_was_indexed_the_command_is_named(settings: Settings, database: Engine) -> None:
    with pytest.raises(NotFound, match=r"Nothing has been indexed yet\. Run: sluice rag index FOLDER"):
        current_version(index_home(settings), database, "docs")


def test_an_unknown_index_gets_the_known_ones(settings: Settings, database: Engine, pages: Path, build: Build) -> None:
    build(pages)
    with pytest.raises(NotFound, match=r"no index 'dogs'\. Take one of: docs"):
        current_version(index_home(settings), database, "dogs")
    with pytest.raises(InvalidRequest):
        current_version(index_home(settings), database, "../docs")


def test_the_newest_is_in_use_until_a_label_says_otherwise(
    settings: Settings, database: Engine, pages: Path, build: Build
) -> None:
    first = build(pages).version
    (pages / "tolls.txt").write_text("Canoes pay 2 crowns.")
    second = build(pages).version
    home = index_home(settings)
    assert current_version(home, database, "docs") == second
    ungated = PromotionSettings(guarded=())
    promote(database, Candidate("index", "docs", first.version), "production", by="ada", settings=ungated)
    assert current_version(home, database, "docs") == first
    promote(database, Candidate("index", "docs", "0" * 32), "production", by="ada", settings=ungated)
    with pytest.raises(NotFound, match=r"which 'production' is on, is not in"):
        current_version(home, database, "docs")


def test_going_back_to_an_earlier_state_makes_it_the_newest_again(
    settings: Settings, database: Engine, pages: Path, build: Build
) -> None:
    first, before = build(pages).version, (pages / "tolls.txt").read_text()
    (pages / "tolls.txt").write_text("Canoes pay 2 crowns.")
    build(pages)
    (pages / "tolls.txt").write_text(before)
    assert build(pages).version == first
    assert current_version(index_home(settings), database, "docs") == first
