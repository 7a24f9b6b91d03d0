from gateway.metrics import Metrics
from gateway.telemetry.error_codes import OTHER, known_codes


def test_the_gateways_own_codes_are_known() -> None:
    assert {"invalid_api_key", "budget_exhausted", "client_gone", "guardrail_blocked", "stopping"} <= known_codes()


def test_what_an_upstream_writes_is_no_label() -> None:
    metrics = Metrics()
    assert metrics.code_of(400, "whatever an upstream says") == OTHER
    assert metrics.code_of(503, None) == OTHER
    assert metrics.code_of(200, None) == ""
    assert metrics.code_of(200, "upstream_failed") == "upstream_failed"
