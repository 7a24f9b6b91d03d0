"""What the online features say of one customer."""

from typing import Annotated

from pydantic import Field

from agents.tools.tool import Arguments, Result, Tool, ToolContext

CustomerId = Annotated[str, Field(min_length=1, max_length=100, description="The customer's id, such as 7590-VHVEG.")]


class CustomerArguments(Arguments):
    """Whom to look up."""

    customer: CustomerId


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def run(arguments: CustomerArguments) -> Result:
        from classic_ml.churn import CUSTOMER
        from classic_ml.features import online_features

        found = online_features(context.engine, CUSTOMER, arguments.customer)
        return {
            "customer": arguments.customer,
            "features": found.values,
            "at": found.at.isoformat(),
            "sources": [found.source],
        }

    return Tool(
        "customer_features",
        "What is known about one customer: the current features, such as contract and charges.",
        CustomerArguments,
        run,
    )
