"""Token budgets: leased before a call, settled after it."""
