"""What fails a test in which something leaves loopback, in this process or in a child."""

from collections.abc import Iterator

import pytest

from tests.guard.children import ChildGuard, build_child_guard
from tests.guard.loopback_only import LoopbackOnly


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> LoopbackOnly:
    """The guard of this process; `loopback_only.expecting()` is for a test that means to leave loopback."""
    guard = LoopbackOnly()
    guard.install()
    return guard


@pytest.fixture(scope="session", autouse=True)
def child_guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildGuard | None]:
    """The guard of all child processes, inherited through `os.environ`; None where no C compiler is."""
    guard = build_child_guard(tmp_path_factory.mktemp("guard"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (guard.environment if guard else {}).items():
            environment.setenv(name, value)
        yield guard


@pytest.fixture(scope="session")
def guarded_environment(child_guard: ChildGuard | None) -> dict[str, str]:
    """What a child needs in an environment that does not come from `os.environ`."""
    if child_guard is None:
        pytest.skip("the guard of child processes needs a C compiler named cc")
    return child_guard.environment


@pytest.fixture(autouse=True)
def stays_on_loopback(loopback_only: LoopbackOnly, child_guard: ChildGuard | None) -> Iterator[None]:
    """Fails the test in which something left loopback; set up first and so checked after its other fixtures."""
    yield
    escapes = [str(escape) for escape in loopback_only.take()]
    escapes += child_guard.take() if child_guard else []
    if escapes:
        pytest.fail("left loopback:\n" + "\n".join(escapes), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def session_stays_on_loopback(loopback_only: LoopbackOnly, child_guard: ChildGuard | None) -> Iterator[None]:
    """The same for what happens while session fixtures are torn down, after the last test."""
    yield
    escapes = [str(escape) for escape in loopback_only.take()]
    escapes += child_guard.take() if child_guard else []
    if escapes:
        pytest.fail("left loopback after the last test:\n" + "\n".join(escapes), pytrace=False)
