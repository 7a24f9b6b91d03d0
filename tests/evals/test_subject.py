"""What is asked of the gateway for a case, and what is read from its answer."""

import pytest

from evals.case import Case
from evals.subject import maker, retrieval, stored_prompt
from sluice.errors import MissingRequirement, UpstreamRefused
from sluice.gateway_client import GatewayClient
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body

CASE = Case("c1", {"question": "Where?", "n": 1}, model="smollm2", parameters={"temperature": 0, "seed": 3})


def test_a_stored_prompt_is_named_by_its_version(scripted_upstream: ScriptedUpstream):
    scripted_upstream.next(Behaviour(content=["Pa", "ris"], headers=[("x-request-id", "req-1")]))
    answer = stored_prompt(GatewayClient(scripted_upstream.url, "key"), "capital", "3f2a")(CASE)
    assert (answer.text, answer.request_id) == ("Paris", "req-1")
    assert scripted_upstream.requests[0].json == {
        "model": "smollm2",
        "temperature": 0,
        "seed": 3,
        "prompt": {"id": "capital", "version": "3f2a", "variables": {"question": "Where?", "n": 1}},
    }


def test_a_case_without_a_model_leaves_it_to_the_prompt(scripted_upstream: ScriptedUpstream):
    stored_prompt(GatewayClient(scripted_upstream.url, "key"), "capital", "3f2a")(Case("c1", {}))
    assert "model" not in scripted_upstream.requests[0].json


def test_ask_brings_its_passages(scripted_upstream: ScriptedUpstream):
    citations = [{"number": 1, "text": "Born in Ulm.", "path": "d.md"}, {"number": 2, "text": "He moved."}]
    body = {"id": "answer:req-1", "kind": "answer", "text": "In Ulm [1].", "citations": citations}
    scripted_upstream.next(Behaviour(path="/v1/ask", body=body))
    answer = retrieval(GatewayClient(scripted_upstream.url, "key"), "docs")(CASE)
    assert (answer.text, answer.passages) == ("In Ulm [1].", ("Born in Ulm.", "He moved."))
    assert scripted_upstream.requests[0].json == {"question": "Where?", "index": "docs"}


def test_a_refusal_is_raised_as_it_is(scripted_upstream: ScriptedUpstream):
    scripted_upstream.next(Behaviour(status=404, body=error_body("no such prompt", status=404)))
    with pytest.raises(UpstreamRefused, match="no such prompt"):
        stored_prompt(GatewayClient(scripted_upstream.url, "key"), "capital", "3f2a")(CASE)


def test_a_kind_that_no_package_knows_is_named():
    with pytest.raises(MissingRequirement, match="how to evaluate a riddle"):
        maker("riddle")
