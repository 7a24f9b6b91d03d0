from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from sluice import lineage
from sluice.errors import NotFound
from sluice.lineage import Node, Source


def record(engine: Engine, node_id: str, *sources: Source, **attributes: object) -> None:
    with Session(engine) as session:
        lineage.record(session, node_id, dict(attributes), sources)
        session.commit()


def shape(node: Node) -> object:
    return node.id, [(role, shape(source)) for role, source in node.sources]


def test_trace_leads_back_to_what_came_from_outside(engine: Engine) -> None:
    record(engine, "file:f", path="a.csv")
    record(engine, "table:bronze.t@0", ("file", "file:f"))
    record(engine, "model:churn@1", ("data", "table:bronze.t@0"), ("code", "commit:c"))
    tree = lineage.trace(engine, "model:churn@1")
    assert shape(tree) == (
        "model:churn@1",
        [("data", ("table:bronze.t@0", [("file", ("file:f", []))])), ("code", ("commit:c", []))],
    )
    assert tree.sources[0][1].sources[0][1].attributes == {"path": "a.csv"}
    assert not tree.sources[1][1].known


def test_recording_again_changes_nothing_and_can_be_done_by_several_at_once(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: record(engine, "chunk:c", ("document", "document:d"), n=1), range(16)))
    record(engine, "chunk:c", ("document", "document:other"), n=2)
    tree = lineage.trace(engine, "chunk:c")
    assert tree.attributes == {"n": 1}
    assert [source.id for _, source in tree.sources] == ["document:d"]


def test_what_two_have_in_common_is_followed_once_and_a_circle_ends(engine: Engine) -> None:
    record(engine, "run:a", ("x", "run:b"), ("y", "run:c"))
    record(engine, "run:b", ("x", "run:c"))
    record(engine, "run:c", ("back", "run:a"))
    tree = lineage.trace(engine, "run:a")
    under_b = tree.sources[0][1].sources[0][1]
    assert [source.id for _, source in under_b.sources] == ["run:a"]
    assert under_b.sources[0][1].repeated
    assert tree.sources[1][1].repeated


@pytest.mark.parametrize("text", ["answer:req-1f2e3d", "req-1f2e3d", " 1f2e3d "])
def test_an_id_is_found_by_its_end(engine: Engine, text: str) -> None:
    record(engine, "answer:req-1f2e3d")
    assert lineage.find(engine, text) == "answer:req-1f2e3d"


@pytest.mark.parametrize("text", ["nothing", "answer:req-9", "%", "______", "", "5ed", "' OR 1=1 --"])
def test_an_unknown_id_is_named(engine: Engine, text: str) -> None:
    record(engine, "answer:req-1")
    with pytest.raises(NotFound, match="Nothing is known"):
        lineage.find(engine, text)


def test_an_id_that_could_be_several_things_shows_them(engine: Engine) -> None:
    record(engine, "model:churn@3")
    record(engine, "model:churn-eu@3")
    with pytest.raises(NotFound, match="model:churn@3") as caught:
        lineage.find(engine, "model:churn")
    assert "model:churn-eu@3" in str(caught.value)


def test_an_id_shared_with_what_it_was_made_from_means_the_result(engine: Engine) -> None:
    record(engine, "step:abcdef")
    record(engine, "answer:abcdef", ("step", "step:abcdef"))
    assert lineage.find(engine, "abcdef") == "answer:abcdef"


def test_tracing_an_unknown_id_is_an_error(engine: Engine) -> None:
    with pytest.raises(NotFound):
        lineage.trace(engine, "run:none")
