import os
import socket

from sluice.cli.ports import holder, is_free, ports_needed
from sluice.settings import Settings
from tests.ports import free_port


def test_a_held_port_and_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        assert f"(process {os.getpid()})" in holder(port)
    assert is_free("127.0.0.1", free_port())


def test_every_port_of_a_model_with_replicas_is_needed_by_someone() -> None:
    source = {"package": "some-model==1"}
    settings = Settings.model_validate(
        {"models": {"one": {"source": source, "port": 9000}, "two": {"source": source, "port": 9100, "replicas": 2}}}
    )
    everything = ["gateway", "one", "two/0", "two/1", "two/router"]
    assert [port for port, _, _ in ports_needed(settings, everything)] == [8400, 9000, 9101, 9102, 9100, 9103]
    assert ports_needed(settings, ["two/1"]) == [(9102, "models.two.port", "127.0.0.1")]


def test_workers_need_a_port_each_and_the_shared_one_only_when_none_of_them_runs() -> None:
    settings = Settings.model_validate({"gateway": {"port": 9000, "workers": 2}, "redis": {"url": "redis://r"}})
    assert [port for port, _, _ in ports_needed(settings, ["gateway/0", "gateway/1"])] == [9001, 9002, 9000]
    assert [port for port, _, _ in ports_needed(settings, ["gateway/1"])] == [9002]
