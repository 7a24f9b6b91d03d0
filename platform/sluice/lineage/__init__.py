"""What anything was made from: one id for each thing that happened or was made, one graph."""

from sluice.lineage.graph import Found, Node, Source, record
from sluice.lineage.trace import find, trace

__all__ = ["Found", "Node", "Source", "find", "record", "trace"]
