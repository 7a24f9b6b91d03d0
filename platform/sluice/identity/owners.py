"""Whose key it is, outside of a request: for commands that act in a person's name."""

from sqlalchemy import Engine
from sqlmodel import Session

from sluice.errors import NotAuthenticated
from sluice.identity.keyring import WELL_FORMED, Identity, identity_of
from sluice.identity.keys import ApiKey


def identify(engine: Engine, token: str) -> Identity:
    """The owner of a key.

    Raises:
        NotAuthenticated: malformed, unknown, wrong, expired or revoked.
        StateUnavailable: the database cannot be used.
    """
    found = WELL_FORMED.fullmatch(token.encode())
    if found is None:
        raise NotAuthenticated
    with Session(engine) as session:
        key = session.get(ApiKey, found[1].decode())
    identity = key and identity_of(key, token)
    if identity is None:
        raise NotAuthenticated
    return identity
