"""When the model is asked, and what becomes of what it says."""

import json

import pytest

from agents.analyst.deciding import Decisions
from agents.analyst.shortlist import Ranked
from tests.agents.conftest import ContextOf
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

ABOUT = {"a": "the first", "b": "the second", "c": "the third"}
CLOSE = [Ranked("b", 1.0), Ranked("a", 0.9), Ranked("c", 0.1)]


def test_a_clear_choice_asks_no_model(context_of: ContextOf, scripted_upstream: ScriptedUpstream) -> None:
    decisions = Decisions(context_of(), "?")
    assert decisions.decide("route", [Ranked("b", 1.0), Ranked("a", 0.2)], ABOUT) == "b"
    assert decisions.steps == [{"decided": "route", "as": "b", "how": "by its words"}]
    assert not scripted_upstream.requests


def test_the_model_chooses_among_the_close_ones_only(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(content=('{"choice": "a"}',), headers=[("x-request-id", "req-inner")]))
    decisions = Decisions(context_of(), "?")
    assert decisions.decide("route", CLOSE, ABOUT) == "a"
    assert decisions.steps == [{"decided": "route", "as": "a", "how": "by small among b, a"}]
    [asked] = scripted_upstream.requests
    schema = asked.json["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["choice"]["enum"] == ["b", "a"]
    assert (asked.json["temperature"], asked.json["seed"]) == (0, 0)
    assert asked.header("x-sluice-parent") == "req-1"
    assert decisions.model_calls[0]["request"] == "req-inner"
    assert decisions.model_calls[0]["completion_tokens"] == 1


@pytest.mark.parametrize("said", ["", "b or a", '{"choice": "c"}', '{"choice": ', json.dumps(["a"]), "null"])
def test_a_model_that_does_not_choose_leaves_the_best_guess(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream, said: str
) -> None:
    scripted_upstream.next(Behaviour(content=(said,)))
    assert Decisions(context_of(), "?").decide("route", CLOSE, ABOUT) == "b"
