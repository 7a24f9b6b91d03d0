from pathlib import Path

import pytest

from sluice.errors import ConfigurationError
from sluice.router_settings import CircuitBreakerSettings, KubernetesSettings, RetrySettings, RouterSettings
from sluice.settings import ModelSettings, Settings, ports_of
from sluice.settings_files import load_settings


def model(folder: Path, router: str, more: str = "") -> ModelSettings:
    return load(folder, router, more).models["m"]


def load(folder: Path, router: str, more: str = "") -> Settings:
    (folder / "models.yaml").write_text(
        f"models:\n  m:\n    port: 9000\n    source: {{path: /m}}\n    router: {router}\n{more}"
    )
    return load_settings(folder, {})


REPLICAS = "    replicas: 2\n"
KUBERNETES = "kubernetes: {selector: {app: qwen}}"
URLS = "urls: [http://a:8000, http://b:8000]"
SIDES = "prefill: [http://a:1], decode: [http://b:1]"


@pytest.mark.parametrize(
    ("router", "more", "message"),
    [
        ("{policy: fastest}", REPLICAS, "models.m.router.policy: input should be 'cache_aware', 'consistent_hash'"),
        ("{cache_threshold: -0.1}", REPLICAS, "router.cache_threshold: input should be greater than or equal to 0"),
        ("{cache_threshold: 2}", REPLICAS, "router.cache_threshold: input should be less than or equal to 1"),
        ("{balance_abs_threshold: -1}", REPLICAS, "balance_abs_threshold: input should be greater than or equal to 0"),
        ("{balance_rel_threshold: 0.5}", REPLICAS, "balance_rel_threshold: input should be greater than or equal to 1"),
        ("{health_check_seconds: 0}", REPLICAS, "health_check_seconds: input should be greater than or equal to 1"),
        ("{kv_block_size: 20}", REPLICAS, "kv_block_size: input should be a multiple of 16"),
        ("{retries: {attempts: 0}}", REPLICAS, "router.retries.attempts: input should be greater than or equal to 1"),
        ("{retries: {jitter: 1.5}}", REPLICAS, "router.retries.jitter: input should be less than or equal to 1"),
        (
            "{retries: {first_wait_seconds: 2, longest_wait_seconds: 1}}",
            REPLICAS,
            "router.retries: longest_wait_seconds is shorter than first_wait_seconds",
        ),
        ("{circuit_breaker: {failures: 0}}", REPLICAS, "circuit_breaker.failures: input should be greater than or"),
        ("{max_concurrent: 5}", REPLICAS, "models.m.router.max_concurrent: unknown key"),
        ("{urls: [http://a:8000/v1]}", "", "router.urls.0: expected a server's address without a path"),
        ("{urls: [a]}", "", "router.urls.0: expected a server's address without a path"),
        ("{urls: [http://a:1, http://a:1/]}", "", "router: 'http://a:1' is given twice"),
        (f"{{{URLS}}}", REPLICAS, "models.m: 'router' says that the replicas run elsewhere"),
        (f"{{{KUBERNETES}}}", REPLICAS, "models.m: 'router' says that the replicas run elsewhere"),
        (f"{{{URLS}, {KUBERNETES}}}", "", "router: urls stand beside kubernetes or disaggregation"),
        (f"{{{URLS}, disaggregation: {{{SIDES}}}}}", "", "router: urls stand beside kubernetes or disaggregation"),
        ("{policy: power_of_two, urls: [http://a:1]}", "", "router: policy power_of_two chooses between two replicas"),
        ("{kubernetes: {}}", "", "router: kubernetes needs a selector, or disaggregation"),
        ("{kubernetes: {selector: {}}}", "", "kubernetes.selector: dictionary should have at least 1 item"),
        (
            f"{{{KUBERNETES}, disaggregation: {{{SIDES}}}}}",
            "",
            "router: disaggregation by selectors goes with kubernetes",
        ),
        ("{disaggregation: {}}", "", "router.disaggregation: expected prefill and decode, or prefill_selector and"),
        ("{disaggregation: {prefill: [http://a:1]}}", "", "disaggregation: 'prefill' without 'decode', expected both"),
        ("{disaggregation: {decode: [http://a:1]}}", "", "disaggregation: 'decode' without 'prefill', expected both"),
        (
            "{disaggregation: {prefill: [http://a:1], decode: [http://a:1]}}",
            "",
            "router.disaggregation: 'http://a:1' is given twice",
        ),
        (
            "{disaggregation: {prefill_selector: {a: b}, decode_selector: {c: d}}}",
            "",
            "router: disaggregation by selectors goes with kubernetes, by addresses without it",
        ),
        (f"{{disaggregation: {{{SIDES}, kv_connector: mooncake}}}}", "", "mooncake needs to know the prefill servers'"),
        (f"{{policy: kv_aware, disaggregation: {{{SIDES}}}}}", "", "router: policy kv_aware needs a known source of"),
        (f"{{policy: kv_aware, {KUBERNETES}}}", "", "router: policy kv_aware needs a known source of events"),
        (f"{{policy: kv_aware, {URLS}}}", "", "router: policy kv_aware hears each replica, expected kv_events to name"),
        (
            f"{{policy: kv_aware, {URLS}, kv_events: {{http://a:8000: 'tcp://a:5557'}}}}",
            "",
            "router: policy kv_aware hears each replica, expected kv_events to name exactly the urls",
        ),
        (
            "{policy: kv_aware, urls: [http://a:1], kv_events: {http://a:1: 'tcp://*:5557'}}",
            "",
            "expected an address that the router can connect to, such as tcp://10.0.0.5:5557",
        ),
        (
            "{urls: [http://a:1], kv_events: {http://a:1: 'tcp://a:5557'}}",
            "",
            "router: kv_events are heard by policy kv_aware only, found cache_aware",
        ),
        (
            "{policy: kv_aware}",
            REPLICAS + "    arguments: [--block-size=64]\n",
            "models.m: --block-size stands in arguments: expected router.kv_block_size",
        ),
        ("{arguments: [--port=1]}", REPLICAS, "router: arguments: --port follows from other settings"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_sentence(
    tmp_path: Path, router: str, more: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, router, more)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'models.yaml'}, line ")


def test_every_setting_of_the_router_is_shown_in_its_file() -> None:
    text = (Path(__file__).parents[2] / "configs" / "models.yaml").read_text()
    for section in (RouterSettings, RetrySettings, CircuitBreakerSettings, KubernetesSettings):
        for name in section.model_fields:
            assert f"{name}:" in text, name


def test_ports_are_for_the_router_the_replicas_its_metrics_and_their_events(tmp_path: Path) -> None:
    alone = model(tmp_path, "{policy: kv_aware}")
    assert (list(ports_of(alone)), list(alone.engine_ports), alone.is_routed) == ([9000], [9000], False)
    two = model(tmp_path, "{}", REPLICAS)
    assert (list(ports_of(two)), list(two.engine_ports)) == ([9000, 9001, 9002, 9003], [9001, 9002])
    assert (two.router_metrics_port, list(two.kv_event_ports)) == (9003, [])
    heard = model(tmp_path, "{policy: kv_aware}", REPLICAS)
    assert (list(ports_of(heard)), list(heard.kv_event_ports)) == (list(range(9000, 9006)), [9004, 9005])
    elsewhere = model(tmp_path, f"{{{URLS}}}")
    assert (list(ports_of(elsewhere)), list(elsewhere.engine_ports)) == ([9000, 9001], [])
    assert elsewhere.router_metrics_port == 9001


def test_a_port_that_events_take_is_nobody_elses(tmp_path: Path) -> None:
    other = "  n:\n    port: 9005\n    source: {path: /n}\n"
    load(tmp_path, "{}", REPLICAS + other)
    with pytest.raises(ConfigurationError, match=r"models\.n\.port: 9005 is already used by model 'm'"):
        load(tmp_path, "{policy: kv_aware}", REPLICAS + other)


def test_ports_beyond_the_last_are_refused(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("models: {m: {port: 65534, replicas: 2, source: {path: /m}}}")
    with pytest.raises(ConfigurationError, match=r"models\.m: the ports after 65534 do not suffice for 2 replicas"):
        load_settings(tmp_path, {})
