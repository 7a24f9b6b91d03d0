import pytest
from pydantic import ValidationError

from sluice.settings import Settings


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"gateway": {"workers": 2}}, "gateway.workers: several workers share budgets and limits in Redis, expected redis.url"),
        ({"redis": {"url": "http://127.0.0.1"}}, "expected a URL such as redis://127.0.0.1:6379/0"),
        ({"redis": {"prefix": "{a}b"}}, "braces go around it by themselves"),
        ({"redis": {"prefix": ""}}, "expected some letters"),
        ({"redis": {"when_lost": "maybe"}}, "'closed' or 'open'"),
        ({"redis": {"lease_seconds": 0.1}}, "greater than or equal to 1"),
        ({"redis": {"command_seconds": 0}}, "greater than 0"),
    ],
)  # fmt: skip
def test_a_knob_that_is_wrong_is_refused(sections: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(sections)


def test_several_workers_with_redis() -> None:
    settings = Settings.model_validate({"gateway": {"workers": 2}, "redis": {"url": "redis://127.0.0.1"}})
    assert settings.redis.when_lost == "closed"
