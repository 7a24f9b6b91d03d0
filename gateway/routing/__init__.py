"""From a model's name to the upstream that answers it, and to another where that one fails.

The gateway decides policy here and balances nothing: among the replicas of one model vLLM's router does.
"""

from gateway.routing.route import Route, price_of
from gateway.routing.routes import Routes

__all__ = ["Route", "Routes", "price_of"]
