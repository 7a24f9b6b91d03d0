"""What monitoring last said about the models in use."""

from agents.tools.tool import Arguments, Result, Tool, ToolContext
from sluice.errors import NotFound


class DriftArguments(Arguments):
    """Nothing: the newest alert is what one wants to know of."""


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def run(_: DriftArguments) -> Result:
        from classic_ml.monitoring import find_alert

        try:
            alert = find_alert(context.engine)
        except NotFound:
            return {"alert": None}
        shown = {"monitor": alert.monitor, "severity": alert.severity, "summary": alert.summary}
        return {"alert": alert.id, "at": alert.at.isoformat(), **shown, "sources": [f"alert:{alert.id}"]}

    return Tool(
        "drift_report",
        "Whether the data or predictions of a model have drifted: the newest monitoring alert.",
        DriftArguments,
        run,
    )
