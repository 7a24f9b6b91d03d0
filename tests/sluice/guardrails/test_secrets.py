import pytest

from sluice.guardrails.secrets import find
from tests.sluice.guardrails.violations import SECRET


@pytest.mark.parametrize("value", SECRET)
def test_each_is_found_from_its_start(value: str) -> None:
    for before in ("", " ", "token ", "x=", "_", "键"):
        assert find(f"{before}{value} and more")[0].start <= len(before)


@pytest.mark.parametrize(
    "text",
    [
        "the api_key is kept in the vault",
        "password: correct-horse-battery",
        "token = my_long_variable_name_here",
        "https://example.org/a:b@c",
        "sk-learn is a library",
        "-----BEGIN CERTIFICATE-----",
        "eyJ is how it starts",
        "AKIA is a prefix",
    ],
)
def test_words_about_secrets_are_none(text: str) -> None:
    assert find(text) == []
