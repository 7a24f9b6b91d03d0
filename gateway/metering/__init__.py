"""Metering: what a call may come to is leased from every budget and limit that applies, and settled after it."""
