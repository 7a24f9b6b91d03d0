"""All that is wrong is found at once."""

from pathlib import Path

import pytest

from sluice.errors import ConfigurationError
from sluice.settings_files import load_settings, read_settings


def faults(folder: Path, *texts: str, **environment: str) -> list[str]:
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text)
    return [str(fault).replace(f"{folder}/", "") for fault in read_settings(folder, environment).faults]


def test_every_field_of_every_section(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "gateway:\n  prot: 1\n  port: many\n  limits:\n    body_bytes: 0\n",
        "models:\n  m: {port: 1}\nrag:\n  indexs: {}\n",
        SLUICE_PLATFORM__LOG_LEVEL="loud",
    )
    assert len(found) == 6
    for expected in (
        "0.yaml, line 2: gateway.prot: unknown key. Did you mean 'port'?",
        "0.yaml, line 3: gateway.port: input should be a valid integer",
        "0.yaml, line 5: gateway.limits.body_bytes: ",
        "1.yaml, line 2: models.m.source: is required.",
        "1.yaml, line 4: rag.indexs: unknown key.",
        "Variable SLUICE_PLATFORM__LOG_LEVEL: platform.log_level: ",
    ):
        assert any(fault.startswith(expected) for fault in found), (expected, found)


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "gateway: [1\n",
        "- a list\n",
        "cache:\n  seconds: 0\n  seconds: -1\n",
        "cache: {}\n",
        "a: &a [*a]\n",
        SLUICE_X="[",
        SLUICE_CACHE__SECONDS__MORE="1",
    )
    assert [fault.partition(": ")[0] for fault in found[:5]] == [
        "0.yaml, line 2",
        "1.yaml, line 1",
        "2.yaml, line 3",
        "3.yaml, line 1",
        "4.yaml",
    ]
    assert "Variable SLUICE_X: not valid YAML: '['." in found


def test_all_that_disagrees_between_sections(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "models:\n  a: {port: 8400, source: {path: /m}}\n  b: {port: 7, source: {path: /m}}\n",
        "routes:\n  a: {url: http://x}\nservices:\n  s: {module: m, port: 7, models: [b]}\n",
        "cache: {enabled: true, store: redis}\n",
    )
    assert found == [
        "2.yaml, line 1: cache.store: answers cannot be kept in Redis, expected redis.url to name one.",
        "1.yaml, line 2: routes.a: there is a model of this name too, expected different names.",
        "1.yaml, line 4: services.s.models: 'b' is a model or a route already.",
        "0.yaml, line 2: models.a.port: 8400 is already used by the gateway.",
        "1.yaml, line 4: services.s.port: 7 is already used by model 'b'.",
    ]


def test_what_a_broken_file_may_hold_is_not_missed(tmp_path: Path) -> None:
    """`redis.url` may well stand in the file that cannot be read."""
    found = faults(tmp_path, "redis: {url: [}\n", "cache: {enabled: true, store: redis}\n")
    assert len(found) == 1


def test_the_first_is_what_loading_says(tmp_path: Path) -> None:
    first, *more = faults(tmp_path, "gateway: {prot: 1, hots: 2}\n")
    assert more
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path, {})
    assert str(raised.value).endswith(first)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis: {url: http://x}", "redis.url: expected a URL such as redis://127.0.0.1:6379/0"),
        ("cache: {store: disk}", "cache.store: input should be 'memory' or 'redis', found 'disk'"),
        ("cache: {megabytes: 0}", "cache.megabytes: input should be greater than or equal to 1"),
        ("cache: {seconds: .inf}", "cache.seconds: input should be a finite number"),
    ],
)
def test_the_caches_knobs(tmp_path: Path, text: str, expected: str) -> None:
    [fault] = faults(tmp_path, text)
    assert expected in fault


def test_what_disagrees_between_sections_is_told_beside_single_faults(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "gateway:\n  drain_seconds: soon\n"
        "models:\n  a: {port: 9000, source: {package: p}}\n  b: {port: 9000, source: {package: p}}\n"
        "routes:\n"
        "  bad: {weight: 5}\n"
        "  to_bad: {url: 'http://127.0.0.1:1', fallbacks: {unavailable: [bad]}}\n"
        "  to_none: {url: 'http://127.0.0.1:2', fallbacks: {unavailable: [none]}}\n"
        "  a: {url: 'http://127.0.0.1:3'}\n",
    )
    told = "\n".join(found)
    for expected in (
        "gateway.drain_seconds",
        "routes.bad",
        "models.b.port: 9000",
        "'none'",
        "routes.a: there is a model",
    ):
        assert expected in told, (expected, found)
    assert "to_bad" not in told, "what had to be left out is not missed"
