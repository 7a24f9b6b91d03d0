import sys
from pathlib import Path

import pytest

from sluice.errors import ConfigurationError, MissingRequirement
from sluice.home import Home
from sluice.processes.logfile import log_path
from sluice.processes.plan import GATEWAYS, MODELS, ROUTERS, gateway_url, plan
from sluice.settings import GatewaySettings, RedisSettings, Settings


def settings_for(folder: Path, **models: dict[str, object]) -> Settings:
    (folder / "config.json").touch()
    source = {"path": str(folder)}
    return Settings.model_validate({"models": {name: {"source": source, **model} for name, model in models.items()}})


def test_a_deployment_of_one_model_embeddings_and_the_gateway(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, chat={"port": 9000}, embed={"port": 9010, "kind": "embedding"})
    chat, embed, gateway = plan(settings, Home(tmp_path))
    assert (chat.name, chat.group, chat.health_url) == ("chat", MODELS, "http://127.0.0.1:9000/health")
    assert chat.command[0] == str(Path(".venv-vllm/bin/python").absolute())
    assert embed.command[:3] == (sys.executable, "-m", "sluice.models.embedding_server")
    assert embed.command[3:] == ("--name", "embed", "--folder", str(tmp_path), "--port", "9010")
    assert gateway.group == GATEWAYS
    assert gateway.health_url == "http://127.0.0.1:8400/health/live"
    assert gateway.stop_seconds > settings.gateway.drain_seconds


def test_several_replicas_stand_behind_a_router(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, chat={"port": 9000, "replicas": 2})
    first, second, router, _ = plan(settings, Home(tmp_path))
    assert [spec.name for spec in (first, second, router)] == ["chat/0", "chat/1", "chat/router"]
    assert first.health_url == "http://127.0.0.1:9001/health"
    assert second.health_url == "http://127.0.0.1:9002/health"
    assert router.group == ROUTERS
    assert router.health_url == "http://127.0.0.1:9000/liveness"
    assert log_path(tmp_path, second.name) == tmp_path / "chat-1.log"


def test_a_model_that_is_not_fetched_is_named_with_the_command(tmp_path: Path) -> None:
    settings = Settings.model_validate({"models": {"far": {"source": {"hub": "some/model"}, "port": 9000}}})
    with pytest.raises(MissingRequirement, match=r"'far' is not fetched yet\. Run: sluice models pull far"):
        plan(settings, Home(tmp_path))


def test_several_workers_share_a_port_and_are_watched_on_their_own(tmp_path: Path) -> None:
    workers = plan(
        Settings(gateway=GatewaySettings(port=9000, workers=2), redis=RedisSettings(url="redis://r")), Home(tmp_path)
    )
    assert [spec.name for spec in workers] == ["gateway/0", "gateway/1"]
    assert [spec.command[-2:] for spec in workers] == [("--worker", "0"), ("--worker", "1")]
    assert [spec.health_url for spec in workers] == [f"http://127.0.0.1:{port}/health/live" for port in (9001, 9002)]


def test_a_gateway_without_a_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.port"):
        plan(Settings(gateway=GatewaySettings(port=0)), Home(tmp_path))


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8400"), ("0.0.0.0", "http://127.0.0.1:8400"), ("::", "http://[::1]:8400")],
)
def test_where_the_gateway_is_reached_from_here(host: str, url: str) -> None:
    assert gateway_url(GatewaySettings(host=host)) == url


def test_the_fingerprint_follows_what_is_started(tmp_path: Path) -> None:
    def fingerprint(**changes: object) -> str:
        return plan(settings_for(tmp_path, chat={"port": 9000, **changes}), Home(tmp_path))[0].fingerprint

    assert fingerprint() == fingerprint(start_seconds=5)
    assert len({fingerprint(), fingerprint(context=512), fingerprint(kv_cache_gib=2)}) == 3
