"""The guard of the test process: every way out is refused, recorded with its caller, and fails the test."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from tests.guard.loopback_only import LoopbackOnly

# RFC 5737 and RFC 2606: addresses and names that belong to nobody.
ADDRESS = ("192.0.2.1", 9)
NAME = "example.invalid"
REPOSITORY = Path(__file__).parents[2]


def send_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", ADDRESS)


def send_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendmsg([b"x"], [], 0, ADDRESS)


def connect_ex() -> None:
    with socket.socket() as plain:
        plain.connect_ex(ADDRESS)


@pytest.mark.parametrize(
    ("leave", "where"),
    [
        (lambda: socket.create_connection(ADDRESS, 1), "192.0.2.1:9"),
        (connect_ex, "192.0.2.1:9"),
        (send_datagram, "192.0.2.1:9"),
        (send_message, "192.0.2.1:9"),
        (lambda: socket.getaddrinfo(NAME, 80), NAME),
        (lambda: socket.gethostbyname(NAME), NAME),
        (lambda: socket.gethostbyname_ex(NAME), NAME),
        (lambda: socket.gethostbyaddr("192.0.2.1"), "192.0.2.1:0"),
        (lambda: socket.getnameinfo(ADDRESS, 0), "192.0.2.1:9"),
    ],
    ids=[
        "connect",
        "connect_ex",
        "sendto",
        "sendmsg",
        "getaddrinfo",
        "gethostbyname",
        "gethostbyname_ex",
        "reverse",
        "getnameinfo",
    ],
)
def test_a_plain_socket_is_kept(loopback_only: LoopbackOnly, leave: Callable[[], object], where: str) -> None:
    with loopback_only.expecting() as escapes, pytest.raises(OSError, match="the test guard keeps"):
        leave()
    assert [escape.address for escape in escapes] == [where]
    assert "test_loopback_only.py" in escapes[0].stack


async def connect(host: str) -> None:
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, 9)


async def connect_by_keyword(host: str) -> None:
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, host=host, port=9)


async def look_up(host: str) -> None:
    await asyncio.get_running_loop().getaddrinfo(host, 9)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as plain:
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, (host, 9))


async def connect_datagrams(host: str) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, 9))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("leave", [connect, connect_by_keyword, look_up, connect_datagrams])
@pytest.mark.parametrize(
    ("host", "where"), [("192.0.2.1", "192.0.2.1:9"), ("2001:db8::1", "2001:db8::1:9"), (NAME, NAME)]
)
def test_an_event_loop_is_kept(
    loopback_only: LoopbackOnly,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    leave: Callable[[str], Awaitable[None]],
    host: str,
    where: str,
) -> None:
    with (
        loopback_only.expecting() as escapes,
        asyncio.Runner(loop_factory=new_loop) as runner,
        pytest.raises(OSError, match=r"."),
    ):
        runner.run(leave(host))  # type: ignore[arg-type]
    assert [escape.address for escape in escapes] == [where]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", None])
def test_loopback_is_free(new_loop: Callable[[], asyncio.AbstractEventLoop], host: str | None, tmp_path: Path) -> None:
    async def talk() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        server = await asyncio.start_server(answer, "0.0.0.0", 0)
        port = server.sockets[0].getsockname()[1]
        await asyncio.get_running_loop().getaddrinfo(host, port)
        reader, writer = await asyncio.open_connection(host or "127.0.0.1", port)
        writer.write(b"hello")
        writer.write_eof()
        echo = await reader.read()
        writer.close()
        server.close()

        unix = await asyncio.start_unix_server(answer, tmp_path / "socket")
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.close()
        unix.close()
        return echo

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(talk()) == b"hello"


def test_the_machines_own_name_may_be_looked_up() -> None:
    socket.getaddrinfo(socket.gethostname(), None)


def test_the_test_that_leaves_loopback_fails_and_the_next_does_not(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.guard.fixtures"]\n')
    (tmp_path / "test_inner.py").write_text(
        "import socket, subprocess, sys\n"
        "LEAVE = \"import socket; socket.socket().connect_ex(('192.0.2.1', 9))\"\n"
        "def test_quiet_before(): pass\n"
        "def test_swallows():\n"
        "    try: socket.create_connection(('192.0.2.1', 9))\n"
        "    except OSError: pass\n"
        "def test_quiet_between(): pass\n"
        "def test_child(guarded_environment): subprocess.run([sys.executable, '-c', LEAVE])\n"
        "def test_quiet_after(): pass\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "-c",
        "/dev/null",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]
    inner = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    assert inner.returncode == 1, inner.stdout
    assert "ERROR at teardown of test_swallows" in inner.stdout
    assert "connect 192.0.2.1:9, called from" in inner.stdout
    assert "test_quiet" not in inner.stdout
    if "skipped" not in inner.stdout:
        assert "ERROR at teardown of test_child" in inner.stdout
        assert "\tconnect\t192.0.2.1:9" in inner.stdout
