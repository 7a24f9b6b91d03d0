"""What must be equal for two requests to have one answer."""

from hashlib import sha256

from gateway.exchange import Exchange
from sluice.identity import Identity

FORMAT = b"1"
"""Of what is kept; with another one, nothing that was kept before is found."""


def tenant_of(identity: Identity) -> str:
    """Who shares answers with each other: all of one organisation, or whatever else stands above a key; else it alone."""
    return identity.scopes[0]


def cache_key(exchange: Exchange, model: str, body: bytes) -> bytes:
    """A digest of all that an answer follows from, each part with its length before it, so that none runs into the next.

    Args:
        model: the identity of what answers (`gateway.cache.model_identity`).
        body: as its guardrail policy lets it through, with its stored prompt in it. What the policy found stands beside
            it, since the answer tells.
    """
    assert exchange.identity is not None
    parts = (
        tenant_of(exchange.identity),
        exchange.endpoint.name,
        exchange.route,
        model,
        exchange.prompt or "",
        exchange.policy or "",
        exchange.verdicts or "",
    )
    digest = sha256(FORMAT)
    for part in parts:
        encoded = part.encode()
        digest.update(b"%d:%b" % (len(encoded), encoded))
    digest.update(body)
    return digest.digest()
