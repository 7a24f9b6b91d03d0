from sqlalchemy import Engine

from prompts.registry import list_versions
from prompts.setup import LIBRARY, register_library


def test_the_shipped_prompts_can_be_asked_for_and_are_registered_once(engine: Engine) -> None:
    register_library(engine)
    register_library(engine)
    assert [row.name for row in list_versions(engine)] == sorted(path.stem for path in LIBRARY.glob("*.yaml"))
