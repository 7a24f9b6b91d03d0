"""Who sends a request: API keys with their budgets, and their cache in every process."""

from sluice.identity.budgets import Budget, list_budgets
from sluice.identity.keyring import Identity, Keyring
from sluice.identity.keys import ApiKey, create_key, list_keys, revoke_key
from sluice.identity.owners import identify

__all__ = [
    "ApiKey",
    "Budget",
    "Identity",
    "Keyring",
    "create_key",
    "identify",
    "list_budgets",
    "list_keys",
    "revoke_key",
]
