"""Guardrails on a request's way: what it asks, before it goes upstream, and what comes back, before the client has it."""

from gateway.guard.guardrails import Guardrails

__all__ = ["Guardrails"]
