"""What the commands that administer share: the database, who is at the terminal, and which scopes there are."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

ScopeArgument = Annotated[
    str, typer.Argument(help="organisation:acme, team:search, user:ada, key:8oas60kxefu6 or model:smollm2.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def user() -> str:
    """Who is at the terminal, for the audit log."""
    return os.environ.get("USER", "dev")


def open_database() -> "Engine":
    """The deployment's, with its tables."""
    from sluice.database import connect, migrate
    from sluice.settings_files import load_settings

    url = load_settings().database_url
    migrate(url)
    return connect(url)


def check_scope(engine: "Engine", scope: str) -> None:
    """Refuse a scope that there is none of.

    Raises:
        NotFound: an organisation, team, user or key that is not there, or a model that is not configured.
        InvalidRequest: it is no scope at all.
    """
    from sqlmodel import Session

    from sluice.errors import InvalidRequest, NotFound
    from sluice.identity import ApiKey
    from sluice.identity.scopes import KINDS, find_scope
    from sluice.settings_files import load_settings

    kind, _, name = scope.partition(":")
    if kind in KINDS:
        with Session(engine) as session:
            find_scope(session, scope)
    elif kind == "key":
        with Session(engine) as session:
            if session.get(ApiKey, name) is None:
                raise NotFound("There is no such key.", fix="'sluice keys list' shows the ids.")
    elif kind == "model":
        settings = load_settings()
        known = [*settings.models, *settings.routes, *(one for s in settings.services.values() for one in s.models)]
        if name not in known:
            raise NotFound(f"There is no model '{name[:64]}'.", fix=f"There are: {', '.join(known) or 'none'}.")
    else:
        raise InvalidRequest(f"'{scope[:64]}' is no scope.", fix="Write for instance team:search or model:smollm2.")
