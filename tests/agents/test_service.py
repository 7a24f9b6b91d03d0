"""The routes, through a real server: keys, tools, approvals, and the analyst in OpenAI's shape."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from sluice.lineage import trace
from tests.agents.conftest import ALERT
from tests.agents.running_services import RunningServices
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

PREDICTION = {"id": "p1", "model": "churn", "version": "3", "entity": "7590-VHVEG", "score": 0.63}
RESULT = {"customer": "7590-VHVEG", "probability": 0.63, "model": "model:churn@3", "sources": ["prediction:p1"]}
FACTS = "Customer 7590-VHVEG leaves with a probability of 0.63, according to model:churn@3."
QUESTION = "Predict churn for customer 7590-VHVEG"


def play_prediction(upstream: ScriptedUpstream) -> None:
    upstream.next(Behaviour(path="/v1/predict/churn", body=PREDICTION))


def message_of(response: Any) -> str:
    return response.json()["error"]["message"]


def test_every_route_wants_a_key(services: RunningServices) -> None:
    for method, path in [
        ("GET", "/v1/tools"),
        ("GET", "/v1/tools/calls"),
        ("POST", "/v1/tools/predict_churn"),
        ("POST", "/v1/tools/calls/x/approve"),
        ("POST", "/v1/tools/calls/x/deny"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/mcp"),
    ]:
        response = services.http.request(method, path, json={"model": "agent/analyst", "messages": []})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), path


def test_tools_are_listed_and_called(services: RunningServices, scripted_upstream: ScriptedUpstream) -> None:
    names = [tool["name"] for tool in services.get("/v1/tools").json()["data"]]
    assert names == [
        "search_documents",
        "query_sql",
        "customer_features",
        "predict_churn",
        "drift_report",
        "start_training",
    ]
    play_prediction(scripted_upstream)
    body = {"arguments": {"customer": "7590-VHVEG"}, "id": "my-call"}
    answer = services.post("/v1/tools/predict_churn", body).json()
    assert (answer["id"], answer["state"]) == ("my-call", "done")
    assert answer["result"] == RESULT
    assert services.post("/v1/tools/predict_churn", body).json() == answer
    [asked] = scripted_upstream.requests
    assert asked.header("authorization") == f"Bearer {services.ada}"
    assert asked.header("x-sluice-parent") == "req-outer"


def test_mistakes_with_tools(services: RunningServices) -> None:
    unknown = services.post("/v1/tools/sendmail", {"arguments": {}})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    assert message_of(unknown).startswith("There is no tool 'sendmail'. There are: search_documents,")
    wrong = services.post("/v1/tools/predict_churn", {"arguments": {"customer": 7}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "arguments.customer")
    assert message_of(wrong) == (
        "Tool 'predict_churn': argument 'customer' is 7, expected string (The customer's id, such as 7590-VHVEG)."
    )
    listed = services.post("/v1/tools/predict_churn", {"arguments": ["7590-VHVEG"]})
    assert (listed.status_code, listed.json()["error"]["param"]) == (400, "arguments")
    outside = services.post("/v1/tools/predict_churn", {"customer": "7590-VHVEG"})
    assert (outside.status_code, outside.json()["error"]["param"]) == (400, "customer")
    assert message_of(outside) == (
        "A call of a tool has no field 'customer'. Put the tool's arguments inside \"arguments\"."
    )
    bad_id = services.post("/v1/tools/predict_churn", {"arguments": {"customer": "x"}, "id": "a b"})
    assert (bad_id.status_code, bad_id.json()["error"]["param"]) == (400, "id")
    no_alert = services.post("/v1/tools/start_training", {"arguments": {"alert": "alert-nothing"}})
    assert (no_alert.status_code, message_of(no_alert)) == (
        404,
        "There is no alert alert-nothing. Run: sluice ml drift",
    )
    assert services.get("/v1/tools/calls").json() == {"data": []}
    pending = services.post("/v1/tools/calls/call-nothing/approve", {})
    assert (pending.status_code, message_of(pending)) == (
        404,
        "No call 'call-nothing' waits for approval. See: sluice agents pending",
    )


def test_the_analyst_answers_with_facts_and_their_trace(
    services: RunningServices, scripted_upstream: ScriptedUpstream
) -> None:
    play_prediction(scripted_upstream)
    answer = services.ask(QUESTION).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": FACTS}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    told = answer["metadata"]
    assert told["state"] == "answered"
    assert told["thread_id"].startswith("thread-")
    assert [step.get("decided") or step["called"] for step in told["steps"]] == ["route", "tool", "predict_churn"]
    node = trace(services.engine, told["answer_id"])
    sources = [source.id for _, source in node.sources]
    assert sources[0].startswith("agent:analyst@")
    assert sources[1:] == [f"tool_call:{told['tool_call_id']}", "request:req-outer"]
    assert node.sources[0][1].attributes["model"] == "small"


def test_a_stream_says_what_a_plain_answer_says(services: RunningServices, scripted_upstream: ScriptedUpstream) -> None:
    client = openai.OpenAI(base_url=f"{services.origin}/v1", api_key=services.ada, max_retries=0)
    messages: Any = [{"role": "user", "content": QUESTION}]
    play_prediction(scripted_upstream)
    plain = client.chat.completions.create(model="agent/analyst", messages=messages)
    play_prediction(scripted_upstream)
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="agent/analyst", messages=messages, stream=True, stream_options=options)
    )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == plain.choices[0].message.content
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
    assert chunks[-1].usage == plain.usage
    assert not chunks[-1].choices
    told = [chunk.metadata for chunk in chunks if getattr(chunk, "metadata", None)]  # type: ignore[attr-defined]
    assert [list(each) for each in told[:-1]] == [["step"]] * 3
    assert told[-1]["state"] == "answered"


def test_the_models_calls_are_summed_and_traced(
    services: RunningServices, scripted_upstream: ScriptedUpstream, training: Path
) -> None:
    chosen = Behaviour(content=('{"choice":', ' "drift"}'), headers=[("x-request-id", "req-inner")])
    scripted_upstream.next(chosen)
    answer = services.ask("Has the data drifted since we trained?").json()
    assert answer["choices"][0]["message"]["content"].endswith(f"warning: 2 columns drifted ({ALERT}).")
    told = answer["metadata"]
    assert told["steps"][0] == {"decided": "route", "as": "drift", "how": "by small among training, drift"}
    assert (told["model_calls"], told["completion_tokens"]) == (1, 2)
    [asked] = scripted_upstream.requests
    prompt = asked.json["messages"][0]["content"]
    assert told["prompt_tokens"] == len(prompt.split())
    assert asked.header("authorization") == f"Bearer {services.ada}"
    sources = [source.id for _, source in trace(services.engine, told["answer_id"]).sources]
    assert sources[-2:] == ["request:req-outer", "request:req-inner"]


def test_a_missing_customer_is_asked_for(services: RunningServices) -> None:
    answer = services.ask("Predict churn for the customer, please").json()
    assert answer["choices"][0]["message"]["content"] == (
        "Which customer do you mean? Name the id, such as 7590-VHVEG."
    )


def test_a_tools_refusal_is_the_answer_and_a_budgets_is_an_error(
    services: RunningServices, scripted_upstream: ScriptedUpstream
) -> None:
    def refuse(status: int, message: str) -> Behaviour:
        return Behaviour(path="/v1/predict/churn", status=status, body={"error": {"message": message, "code": "c"}})

    scripted_upstream.next(refuse(404, "There is no customer 7590-VHVEG."))
    assert services.ask(QUESTION).json()["choices"][0]["message"]["content"] == "There is no customer 7590-VHVEG."
    scripted_upstream.next(refuse(429, "The budget is spent."))
    spent = services.ask(QUESTION, "mine")
    assert (spent.status_code, message_of(spent)) == (429, "The budget is spent.")
    play_prediction(scripted_upstream)
    assert services.ask(QUESTION, "mine").json()["choices"][0]["message"]["content"].startswith(FACTS)


def test_an_error_in_a_stream_is_an_event(services: RunningServices, scripted_upstream: ScriptedUpstream) -> None:
    body = {"error": {"message": "The budget is spent.", "code": "budget_exhausted"}}
    scripted_upstream.next(Behaviour(path="/v1/predict/churn", status=429, body=body))
    lines = services.ask(QUESTION, stream=True).text.strip().split("\n\n")
    assert json.loads(lines[-2][5:])["error"]["message"] == "The budget is spent."
    assert lines[-1] == "data: [DONE]"


def test_training_waits_in_its_thread(services: RunningServices, training: Path) -> None:
    question = "Retrain the churn model"
    waiting = services.ask(question, "monday").json()
    call_id = waiting["metadata"]["tool_call_id"]
    assert waiting["metadata"]["state"] == "waiting"
    assert f"sluice agents approve {call_id}" in waiting["choices"][0]["message"]["content"]
    [pending] = services.get("/v1/tools/calls").json()["data"]
    assert (pending["id"], pending["caller"], pending["arguments"]) == (call_id, "ada", {"alert": ALERT})

    own = services.post(f"/v1/tools/calls/{call_id}/approve", {})
    assert (own.status_code, own.json()["error"]["code"]) == (403, "not_allowed")
    assert services.ask(question, "monday").json()["metadata"]["state"] == "waiting"
    assert services.post(f"/v1/tools/calls/{call_id}/approve", {}, services.bob).json()["state"] == "done"

    done = services.ask(question, "monday").json()
    assert done["metadata"]["state"] == "answered"
    assert (
        f"Training for {ALERT} led to version 2; its gate's verdict is 'pass'."
        in done["choices"][0]["message"]["content"]
    )
    assert services.ask(question, "monday").json()["metadata"] == done["metadata"]
    assert (training / "attempts").read_text() == "x"


def test_a_refused_training_is_told(services: RunningServices, training: Path) -> None:
    call_id = services.ask("Retrain the churn model", "monday").json()["metadata"]["tool_call_id"]
    services.post(f"/v1/tools/calls/{call_id}/deny", {}, services.bob)
    told = services.ask("Retrain the churn model", "monday").json()["choices"][0]["message"]["content"]
    assert told == f"bob refused the call {call_id} of start_training, so it did not run."
    assert not (training / "attempts").exists()


def test_mistakes_in_chats(services: RunningServices) -> None:
    unknown = services.post("/v1/chat/completions", {"model": "agent/poet", "messages": []})
    assert (unknown.status_code, message_of(unknown)) == (
        404,
        "There is no agent 'agent/poet'. There are: agent/analyst.",
    )
    empty = services.post("/v1/chat/completions", {"model": "agent/analyst", "messages": []})
    assert (empty.status_code, empty.json()["error"]["param"]) == (400, "messages")
    odd = services.ask("Hi, how are you?", "no spaces")
    assert (odd.status_code, odd.json()["error"]["param"]) == (400, "metadata.thread_id")


def test_a_thread_belongs_to_its_owner(services: RunningServices) -> None:
    thread = services.ask("Hi, how are you?").json()["metadata"]["thread_id"]
    assert services.ask("Thanks, goodbye", thread).status_code == 200
    stranger = services.ask("Thanks, goodbye", thread, services.bob)
    assert stranger.status_code == 404
    assert message_of(stranger).startswith(f"There is no thread '{thread}' of yours.")


def test_no_key_is_written_to_a_checkpoint(services: RunningServices, settings: Any) -> None:
    services.ask("Hi, how are you?")
    folder = settings.platform.home / "agents"
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"how are you" in written
    assert services.ada.encode() not in written


def test_agents_read_text_only(services: RunningServices) -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    refused = services.post("/v1/chat/completions", {"model": "agent/analyst", "messages": [picture]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
    assert message_of(refused) == "Agents read text only, not 'image_url'. Leave it out."


def test_mcp_has_no_sessions_to_listen_to_or_to_end(services: RunningServices) -> None:
    headers = {"authorization": f"Bearer {services.ada}", "accept": "application/json, text/event-stream"}
    for method in ("GET", "DELETE"):
        assert services.http.request(method, "/mcp", headers=headers).status_code == 405


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_mcp_client_lists_and_calls_the_same_tools(
    services: RunningServices, scripted_upstream: ScriptedUpstream, mode: str
) -> None:
    import httpx2
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    play_prediction(scripted_upstream)
    headers = {"authorization": f"Bearer {services.ada}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        transport = streamable_http_client(f"{services.origin}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == [tool["name"] for tool in services.get("/v1/tools").json()["data"]]
            called = await client.call_tool("predict_churn", {"customer": "7590-VHVEG"})
            wrong = await client.call_tool("predict_churn", {"customer": 7})
    assert called.structured_content is not None
    assert called.structured_content["result"] == RESULT
    assert wrong.is_error
    assert "argument 'customer' is 7, expected string" in wrong.content[0].text  # type: ignore[union-attr]
