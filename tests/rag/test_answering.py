from pathlib import Path

import pytest
from sqlalchemy import Engine

from rag.answering import REFUSAL, answer
from rag.index.search import Index
from rag.loading import Document, load_file
from rag.settings import PROMPT, PROMPT_VERSION, RagSettings
from sluice import lineage
from sluice.errors import InvalidRequest
from sluice.settings import Settings
from tests.rag.gateway_double import GatewayDouble

QUESTION = "How deep is the lock at Marrick?"


@pytest.fixture
def rag(settings: Settings) -> RagSettings:
    return settings.section("rag", RagSettings)


def test_an_answer_cites_what_stands_in_the_file(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble, pages: Path
) -> None:
    gateway_double.replies.append("The lock is 62 metres deep.")
    given = answer(QUESTION, index, rag=rag, engine=database)
    assert (given.kind, given.text) == ("answer", "The lock is 62 metres deep. [1]")
    [citation] = given.citations
    document = load_file(pages / citation.path, citation.path, 10_000)
    assert isinstance(document, Document)
    assert "62 metres" in document.text[citation.start : citation.end] == citation.text


def test_the_prompt_goes_by_its_version_with_its_variables(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    gateway_double.replies.append("62 metres deep.")
    answer(QUESTION, index, rag=rag, engine=database)
    [body] = gateway_double.sent("/v1/chat/completions")
    assert body["model"] == "m"
    assert (body["prompt"]["id"], body["prompt"]["version"]) == (PROMPT, PROMPT_VERSION)
    assert body["prompt"]["variables"]["question"] == QUESTION
    assert body["prompt"]["variables"]["passages"].startswith("[1] The lock at Marrick is 62 metres deep.")


def test_every_call_carries_the_parent(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    gateway_double.requests.clear()
    gateway_double.replies.append("62 metres deep.")
    answer(QUESTION, index, rag=rag, engine=database, parent="req-parent")
    assert {headers["x-sluice-parent"] for _, headers, _ in gateway_double.requests} == {"req-parent"}


def test_nothing_relevant_is_a_refusal_without_asking_the_model(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    given = answer("Which guitar strings sound best for jazz?", index, rag=rag, engine=database)
    assert (given.kind, given.text, given.citations) == ("refusal", REFUSAL, [])
    assert not gateway_double.sent("/v1/chat/completions")
    assert lineage.trace(database, given.id).attributes["kind"] == "refusal"


@pytest.mark.parametrize("said", ["The lock is 99 metres deep.", "The answer to this question is:", ""])
def test_what_the_passages_do_not_bear_out_gives_way_to_a_quotation(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble, said: str
) -> None:
    gateway_double.replies.append(said)
    given = answer(QUESTION, index, rag=rag, engine=database)
    assert given.kind == "quote"
    assert given.text == "“The lock at Marrick is 62 metres deep.” [1]"


def test_an_answer_cut_off_ends_with_its_last_whole_sentence(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    gateway_double.finish_reason = "length"
    gateway_double.replies.append("The lock is 62 metres deep. The lock at")
    assert answer(QUESTION, index, rag=rag, engine=database).text == "The lock is 62 metres deep. [1]"


def test_the_trace_leads_from_the_answer_to_the_files(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    gateway_double.replies.append("The lock is 62 metres deep.")
    given = answer(QUESTION, index, rag=rag, engine=database, parent="req-parent")
    tree = lineage.trace(database, given.id)
    assert tree.attributes["question"] == QUESTION
    roles = [role for role, _ in tree.sources]
    assert roles[:2] == ["request", "index"]
    assert sorted(roles[2:]) == ["cited", "found", "found"]
    assert tree.sources[0][1].id == given.id.replace("answer:", "request:")
    assert tree.sources[1][1].id == index.version.id
    [chunk] = [node for role, node in tree.sources if role == "cited"]
    assert chunk.attributes["path"] == "locks.md"
    assert chunk.sources[0][1].id == f"document:{given.citations[0].document}"


def test_the_same_answer_recorded_again_doubles_nothing(
    index: Index, rag: RagSettings, database: Engine, gateway_double: GatewayDouble
) -> None:
    def ask() -> str:
        gateway_double.requests.clear()  # the double numbers its requests: the same ids again
        gateway_double.replies.append("The lock is 62 metres deep.")
        return answer(QUESTION, index, rag=rag, engine=database).id

    assert ask() == ask()
    assert len(lineage.trace(database, ask()).sources) == 5


def test_an_empty_question_is_refused(index: Index, rag: RagSettings, database: Engine) -> None:
    with pytest.raises(InvalidRequest, match="question is empty"):
        answer(" \n", index, rag=rag, engine=database)
