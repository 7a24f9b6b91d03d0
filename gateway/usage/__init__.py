"""Usage records: first into a local journal, then in batches into the database."""

from gateway.usage.journal import Journal
from gateway.usage.record import UsageRecord
from gateway.usage.writer import UsageWriter

__all__ = ["Journal", "UsageRecord", "UsageWriter"]
