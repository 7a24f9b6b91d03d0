"""Guardrails: what goes to a model and what comes from it, checked under a policy."""

from sluice.guardrails.hold_back import HoldBack
from sluice.guardrails.policy import Decision, Policy, Side, Verdict, load_policy, unknown_policy

__all__ = ["Decision", "HoldBack", "Policy", "Side", "Verdict", "load_policy", "unknown_policy"]
