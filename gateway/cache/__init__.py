"""The response cache: an answer is kept for requests that are equal to the last byte, and never for others."""
