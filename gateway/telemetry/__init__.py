"""What is told of requests: spans and metrics to a collector, and the access log."""
