"""The running platform keeps to itself: the guard that is preloaded into all of it sees nothing leave loopback.

Every other test of this folder checks the same after itself; this one makes sure that the guard is there to see.
"""

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.end_to_end.running_platform import CHAT_MODEL, EMBEDDING_MODEL, RunningPlatform
from tests.guard.children import ChildGuard


@pytest.fixture
def guard(child_guard: ChildGuard | None) -> ChildGuard:
    if child_guard is None:
        pytest.skip("the guard of child processes needs a C compiler named cc")
    return child_guard


def test_every_process_carries_the_guard(platform: RunningPlatform, guard: ChildGuard) -> None:
    processes = platform.processes()
    assert len(processes) >= 5, "supervisor, gateway, embedding server, vLLM and its engine"
    library = guard.environment["LD_PRELOAD"].partition(":")[0]
    without = [process for process in processes if library not in Path(f"/proc/{process.pid}/maps").read_text()]
    assert not without


def test_nothing_leaves_for_any_kind_of_request(client: openai.OpenAI, guard: ChildGuard) -> None:
    body: Any = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    client.chat.completions.create(**body)
    list(client.chat.completions.create(**body, stream=True))
    client.completions.create(model=CHAT_MODEL, prompt="Hello", max_tokens=4)
    client.embeddings.create(model=EMBEDDING_MODEL, input="Hello")
    client.models.list()
    assert guard.take() == []
