"""ragas' own metric with a scripted judge; what it cannot score stays out of every mean."""

import json
from typing import Any

import pytest

from evals.case import Answer, Case, Score
from evals.metrics.faithfulness import Faithfulness
from sluice.errors import NotAuthenticated, UpstreamFailed, UpstreamRefused
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body

METRIC = Faithfulness.model_validate({"metric": "faithfulness", "model": "judge"})
CASE = Case("c1", {"question": "Where was Einstein born?"})
ANSWER = Answer("In Germany. He liked cheese.", ("Einstein was born in Germany.",))


def says(value: Any) -> Behaviour:
    return Behaviour(content=[json.dumps(value)])


def verdicts(*found: int) -> Behaviour:
    return says({"statements": [{"statement": "s", "reason": "r", "verdict": verdict} for verdict in found]})


def score(upstream: ScriptedUpstream, *behaviours: Behaviour, case: Case = CASE, answer: Answer = ANSWER) -> Score:
    upstream.next(*behaviours)
    return METRIC.scorer((upstream.url, "key"))(case, answer)


def test_the_score_is_the_share_of_supported_statements(scripted_upstream: ScriptedUpstream):
    statements = says({"statements": ["Einstein was born in Germany.", "Einstein liked cheese."]})
    assert score(scripted_upstream, statements, verdicts(1, 0)) == Score(0.5)
    first, second = (request.json for request in scripted_upstream.requests)
    assert first["model"] == second["model"] == "judge"
    assert first["response_format"]["type"] == "json_schema"
    assert "He liked cheese." in first["messages"][-1]["content"]
    assert "Einstein was born in Germany." in second["messages"][-1]["content"]


def test_ragas_nan_is_not_scored(scripted_upstream: ScriptedUpstream):
    assert score(scripted_upstream, says({"statements": []})).value is None
    found = score(scripted_upstream, says({"statements": ["A."]}), says({"statements": []}))
    assert found == Score.unscored("ragas found no statement in the answer")


def test_a_judge_that_cannot_follow_the_form_is_asked_once_and_not_scored(scripted_upstream: ScriptedUpstream):
    found = score(scripted_upstream, Behaviour(content=["I think it is fine."]))
    assert found == Score.unscored("the judge's answer is not in the form that ragas asks for")
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize(
    ("case", "answer", "missing"),
    [
        (Case("c", {}), ANSWER, "question"),
        (CASE, Answer("", ("p",)), "text"),
        (CASE, Answer("Yes."), "passages"),
    ],
)
def test_what_ragas_needs_and_is_not_there_is_named(
    scripted_upstream: ScriptedUpstream, case: Case, answer: Answer, missing: str
):
    assert score(scripted_upstream, case=case, answer=answer) == Score.unscored(f"nothing to judge: no {missing}")
    assert scripted_upstream.requests == []


def test_errors_that_concern_the_run_stop_it(scripted_upstream: ScriptedUpstream):
    refused = Behaviour(status=400, body=error_body("too long"))
    assert score(scripted_upstream, refused).reason == "the judge refused: too long"
    for status, error in ((503, UpstreamRefused), (401, NotAuthenticated)):
        with pytest.raises(error):
            score(scripted_upstream, Behaviour(status=status, body=error_body("no", status=status)))
    scripted_upstream.stop_listening()
    with pytest.raises(UpstreamFailed):
        score(scripted_upstream)
