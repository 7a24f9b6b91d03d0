"""Versions in the database, and what names them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from prompts.commit import Commit
from prompts.registry import PromptVersion, check_label, find_version, list_versions, register
from sluice import lineage
from sluice.database import connect
from sluice.errors import InvalidRequest, NotFound, StateUnavailable
from sluice.promotion import Candidate, promote
from sluice.settings import PromotionSettings

COMMIT = Commit("c" * 40, "ada@example.org", "Ask in one sentence")
UNGUARDED = PromotionSettings(guarded=())


def content(text: str = "ä") -> bytes:
    return f"description: d\r\nmessages:\n  - role: user\n    content: {text!r}\n".encode()


def label(engine: Engine, version: str, name: str = "production") -> None:
    promote(engine, Candidate("prompt", "one", version), name, by="ada", settings=UNGUARDED)


def test_a_version_is_kept_as_it_is_in_git(engine: Engine) -> None:
    prompt = register(engine, "one", content(), author="ada")
    found = find_version(engine, "one", prompt.version)
    assert found.reference == prompt.reference
    assert found.render({}) == [{"role": "user", "content": "ä"}]


def test_registering_again_changes_nothing(engine: Engine) -> None:
    register(engine, "one", content(), author="ada", commit=COMMIT)
    [before] = list_versions(engine)
    register(engine, "one", content(), author="bob", commit=Commit("d" * 40, "bob", "Another"))
    register(engine, "one", content(), author="bob")
    assert [row.model_dump() for row in list_versions(engine)] == [before.model_dump()]
    tree = lineage.trace(engine, f"prompt:one@{before.version}")
    assert [(role, source.id) for role, source in tree.sources] == [("commit", f"commit:{COMMIT.hash}")]


def test_many_who_register_the_same_at_once(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: register(engine, "one", content(), author="ada", commit=COMMIT), range(16)))
    assert len(list_versions(engine, "one")) == 1


def test_a_version_gains_its_commit_and_then_has_a_lineage(engine: Engine) -> None:
    prompt = register(engine, "one", content(), author="ada")
    with pytest.raises(NotFound):
        lineage.trace(engine, f"prompt:{prompt.reference}")
    register(engine, "one", content(), author="bob", commit=COMMIT)
    [row] = list_versions(engine, "one")
    assert (row.author, row.commit) == ("ada", COMMIT.hash)
    [(_, source)] = lineage.trace(engine, f"prompt:{prompt.reference}").sources
    assert source.attributes == {"author": "ada@example.org", "subject": "Ask in one sentence"}


def test_what_is_no_prompt_is_not_kept(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match=r"one\.yaml, line 1"):
        register(engine, "one", b"description: d\n", author="ada", commit=COMMIT)
    with Session(engine) as session:
        assert session.exec(select(PromptVersion)).first() is None


def test_a_version_has_several_names(engine: Engine) -> None:
    old, new = (register(engine, "one", content(text), author="ada").version for text in ("old", "new"))
    label(engine, old)
    label(engine, new, "next")
    assert find_version(engine, "one").version == old
    assert find_version(engine, "one", "next").version == new
    assert find_version(engine, "one", new[:7]).version == new
    assert find_version(engine, "one", new).version == new
    label(engine, new)
    assert find_version(engine, "one").version == new


@pytest.mark.parametrize(
    ("name", "version", "param", "message"),
    [
        ("two", "production", "prompt.id", "There is no prompt 'two'."),
        ("two", "a" * 40, "prompt.id", "There is no prompt 'two'."),
        ("\0", "production", "prompt.id", "There is no prompt"),
        ("%", "production", "prompt.id", "There is no prompt '%'."),
        ("x" * 1000, "production", "prompt.id", f"There is no prompt '{'x' * 100}'."),
        ("one", "production", "prompt.version", "Prompt 'one' has no version or label 'production'."),
        ("one", "a" * 40, "prompt.version", f"has no version or label '{'a' * 40}'."),
        ("one", "abcdef1", "prompt.version", "has no version or label 'abcdef1'."),
        ("one", "\0", "prompt.version", "has no version or label"),
        ("one", "", "prompt.version", "has no version or label ''."),
        ("one", "%%%%%%%", "prompt.version", "has no version or label '%%%%%%%'."),
    ],
)
def test_what_is_not_there(engine: Engine, name: str, version: str, param: str, message: str) -> None:
    register(engine, "one", content(), author="ada")
    with pytest.raises(NotFound) as raised:
        find_version(engine, name, version)
    assert raised.value.param == param
    assert message in str(raised.value)


def test_a_beginning_that_fits_several(engine: Engine) -> None:
    with Session(engine) as session:
        for ending in "01":
            version = "abcdef1" + ending * 33
            row = register(engine, "one", content(ending), author="ada")
            kept = session.get_one(PromptVersion, ("one", row.version))
            kept.version = version
        session.commit()
    with pytest.raises(NotFound, match="has several versions 'abcdef1'"):
        find_version(engine, "one", "abcdef1")
    assert find_version(engine, "one", "abcdef10").render({})[0]["content"] == "0"


@pytest.mark.parametrize("label", ["", "Production", "deadbeef", "0" * 40, "1st", "a b", "ä", "x" * 65])
def test_a_label_that_could_not_be_told_from_a_version_or_named(label: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be a label"):
        check_label(label)


def test_an_ordinary_label() -> None:
    check_label("production")
    check_label("eu-1.next")


def test_a_database_that_was_never_set_up(database_url: str) -> None:
    engine = connect(database_url)
    with pytest.raises(StateUnavailable, match="has not been set up"):
        find_version(engine, "one")
    engine.dispose()
