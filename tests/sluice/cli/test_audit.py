import re

import pytest
from click.testing import Result
from sqlmodel import Session
from typer.testing import CliRunner

from sluice import audit as log
from sluice.cli.audit import audit
from sluice.database import connect, migrate
from sluice.errors import InvalidRequest
from tests.sluice.test_audit import tamper


def run(*arguments: str) -> Result:
    return CliRunner().invoke(audit, arguments, catch_exceptions=False)


@pytest.fixture
def database(empty_database: str) -> str:
    migrate(empty_database)
    return empty_database


def append(database: str, count: int) -> None:
    engine = connect(database)
    for _ in range(count):
        with Session(engine) as session:
            log.append(session, actor="ada", action="thing.done", subject="thing:1")
            session.commit()
    engine.dispose()


def test_the_head_is_printed_and_taken_back(database: str) -> None:
    assert run("verify").output == "The chain of 0 entries is whole.\n"
    append(database, 3)
    first = run("verify")
    assert (first.exit_code, first.output.splitlines()[0]) == (0, "The chain of 3 entries is whole.")
    found = re.fullmatch(r"Its head: (3:[0-9a-f]{64})", first.output.splitlines()[1])
    assert found
    append(database, 1)
    assert run("verify", "--head", found[1]).exit_code == 0
    with pytest.raises(InvalidRequest):
        run("verify", "--head", "3")


def test_a_log_that_was_cut_off_is_told_by_its_head(database: str) -> None:
    append(database, 2)
    engine = connect(database)
    early = log.head(engine)
    append(database, 2)
    late = log.head(engine)
    tamper(
        engine,
        "DELETE FROM audit_entry WHERE number > 2",
        f"UPDATE audit_head SET number = 2, hash = '{early.hash}'",
    )
    engine.dispose()
    assert run("verify").exit_code == 0
    cut = run("verify", "--head", str(late))
    assert (cut.exit_code, "broken at entry 3" in cut.output) == (1, True)
