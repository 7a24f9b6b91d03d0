import json
from typing import Any

from gateway.metering.stream import IN_FLIGHT_TOKENS, LeasedCopy

ROLE = {"role": "assistant", "content": ""}


def event(delta: dict[str, Any], index: int = 0, finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'c', 'model': 'm', 'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


def copy(most: int, choices: int = 1) -> LeasedCopy:
    return LeasedCopy(hide_usage=True, choices=choices, most=most)


def test_an_answer_within_its_lease_passes_as_it_came() -> None:
    reader = copy(2)
    events = [event(ROLE), event({"content": "a"}), event({"content": "b"}), event({}, finish="stop")]
    for one in events:
        assert reader.feed(one) == one
    assert reader.feed(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    assert (reader.done, reader.cut) == (True, False)


def test_an_answer_beyond_its_lease_is_ended_as_an_engine_would() -> None:
    reader = copy(2)
    passed = event(ROLE) + event({"content": "a"}) + event({"content": "b"})
    forwarded = reader.feed(passed + event({"content": "c"}) + event({"content": "d"}))
    assert forwarded.startswith(passed)
    last, done = forwarded[len(passed) :].strip().split(b"\n\n")
    chunk = json.loads(last.removeprefix(b"data: "))
    assert (chunk["id"], chunk["choices"]) == (
        "c",
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
    )
    assert done == b"data: [DONE]"
    assert reader.done
    assert reader.cut


def test_all_answers_of_a_call_share_its_lease_and_all_are_ended() -> None:
    reader = copy(2, choices=2)
    forwarded = reader.feed(event({"content": "a"}) + event({"content": "b"}, 1) + event({"content": "c"}))
    chunk = json.loads(forwarded.strip().split(b"\n\n")[-2].removeprefix(b"data: "))
    assert [choice["index"] for choice in chunk["choices"]] == [0, 1]


def test_a_text_completion_ends_as_one() -> None:
    text = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
    reader = copy(1)
    chunk = json.loads(reader.feed(text + text).strip().split(b"\n\n")[1].removeprefix(b"data: "))
    assert chunk["choices"][0]["text"] == ""


def test_tool_calls_and_reasoning_count() -> None:
    reader = copy(2)
    call = {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}
    reader.feed(event({"reasoning": "so"}) + event(call))
    assert not reader.cut
    reader.feed(event(call))
    assert reader.cut


def test_what_can_have_been_written_is_never_less_than_what_was_read() -> None:
    reader = copy(1_000)
    assert reader.at_most_written(reader._read_at) == IN_FLIGHT_TOKENS
    reader.feed(event({"content": "vier"}) + event({"content": "ü"}))
    assert reader.at_most_written(reader._read_at) == 4 + 2 + IN_FLIGHT_TOKENS


def test_an_engine_goes_on_while_nobody_reads() -> None:
    reader = copy(1_000)
    reader.feed(event({"content": "x" * 100}))
    reader._first = reader._read_at - 10
    ahead = reader.at_most_written(reader._read_at + 5) - reader.at_most_written(reader._read_at)
    assert 45 <= ahead <= 50


def test_text_that_is_not_utf8_passes_uncounted() -> None:
    broken = b'data: {"choices":[{"index":0,"text":"\xff"}]}\n\n'
    assert copy(2).feed(broken) == broken
