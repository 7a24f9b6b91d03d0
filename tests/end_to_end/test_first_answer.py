"""What a person does first: bring the platform up, ask it, look at it."""

import json
import os
import re
import stat
import subprocess
import sys

import openai
import pytest

from sluice.identity.keys import KEY_PATTERN
from tests.end_to_end.running_platform import CHAT_MODEL, EMBEDDING_MODEL, REPOSITORY, RunningPlatform, wait_until

QUESTION = "What is the capital of France?"
ASK_WITH_CURL = f"""
curl -sS "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{CHAT_MODEL}", "temperature": 0, "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
"""
ASK_WITH_CLIENT = f"""
"$PYTHON" -c '
import openai
messages = [{{"role": "user", "content": "{QUESTION}"}}]
answer = openai.OpenAI().chat.completions.create(model="{CHAT_MODEL}", temperature=0, messages=messages)
print(answer.choices[0].message.content)
'
"""


def answer_in(body: str) -> str:
    return json.loads(body)["choices"][0]["message"]["content"]


def test_up_ends_with_base_url_key_and_a_curl_that_runs_as_printed(platform: RunningPlatform) -> None:
    shown = platform.up_output
    assert f"base URL  {platform.base_url}\n" in shown
    [key] = set(re.findall(KEY_PATTERN, shown))
    assert "-".join(key) in platform.key
    assert "Paris" in answer_in(platform.bash(shown[shown.index("curl ") :]))


def test_the_file_that_up_names_can_be_sourced_for_curl_and_for_the_client(platform: RunningPlatform) -> None:
    found = re.search(r"source (\S+)", platform.up_output)
    assert found
    source = f"source {found[1]}\n"
    assert "Paris" in answer_in(platform.bash(source + ASK_WITH_CURL))
    assert "Paris" in platform.bash(source + ASK_WITH_CLIENT)


def test_the_file_with_the_key_is_its_owners_alone(platform: RunningPlatform) -> None:
    assert stat.S_IMODE((platform.home / "dev.env").stat().st_mode) == 0o600
    assert stat.S_IMODE((platform.home / "sluice.db").stat().st_mode) == 0o600


def test_a_second_up_changes_nothing(platform: RunningPlatform) -> None:
    def pids() -> dict[str, int]:
        return {process["name"]: process["pid"] for process in platform.status()["processes"]}

    pids_before, key_before = pids(), platform.key
    shown = platform.sluice("up").stdout
    assert shown == platform.up_output
    assert (pids(), platform.key) == (pids_before, key_before)


def test_status_shows_all_ready(platform: RunningPlatform) -> None:
    status = platform.status()
    assert status["running"]
    urls = {process["name"]: process["url"] for process in status["processes"]}
    assert urls == {
        CHAT_MODEL: platform.engine_url,
        EMBEDDING_MODEL: f"http://127.0.0.1:{platform.embedding_port}",
        "gateway": platform.origin,
    }
    assert all(process["state"] == "ready" and process["restarts"] == 0 for process in status["processes"])
    table = platform.sluice("status").stdout
    assert all(name in table for name in urls)


def test_chat_streams_the_answer(platform: RunningPlatform) -> None:
    command = [sys.executable, "-m", "sluice", "chat", "--temperature", "0", QUESTION]
    pieces: list[bytes] = []
    with subprocess.Popen(
        command, env=platform.environment(), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout
        while piece := os.read(process.stdout.fileno(), 4096):
            pieces.append(piece)
    assert process.returncode == 0
    assert b"".join(pieces).decode() == "The capital of France is Paris.\n"
    assert len(pieces) > 2, "it comes in pieces, as the model writes"


def test_a_conversation_is_remembered(platform: RunningPlatform) -> None:
    command = [sys.executable, "-m", "sluice", "chat", "--temperature", "0", "--max-tokens", "24"]
    done = subprocess.run(
        command,
        env=platform.environment(),
        cwd=REPOSITORY,
        input=f"{QUESTION}\nRepeat your last answer word by word.\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Paris") >= 2


def test_models_lists_both_as_fetched(platform: RunningPlatform) -> None:
    models = {model["name"]: model for model in json.loads(platform.sluice("models", "list", "--json").stdout)}
    assert set(models) == {CHAT_MODEL, EMBEDDING_MODEL}
    assert all(model["fetched"] and model["digest"].startswith("sha256:") for model in models.values())
    assert CHAT_MODEL in platform.sluice("models", "list").stdout


def test_a_key_works_when_created_and_is_refused_after_its_end(platform: RunningPlatform) -> None:
    key = platform.sluice("keys", "create", "--owner", "tester", "--model", CHAT_MODEL, "--quiet").stdout.strip()
    with openai.OpenAI(base_url=platform.base_url, api_key=key, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [CHAT_MODEL]
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model=EMBEDDING_MODEL, input="not for this key")
        key_id = key.split("-")[2]
        listed = {row["id"]: row for row in json.loads(platform.sluice("keys", "list", "--json").stdout)}
        assert listed[key_id] | {"state": "active", "owner": "tester", "models": [CHAT_MODEL]} == listed[key_id]

        platform.sluice("keys", "revoke", key_id)
        wait_until(lambda: is_refused(client))


def is_refused(client: openai.OpenAI) -> bool:
    try:
        client.models.list()
    except openai.AuthenticationError:
        return True
    return False


def test_doctor_finds_nothing_missing(platform: RunningPlatform) -> None:
    assert "✗" not in platform.sluice("doctor").stdout


def test_logs_shows_as_many_lines_as_asked_for(platform: RunningPlatform) -> None:
    assert len(platform.sluice("logs", "-n", "2", CHAT_MODEL).stdout.splitlines()) == 2
    everyones = platform.sluice("logs", "-n", "1").stdout.splitlines()
    assert {line.partition(" ")[0] for line in everyones} >= {CHAT_MODEL, "supervisor"}
