"""Ask the model in production whether one customer will leave."""

from agents.tools.customer_features import CustomerArguments
from agents.tools.tool import Result, Tool, ToolContext


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def run(arguments: CustomerArguments) -> Result:
        with context.gateway() as gateway:
            made, _ = gateway.post("/predict/churn", {"entity": arguments.customer})
        return {
            "customer": arguments.customer,
            "probability": made["score"],
            "model": f"model:{made['model']}@{made['version']}",
            "sources": [f"prediction:{made['id']}"],
        }

    return Tool(
        "predict_churn",
        "Predict with the model whether one customer will churn, that is, leave or cancel.",
        CustomerArguments,
        run,
    )
