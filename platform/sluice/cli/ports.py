"""Whether the ports that processes need are free, and who holds them where not."""

import contextlib
import socket

import psutil

from sluice.errors import MissingRequirement
from sluice.settings import Settings, worker_ports


def check_ports(settings: Settings, names: list[str]) -> None:
    """Check the ports of the processes `names`, which are to be started.

    Raises:
        MissingRequirement: a port is taken; it names the setting and the holder.
    """
    for port, key, host in ports_needed(settings, names):
        if not is_free(host, port):
            raise MissingRequirement(
                f"Port {port} ({key}) is held by {holder(port)}.", fix=f"Stop it, or set another {key}."
            )


def ports_needed(settings: Settings, names: list[str]) -> list[tuple[int, str, str]]:
    """Port, setting and address of each port that the processes `names` listen on."""
    gateway = settings.gateway
    workers = {f"gateway/{number}": port for number, port in enumerate(worker_ports(gateway))}
    ports = [port for worker, port in (workers or {"gateway": gateway.port}).items() if worker in names]
    if workers and workers.keys() <= set(names):  # else a worker that runs holds the port they share
        ports.append(gateway.port)
    needed = [(port, "gateway.port", gateway.host) for port in ports]
    for name, model in settings.models.items():
        owners = {name: [model.port]}
        if model.is_routed:
            owners = {f"{name}/{replica}": [port] for replica, port in enumerate(model.engine_ports)}
            for replica, port in enumerate(model.kv_event_ports):
                owners[f"{name}/{replica}"].append(port)
            owners[f"{name}/router"] = [model.port, model.router_metrics_port]
        listened = [port for owner in owners if owner in names for port in owners[owner]]
        needed += [(port, f"models.{name}.port", "127.0.0.1") for port in listened]
    needed += [
        (service.port, f"services.{name}.port", "127.0.0.1")
        for name, service in settings.services.items()
        if name in names
    ]
    return needed


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The process that listens on `port`, in words. Another user's cannot be seen."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,) and connection.pid:
                return f"'{psutil.Process(connection.pid).name()}' (process {connection.pid})"
    return "another process"
