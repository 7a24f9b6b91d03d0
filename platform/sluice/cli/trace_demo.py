"""`sluice demo trace`: from an answer and from a prediction of the earlier demos back to files and commits."""

from collections.abc import Iterator

from sluice import lineage
from sluice.audit import broken_links
from sluice.cli.lineage_view import as_tree
from sluice.demo import Outcome, Stage
from sluice.errors import MissingRequirement, ProcessFailed
from sluice.lineage import Node

PLAYED = {"ask": "an answer", "churn": "a prediction"}
"""The demos that make what is traced here."""


def trace_demo(stage: Stage) -> Outcome:
    """Trace what `ask` and `churn` made.

    Raises:
        MissingRequirement: one of them was not played yet.
    """
    outcomes = stage.outcomes()
    found = 0
    for demo, thing in PLAYED.items():
        if demo not in outcomes or not outcomes[demo].trace_id:
            raise MissingRequirement(f"There is no {thing.split()[1]} to trace yet.", fix=f"Run: sluice demo {demo}")
        with stage.step(f"Trace {thing} of `sluice demo {demo}`"):
            tree = lineage.trace(stage.engine, lineage.find(stage.engine, outcomes[demo].trace_id))
        stage.console.print(as_tree(tree))
        nodes = list(_nodes(tree))
        found += len(nodes)
        if missing := [node.id for node in nodes if not node.known]:
            stage.show(f"[yellow]Not recorded: {', '.join(missing)}[/yellow]")
    with stage.step("Check the audit log's chain of hashes"):
        if broken := next(broken_links(stage.engine), None):
            raise ProcessFailed(f"The audit log is broken at entry {broken}.", fix="See: sluice audit list")
    ids = [outcomes[demo].trace_id for demo in PLAYED]
    return Outcome(
        f"{found} things behind an answer and a prediction, each with an id that leads on.",
        (f"sluice trace --json {ids[0]}", "sluice audit list"),
        trace_id=ids[1],
    )


def _nodes(node: Node) -> Iterator[Node]:
    """Each node of a tree once."""
    if not node.repeated:
        yield node
    for _, source in node.sources:
        yield from _nodes(source)
