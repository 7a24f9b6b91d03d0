"""What is told of requests: spans and metrics to a collector, logs, and bodies where a policy keeps them."""
