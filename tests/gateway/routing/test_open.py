import pytest

from gateway.routing import Routes
from sluice.errors import ConfigurationError
from sluice.settings import Settings

ROUTE = {"routes": {"far": {"url": "http://127.0.0.1:1/v1", "api_key_env": "FAR_KEY"}}}


def test_a_routes_key_must_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="FAR_KEY is not set"):
        Routes(Settings.model_validate(ROUTE))


def test_sluices_own_key_is_sent_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-sluice-abcdefghijkl-secret")
    with pytest.raises(ConfigurationError, match="a key of Sluice itself") as raised:
        Routes(Settings.model_validate(ROUTE))
    assert "abcdefghijkl" not in str(raised.value)
