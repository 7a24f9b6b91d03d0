"""The guard of child processes: what they do beyond loopback is refused and logged, the rest is untouched."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.guard.children import ChildGuard, build_child_guard


@pytest.fixture
def guard(guarded_environment: dict[str, str], tmp_path: Path) -> ChildGuard:
    """A guard with a log of its own, so that what a child is made to do here does not fail the test."""
    guard = build_child_guard(tmp_path)
    assert guard is not None, "the session has one"
    return guard


def run(guard: ChildGuard, *command: str) -> str:
    done = subprocess.run(command, env=guard.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(guard: ChildGuard, code: str) -> str:
    return run(guard, sys.executable, "-c", textwrap.dedent(code))


def calls(guard: ChildGuard) -> set[tuple[str, str]]:
    return {(line.split("\t")[2], line.split("\t")[3]) for line in guard.take()}


def test_plain_sockets_are_kept(guard: ChildGuard) -> None:
    printed = run_python(
        guard,
        """
        import ctypes, socket
        def attempt(call, *arguments):
            try: call(*arguments)
            except OSError as error: print(type(error).__name__)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        attempt(socket.create_connection, ("192.0.2.1", 9))
        attempt(datagrams.connect, ("192.0.2.1", 53))
        attempt(datagrams.sendto, b"x", ("192.0.2.2", 53))
        attempt(datagrams.sendmsg, [b"x"], [], 0, ("192.0.2.3", 53))
        attempt(socket.getaddrinfo, "example.invalid", 80)
        ctypes.CDLL(None).gethostbyname(b"example.invalid")
        """,
    )
    assert printed.split() == ["PermissionError"] * 4 + ["gaierror"]
    assert calls(guard) == {
        ("connect", "192.0.2.1:9"),
        ("connect", "192.0.2.1:53"),
        ("sendto", "192.0.2.2:53"),
        ("sendmsg", "192.0.2.3:53"),
        ("getaddrinfo", "example.invalid"),
        ("gethostbyname", "example.invalid"),
    }


def test_uvloop_is_kept(guard: ChildGuard) -> None:
    run_python(
        guard,
        """
        import asyncio, contextlib, uvloop
        async def leave():
            for host in ("192.0.2.1", "2001:db8::1", "example.invalid"):
                with contextlib.suppress(OSError):
                    await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, 9)
        uvloop.run(leave())
        """,
    )
    assert calls(guard) == {
        ("connect", "192.0.2.1:9"),
        ("connect", "[2001:db8::1]:9"),
        ("getaddrinfo", "example.invalid"),
    }


def test_the_line_names_process_and_command(guard: ChildGuard) -> None:
    printed = run_python(guard, "import os, socket; print(os.getpid()); socket.socket().connect_ex(('192.0.2.1', 9))")
    pid, command, _, _ = guard.take()[0].split("\t")
    assert pid == printed.strip()
    assert command.startswith(f"{sys.executable} -c import os, socket")


def test_threads_and_forked_children_are_kept_and_every_line_is_whole(guard: ChildGuard) -> None:
    run_python(
        guard,
        """
        import multiprocessing, socket, threading
        def leave():
            for _ in range(50): socket.socket().connect_ex(("192.0.2.1", 9))
        def crowd():
            threads = [threading.Thread(target=leave) for _ in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        if __name__ == "__main__":
            fork = multiprocessing.get_context("fork")
            children = [fork.Process(target=crowd) for _ in range(2)]
            for child in children: child.start()
            crowd()
            for child in children: child.join()
            assert all(child.exitcode == 0 for child in children)
        """,
    )
    lines = guard.take()
    assert len(lines) == 3 * 4 * 50
    assert all(line.endswith("\tconnect\t192.0.2.1:9") and line.count("\t") == 3 for line in lines)


def test_loopback_is_free(guard: ChildGuard) -> None:
    printed = run_python(
        guard,
        """
        import socket, tempfile
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "localhost"), (socket.AF_INET, "0.0.0.0")):
            server = socket.create_server(("127.0.0.1", 0), family=family)
            socket.create_connection((host, server.getsockname()[1])).close()
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        datagrams.sendto(b"x", datagrams.getsockname())
        socket.getaddrinfo(None, 80), socket.getaddrinfo("192.0.2.1", 80), socket.getaddrinfo(socket.gethostname(), 80)
        with tempfile.TemporaryDirectory() as folder:
            server = socket.socket(socket.AF_UNIX)
            server.bind(folder + "/socket"), server.listen()
            socket.socket(socket.AF_UNIX).connect(folder + "/socket")
        print("done")
        """,
    )
    assert printed.strip() == "done"
    assert guard.take() == []


def test_node_is_kept(guard: ChildGuard) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    printed = run(
        guard,
        node,
        "-e",
        "require('net').connect(9, '192.0.2.1').on('error', error => console.log(error.code));"
        "require('dns').lookup('example.invalid', error => console.log(error.code));",
    )
    assert sorted(printed.split()) == ["EACCES", "EAI_FAIL"]
    assert calls(guard) == {("connect", "192.0.2.1:9"), ("getaddrinfo", "example.invalid")}
