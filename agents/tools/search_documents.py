"""Find passages in the indexed documents."""

from typing import Annotated

from pydantic import Field

from agents.tools.tool import Arguments, Result, Tool, ToolContext


class SearchArguments(Arguments):
    """What to look for."""

    query: Annotated[str, Field(min_length=1, max_length=2000, description="A question, or words to look for.")]
    index: Annotated[str | None, Field(max_length=64, description="Which index; without it, the configured one.")] = (
        None
    )
    limit: Annotated[int, Field(ge=1, le=20, description="How many passages at most.")] = 3


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def run(arguments: SearchArguments) -> Result:
        with context.gateway() as gateway:
            found, _ = gateway.post("/search", arguments.model_dump(exclude_none=True))
        chunks = [f"chunk:{hit['chunk']}" for hit in found["hits"]]
        return {"index": found["index"], "hits": found["hits"], "sources": [found["index"], *chunks]}

    return Tool(
        "search_documents",
        "Find passages in the documents: how something works, what is written about it, facts, explanations.",
        SearchArguments,
        run,
    )
