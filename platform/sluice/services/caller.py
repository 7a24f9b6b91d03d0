"""Who calls a service, and on behalf of which request."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from sluice.identity import Identity, Keyring


@dataclass(frozen=True)
class Calling:
    """Attributes:
    identity: whose key it is.
    key: the key itself, to call the gateway with on the caller's behalf.
    request_id: the gateway's id of this request; empty where it came another way.
    """

    identity: Identity
    key: str = field(repr=False)
    request_id: str


async def authenticate(request: Request) -> Calling:
    """The caller of a request; the services check keys themselves, whoever reaches them.

    Raises:
        NotAuthenticated: there is no valid key.
    """
    keyring: Keyring = request.app.state.keyring
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else ""
    identity = await keyring.authenticate(key.encode() or None)
    return Calling(identity, key, request.headers.get("x-request-id", ""))


Caller = Annotated[Calling, Depends(authenticate)]
"""The type of a route's parameter that is its caller."""
