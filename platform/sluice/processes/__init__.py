"""The supervisor: starts the platform's processes, watches, restarts and stops them."""
