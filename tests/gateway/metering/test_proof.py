"""No token over, from several processes on Redis, one of which is killed; `benchmarks/metering/proof.py` at full size."""

from pathlib import Path

import pytest

from tests.benchmarks.metering import proof


@pytest.mark.usefixtures("redis_prefix")  # which skips where Redis does not answer
def test_calls_through_two_processes_with_a_kill_never_use_more_than_the_budget(tmp_path: Path) -> None:
    result = proof.run(1, tmp_path, calls=120, workers=2, budget=3_000)
    assert result.over == 0
    assert result.made <= result.spent <= 3_000
    assert result.difference == 0
    assert result.wrong_records == 0
    assert result.failed == 0
    assert result.answered > 0
    assert result.spent > 2_000
