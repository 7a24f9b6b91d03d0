"""Policies over the real library, and the mistakes in their settings."""

import logging
from pathlib import Path

import pytest

from sluice.errors import ConfigurationError
from sluice.guardrails import Policy, Verdict, load_policy
from sluice.settings import Settings
from sluice.settings_files import load_settings
from tests.sluice.guardrails.violations import ATTACK, PERSONAL, SECRET, chunks, hold_back, mixture, released

SHIPPED = Path(__file__).parents[3] / "configs"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(load_settings(SHIPPED, {}), "strict")


def test_input_is_blocked_or_redacted_and_the_verdict_says_what(policy: Policy) -> None:
    decision = policy.check_input("mail ada@example.org or bob@example.org, +1 415-555-2671")
    assert (decision.text, decision.blocked) == ("mail [EMAIL] or [EMAIL], [PHONE]", False)
    assert decision.verdicts == (
        Verdict("input", "pii", "EMAIL", "redact", 2),
        Verdict("input", "pii", "PHONE", "redact", 1),
    )
    for text in (*SECRET, *ATTACK):
        assert policy.check_input(text).blocked
    for text in PERSONAL:
        assert policy.check_input(text).text.startswith("[")


@pytest.mark.parametrize("text", ["", " \n", "plain", '{"a": 1}', "  spaces kept \n\n", "🌍 世界", "<xml/>", "[EMAIL]"])
def test_a_text_without_a_violation_stays_as_it_is(policy: Policy, text: str) -> None:
    assert policy.check_input(text) == policy.check_input(text, of_owner=True)
    assert policy.check_input(text).text == text


def test_the_application_may_instruct_but_not_tell_secrets(policy: Policy) -> None:
    assert not policy.check_input(ATTACK[0], of_owner=True).blocked
    assert policy.check_input(SECRET[0], of_owner=True).blocked


def test_the_validators_hold_back_what_the_detectors_do(policy: Policy) -> None:
    for seed in range(30):
        text = mixture(seed)
        assert released(policy.hold_back(), chunks(text, seed)) == released(hold_back(), [text])


def test_a_policys_id_follows_what_it_says() -> None:
    def policy(**output: str) -> str:
        return load_policy(Settings.model_validate({"guardrails": {"policies": {"p": {"output": output}}}}), "p").id

    assert policy(pii="redact") == policy(pii="redact")
    assert policy(pii="redact") != policy(pii="block")
    assert policy(pii="redact").startswith("p@")


def test_nothing_is_sent_and_nothing_printed(
    policy: Policy, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from guardrails.utils.hub_telemetry_utils import HubTelemetry

    with caplog.at_level(logging.WARNING):
        policy.check_input(SECRET[0])
    assert not HubTelemetry()._enabled
    HubTelemetry()._processor.force_flush(1000)
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (
            "guardrails:\n  policies:\n    p:\n      input: {toxicity: block}\n",
            "guardrails.yaml, line 4: guardrails.policies.p.input.toxicity: unknown key. Known keys: injection, pii, secrets.",
        ),
        (
            "guardrails:\n  policies:\n    p:\n      input: {pii: drop}\n",
            "guardrails.yaml, line 4: guardrails.policies.p.input.pii: input should be 'block' or 'redact', found 'drop'.",
        ),
        (
            "guardrails:\n  policies:\n    p:\n      output: {secrets: block}\n      hold_back: 50\n",
            "guardrails.yaml, line 5: guardrails.policies.p.hold_back: 50 characters cannot hold the longest pattern of "
            "'secrets', expected at least 218.",
        ),
        (
            "guardrails:\n  default: strict\n  policies: {p: {}}\n",
            "guardrails.yaml, line 2: guardrails.default: there is no policy 'strict', expected one of p.",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, yaml: str, message: str) -> None:
    (tmp_path / "guardrails.yaml").write_text(yaml)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path, {})
    assert str(raised.value) == f"{tmp_path}/{message}"


def test_a_policy_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"no guardrail policy 'lax'.*has: strict, output"):
        load_policy(load_settings(SHIPPED, {}), "lax")
