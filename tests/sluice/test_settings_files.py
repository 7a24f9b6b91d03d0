import re
from itertools import pairwise
from pathlib import Path

import pytest

from sluice.errors import ConfigurationError
from sluice.settings import Settings, ports_of, worker_ports
from sluice.settings_files import load_settings

REPOSITORY = Path(__file__).parents[2]


def write(folder: Path, text: str, name: str = "all.yaml") -> Path:
    (folder / name).write_text(text)
    return folder


def test_no_files_is_a_valid_configuration(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}) == Settings()


def test_shipped_files_hold_the_defaults() -> None:
    """The comments of configs/ say that the values shown are the defaults."""
    shipped = load_settings(REPOSITORY / "configs", {})
    assert shipped.gateway == Settings().gateway
    assert shipped.platform == Settings().platform
    assert shipped.telemetry == Settings().telemetry
    assert set(shipped.models) == {"smollm2", "minilm"}


def test_every_setting_of_the_gateway_is_shown_in_its_file() -> None:
    text = (REPOSITORY / "configs" / "gateway.yaml").read_text()
    shown = set(re.findall(r"^\s*(\w+):", text, re.MULTILINE))
    gateway = Settings().gateway
    known = {"gateway", *type(gateway).model_fields}
    for section in (gateway.limits, gateway.upstream, gateway.keys, gateway.usage):
        known |= set(type(section).model_fields)
    assert shown == known


def test_every_setting_of_telemetry_is_shown_in_its_file() -> None:
    text = (REPOSITORY / "configs" / "telemetry.yaml").read_text()
    shown = set(re.findall(r"^\s*(\w+):", text, re.MULTILINE))
    assert shown == {"telemetry", *type(Settings().telemetry).model_fields}


