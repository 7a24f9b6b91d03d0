import pytest

from gateway.telemetry.otlp_headers import otlp_headers
from sluice.errors import ConfigurationError
from sluice.settings import TelemetrySettings

SETTINGS = TelemetrySettings(headers_env="H")


def test_headers() -> None:
    assert otlp_headers(TelemetrySettings(), {"H": "a=b"}) == {}
    assert otlp_headers(SETTINGS, {"H": "a=b, c = d=e "}) == {"a": "b", "c": "d=e"}


@pytest.mark.parametrize("value", [None, "", "hush", "a=", "a=b,", "a=b\r\nc: d", "ä=b", "a=ü"])
def test_a_variable_without_headers_is_refused_and_never_shown(value: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"headers_env: the variable H holds no headers") as refused:
        otlp_headers(SETTINGS, {} if value is None else {"H": value})
    assert "hush" not in str(refused.value)
