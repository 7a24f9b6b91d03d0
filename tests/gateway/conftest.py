from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, scripted_upstream.url) as running:
        yield running
