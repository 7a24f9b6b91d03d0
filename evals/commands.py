"""`sluice eval`: running suites, judging pull requests, measuring judges."""

from pathlib import Path
from typing import Annotated

import typer

evals = typer.Typer(
    name="eval",
    help="Evaluate what wants to be promoted. Exit codes: 0 pass, 1 fail, 3 inconclusive, 2 no verdict.",
    no_args_is_help=True,
)

Fresh = Annotated[bool, typer.Option("--fresh", help="Ask everything again, also what was answered before.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@evals.command()
def run(
    suite: Annotated[str, typer.Argument(help="The suite's YAML file.")],
    prompt: Annotated[
        str | None,
        typer.Option(help="NAME@VERSION or NAME@LABEL in the registry, or a file; default: the suite's own."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the verdict, so that a first version can be promoted on it.")
    ] = False,
    as_json: AsJson = False,
    fresh: Fresh = False,
) -> None:
    """Run a suite on one prompt, or on what `ask` answers, and hold it against the metrics' minimums."""
    from evals.on_platform import run_one

    raise typer.Exit(run_one(suite, prompt, record=record, as_json=as_json, fresh=fresh))


@evals.command()
def pr(
    repository: Annotated[Path, typer.Option(help="A folder in the Git repository.")] = Path(),
    base: Annotated[str, typer.Option(help="What head wants to be merged into.")] = "main",
    head: Annotated[str, typer.Option(help="The pull request's last commit.")] = "HEAD",
    suite: Annotated[
        str | None, typer.Option(help="Only this suite, relative to the repository; else all in evals/suites.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    comment: Annotated[Path | None, typer.Option(help="Write the comment, Markdown, to this file.")] = None,
    as_json: AsJson = False,
    fresh: Fresh = False,
) -> None:
    """Judge a pull request: each changed prompt, head against base on the same cases.

    Only what is committed counts; suites and cases are taken from head.
    """
    from evals.on_platform import judge_pull_request

    raise typer.Exit(
        judge_pull_request(
            repository, base, head, suite=suite, junit_file=junit, comment_file=comment, as_json=as_json, fresh=fresh
        )
    )


@evals.command()
def calibrate(suite: Annotated[str, typer.Argument(help="The suite's YAML file.")]) -> None:
    """Measure how far the suite's judges agree with people, on the answers in their file of `labels`.

    What it finds is written beside the labels; commit it. Only a judge that agrees well enough may gate.
    """
    from evals.on_platform import calibrate_judges

    raise typer.Exit(calibrate_judges(suite))
