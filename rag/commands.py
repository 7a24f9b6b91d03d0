"""`sluice rag`: indexing documents, searching them, asking about them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sluice.gateway_client import GatewayClient

rag = typer.Typer(name="rag", help="Index documents, search them, ask about them.", no_args_is_help=True)

IndexOption = Annotated[str | None, typer.Option("--index", "-i", help="The index. Default: rag.index, 'docs'.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@rag.command()
def index(
    folder: Annotated[Path, typer.Argument(help="Markdown, HTML, PDF and text files, with those in folders below.")],
    name: Annotated[str | None, typer.Option(help="The index. Default: rag.index, 'docs'.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Index a folder's documents. Again after a change: a new version. Again without one: nothing, at once."""
    from rag.index.build import build_index
    from rag.settings import rag_settings
    from rag.view import built_as_plain, indexing_progress, show_built
    from sluice.database import connect, migrate
    from sluice.settings_files import load_settings

    settings = load_settings()
    migrate(settings.database_url)
    with _gateway() as client, indexing_progress() as progress:
        built = build_index(
            folder,
            rag_settings(settings).index if name is None else name,
            settings=settings,
            engine=connect(settings.database_url),
            client=client,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(built_as_plain(built), indent=2))
    else:
        show_built(built)


@rag.command()
def search(
    query: Annotated[str, typer.Argument(help="Words or a question.")],
    index: IndexOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many passages.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Find passages: by meaning and by words, fused."""
    found = _post("/search", {"query": query, "index": index, "limit": limit})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        from rag.view import show_hits

        show_hits(found["hits"])


@rag.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the documents, with citations, or say that they hold nothing about it."""
    given = _post("/ask", {"question": question, "index": index})
    if as_json:
        typer.echo(json.dumps(given, indent=2))
    else:
        from rag.view import show_answer

        show_answer(given)


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    with _gateway() as client:
        return client.post(path, body)[0]


def _gateway() -> "GatewayClient":
    from sluice.gateway_client import GatewayClient, gateway_access
    from sluice.settings_files import load_settings

    return GatewayClient(*gateway_access(load_settings()))
