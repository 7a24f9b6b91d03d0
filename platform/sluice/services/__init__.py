"""The services process: retrieval, agents and tools behind the gateway, put together from what packages declare."""

from sluice.services.app import Services, create_services
from sluice.services.caller import Caller

__all__ = ["Caller", "Services", "create_services"]
