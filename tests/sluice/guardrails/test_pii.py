import pytest

from sluice.guardrails.pii import find
from tests.sluice.guardrails.violations import PERSONAL


def kinds(text: str) -> set[str]:
    return {finding.kind for finding in find(text)}


@pytest.mark.parametrize("value", PERSONAL)
def test_each_is_found_whole_beside_anything_but_letters_and_digits(value: str) -> None:
    for before, after in (("", ""), (" ", "."), ("(", ")"), ("电话", "。"), ("=", "\n"), ('"', '"')):
        found = find(f"{before}{value}{after}")
        assert any(f.start <= len(before) and f.end >= len(before) + len(value) for f in found), (before, after)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4111 1111 1111 1112", "CREDIT_CARD"),  # checksum
        ("4111 1111 1111 111", "CREDIT_CARD"),  # length
        ("x4111111111111111", "CREDIT_CARD"),
        ("DE89 3704 0044 0532 0130 01", "IBAN"),
        ("DE89 3704 0044 0532 0130", "IBAN"),
        ("000-45-6789", "US_SSN"),
        ("123-45-67890", "US_SSN"),
        ("256.1.1.1", "IP_ADDRESS"),
        ("12:30:45", "IP_ADDRESS"),
        ("aa:bb:cc:dd:ee:ff", "IP_ADDRESS"),
        ("ada@localhost", "EMAIL"),
        ("2026-11-24 10:11:12", "PHONE"),
        ("01-02-2024", "PHONE"),
        ("10 000 000", "PHONE"),
        ("1732442400", "PHONE"),
    ],
)
def test_what_only_looks_like_one_is_not(text: str, kind: str) -> None:
    assert kind not in kinds(text)


def test_a_card_is_found_among_other_numbers() -> None:
    [finding] = [f for f in find("1 2 4111 1111 1111 1111 7") if f.kind == "CREDIT_CARD"]
    assert finding[1:] == (4, 23)