def test_variables_go_over_files(tmp_path: Path) -> None:
    write(tmp_path, "gateway:\n  port: 1\nmodels:\n  My-Model:\n    port: 5\n    source: {path: /m}\n")
    environment = {"SLUICE_GATEWAY__PORT": "2", "SLUICE_MODELS__MY_MODEL__PORT": "6", "SLUICE_DEBUG": "1", "OTHER": "x"}
    settings = load_settings(tmp_path, environment)
    assert settings.gateway.port == 2
    assert settings.models["My-Model"].port == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gateway:\n  prot: 1\n", "line 2: gateway.prot: unknown key. Did you mean 'port'?"),
        ("gatway:\n  port: 1\n", "line 1: gatway: unknown key. Did you mean 'gateway'?"),
        ("gateway:\n  port: many\n", "line 2: gateway.port: input should be a valid integer"),
        (
            "gateway:\n  limits:\n    body_bytes: 0\n",
            "line 3: gateway.limits.body_bytes: input should be greater than or equal",
        ),
        ("gateway:\n  drain_seconds: .inf\n", "line 2: gateway.drain_seconds: input should be a finite number"),
        ("gateway:\n  port: 1\n  port: 2\n", "line 3: 'port' is given twice."),
        ("gateway:\n  access_log: some\n", "line 2: gateway.access_log: input should be 'none', 'errors' or 'all'"),
        ("telemetry:\n  sample: 1.1\n", "line 2: telemetry.sample: input should be less than or equal to 1"),
        ("telemetry:\n  sample: .nan\n", "line 2: telemetry.sample: input should be"),
        ("telemetry:\n  metrics_seconds: 0\n", "line 2: telemetry.metrics_seconds: input should be greater than 0"),
        ("telemetry:\n  otlp_endpoint: collector:4318\n", "line 2: telemetry.otlp_endpoint: expected the base URL of"),
        (
            "telemetry:\n  otlp_endpoint: http://c/v1/traces\n",
            "line 2: telemetry.otlp_endpoint: expected the collector's",
        ),
        ("telemetry:\n  otlp_endpoint: http://a:b@c\n", "line 2: telemetry.otlp_endpoint: holds a user or password"),
        (
            "guardrails:\n  policies:\n    p: {keep_days: 0}\n",
            "line 3: guardrails.policies.p.keep_days: input should be greater than or equal to 1",
        ),
        ("gateway: [1\n", "line 2: not valid YAML"),
        ("gateway: 5\n", "line 1: gateway: input should be a valid dictionary"),
        ("- gateway\n", "line 1: expected sections such as 'gateway:', found a list."),
        ("models:\n  m:\n    source: {path: /m}\n", "line 2: models.m.port: is required."),
        (
            "models:\n  m:\n    port: 1\n    source: {path: a, hub: b}\n",
            "line 4: models.m.source: expected exactly one of",
        ),
        (
            "models:\n  m:\n    port: 8400\n    source: {path: a}\n",
            "line 3: models.m.port: 8400 is already used by the gateway",
        ),
        ("routes:\n  r:\n    url: ftp://x\n", "line 3: routes.r.url: expected a URL such as"),
        ("gateway: !!python/name:os.system x\n", "line 1: not valid YAML: could not determine a constructor"),
        ("a: *unknown\n", "line 1: not valid YAML"),
        ("gateway:\n  port: !!bool x\n", "line 2: not valid YAML: a value is not what its tag says"),
        ("gateway:\n  port: !!int ''\n", "line 2: not valid YAML: a value is not what its tag says"),
        ("gateway:\n  port: !!timestamp x\n", "line 2: not valid YAML: a value is not what its tag says"),
        ("gateway: &a [*a]\n", ": not valid YAML"),
        ("gateway: " + "{a: " * 3000, ": not valid YAML"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{k}: &{k} [{', '.join([f'*{before}'] * 10)}]\n" for before, k in pairwise("abcdefghij")),
            "line 1: stands for more than 100000 values",
        ),
        ("gateway: {port: 1}\nextensions: {rag: 1}\n", "line 2: extensions: unknown key"),
    ],
)
def test_a_bad_file_is_named_with_line_key_and_expectation(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(write(tmp_path, text), {})
    assert str(raised.value).startswith(f"{tmp_path / 'all.yaml'}")
    assert message in str(raised.value)


def test_a_missing_folder_is_no_empty_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no folder '.*nowhere'"):
        load_settings(tmp_path / "nowhere", {})


def test_a_home_folder_may_be_short(tmp_path: Path) -> None:
    write(tmp_path, "models:\n  m:\n    port: 1\n    source: {path: ~/model}\n")
    assert load_settings(tmp_path, {}).models["m"].source.path == Path.home() / "model"


def test_a_section_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "gateway: {port: 1}\n", "a.yaml")
    write(tmp_path, "gateway: {port: 2}\n", "b.yaml")
    with pytest.raises(ConfigurationError, match=r"b.yaml, line 1: section 'gateway' stands in .*a.yaml, line 1 too"):
        load_settings(tmp_path, {})


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(ConfigurationError, match=r"a\.yaml: cannot be read: Is a directory"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("value", ["!!bool x", "[" * 5000, "&a [*a]", "{a: 1, a: 2}", "\udcff"])
def test_what_is_no_yaml_in_a_variable_is_told(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^Variable SLUICE_GATEWAY__PORT: not valid YAML"):
        load_settings(tmp_path, {"SLUICE_GATEWAY__PORT": value})


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^Variable SLUICE_GATEWAY__PORT: gateway\.port: .* found 'x'"):
        load_settings(tmp_path, {"SLUICE_GATEWAY__PORT": "x"})
    with pytest.raises(ConfigurationError, match="Variable SLUICE_GATEWAY__PORT__DEEPER: 'port' holds no further"):
        load_settings(write(tmp_path, "gateway: {port: 1}\n"), {"SLUICE_GATEWAY__PORT__DEEPER": "1"})


def test_a_mistake_shows_no_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"platform\.database: input should be a valid string") as failed:
        load_settings(tmp_path, {"SLUICE_PLATFORM__DATABASE": "[postgresql://ada:S3cret@db/x]"})
    assert "S3cret" not in str(failed.value)


def test_replicas_and_workers_take_further_ports() -> None:
    settings = Settings.model_validate(
        {
            "redis": {"url": "redis://r"},
            "gateway": {"port": 10, "workers": 3},
            "models": {"m": {"port": 20, "replicas": 2, "source": {"path": "/m"}}},
        }
    )
    assert list(ports_of(settings.models["m"])) == [20, 21, 22, 23]
    assert list(worker_ports(settings.gateway)) == [11, 12, 13]
    assert list(worker_ports(Settings().gateway)) == []


def test_every_setting_of_the_cache_and_of_redis_is_shown_with_its_default() -> None:
    shipped = load_settings(REPOSITORY / "configs", {})
    assert (shipped.cache, shipped.redis) == (Settings().cache, Settings().redis)
    for name, file in (("cache", "cache.yaml"), ("redis", "platform.yaml")):
        text = (REPOSITORY / "configs" / file).read_text().partition(f"\n{name}:\n")[2]
        assert set(re.findall(r"^  (\w+):", text, re.MULTILINE)) == set(type(getattr(shipped, name)).model_fields)
