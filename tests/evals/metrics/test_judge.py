"""A model as judge, over HTTP: its verdict, and what is no verdict."""

import json

import pytest

from evals.case import Answer, Case, Score
from evals.metrics.judge import SCHEMA, Judge
from sluice.errors import MissingRequirement, UpstreamFailed, UpstreamRefused
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body

METRIC = Judge.model_validate({"metric": "judge", "model": "smollm2", "rubric": "The answer names the right city."})
CASE = Case("c1", {"country": "France"}, "Paris")


def judged(upstream: ScriptedUpstream, content: str) -> Score:
    upstream.next(Behaviour(content=[content]))
    return METRIC.scorer((upstream.url, "key"))(CASE, Answer("Paris."))


@pytest.mark.parametrize(("verdict", "value"), [("pass", 1), ("fail", 0)])
def test_a_verdict_is_a_score_with_its_reason(scripted_upstream: ScriptedUpstream, verdict: str, value: float):
    assert judged(scripted_upstream, json.dumps({"reason": "So.", "verdict": verdict})) == Score(value, "So.")


def test_the_judge_is_held_to_the_schema_and_sees_the_answer_as_material(scripted_upstream: ScriptedUpstream):
    judged(scripted_upstream, '{"reason": "So.", "verdict": "pass"}')
    sent = scripted_upstream.requests[0].json
    assert sent["model"] == "smollm2"
    assert sent["temperature"] == 0
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "The answer names the right city." in sent["messages"][0]["content"]
    material = json.loads(sent["messages"][1]["content"])
    assert material == {"input": {"country": "France"}, "reference": "Paris", "answer": "Paris."}


@pytest.mark.parametrize(
    "content", ["pass", "", '{"verdict": "pass"}', '{"reason": "x", "verdict": "maybe"}', '{"reason": "cut']
)
def test_what_is_no_verdict_is_not_scored(scripted_upstream: ScriptedUpstream, content: str):
    score = judged(scripted_upstream, content)
    assert score.value is None
    assert score.reason.startswith("the judge gave no verdict")


def test_a_refusal_of_this_answer_is_not_scored_and_any_other_error_stops(scripted_upstream: ScriptedUpstream):
    scorer = METRIC.scorer((scripted_upstream.url, "key"))
    scripted_upstream.next(Behaviour(status=400, body=error_body("too long")))
    assert scorer(CASE, Answer("Paris.")).reason == "the judge refused: too long"
    scripted_upstream.next(Behaviour(status=503, body=error_body("busy", status=503)))
    with pytest.raises(UpstreamRefused, match="busy"):
        scorer(CASE, Answer("Paris."))
    scripted_upstream.stop_listening()
    scripted_upstream.drop_connections()
    with pytest.raises(UpstreamFailed):
        scorer(CASE, Answer("Paris."))


def test_without_a_gateway_there_is_no_judge():
    with pytest.raises(MissingRequirement):
        METRIC.scorer(None)
