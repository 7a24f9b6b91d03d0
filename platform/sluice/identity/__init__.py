"""Who sends a request, and what is counted for whom: keys, scopes, budgets, limits, and their cache in every process."""

from sluice.identity.budgets import Budget, list_budgets, remove_budget, set_budget
from sluice.identity.keyring import Identity, Keyring
from sluice.identity.keys import ApiKey, create_key, list_keys, revoke_key, set_key_policy
from sluice.identity.limits import Limit, list_limits, remove_limit, set_limit
from sluice.identity.owners import identify
from sluice.identity.scopes import Scope, create_scope, list_scopes

__all__ = [
    "ApiKey",
    "Budget",
    "Identity",
    "Keyring",
    "Limit",
    "Scope",
    "create_key",
    "create_scope",
    "identify",
    "list_budgets",
    "list_keys",
    "list_limits",
    "list_scopes",
    "remove_budget",
    "remove_limit",
    "revoke_key",
    "set_budget",
    "set_key_policy",
    "set_limit",
]
