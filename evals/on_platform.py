"""What the commands do: a suite, a pull request or a judge on the running platform, with progress on standard error."""

import json
import re
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from evals.cache import serving
from evals.calibration import calibrate
from evals.compare import Comparison, compare
from evals.gate import combined, gate
from evals.git_refs import Repository
from evals.metrics import JudgeSettings
from evals.pull_request import PullRequest, evaluate
from evals.reports.junit import junit
from evals.reports.markdown import comment
from evals.reports.terminal import show_comparison, show_pull_request
from evals.run import Conditions, run_suite
from evals.subject import Subject, maker, retrieval, stored_prompt
from evals.suite import Suite, beside, load_suite
from sluice.database import connect, migrate
from sluice.errors import InvalidRequest, SluiceError
from sluice.gateway_client import GatewayClient, gateway_access
from sluice.git_blob import as_in_git, blob_hash
from sluice.identity import identify
from sluice.promotion import Candidate, Verdict
from sluice.settings_files import load_settings

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
NO_VERDICT = 2
"""Wrong use, or something that must run does not: never to be taken for a verdict."""
GIT_HASH = re.compile("[0-9a-f]{40}")


def run_one(suite_path: str, prompt: str | None, *, record: bool, as_json: bool, fresh: bool) -> int:
    """`sluice eval run`."""
    with _platform(fresh=fresh) as platform:
        suite = load_suite(suite_path)
        subject, subject_id = platform.subject(suite, prompt)
        if record and not subject_id:
            raise InvalidRequest(
                "A verdict is kept about one version only.", fix="Name a file, or NAME@ and a whole hash."
            )
        run = run_suite(suite, subject, subject_id=subject_id, conditions=platform.conditions(suite, subject_id))
        comparison = compare(None, run, suite)
        if record:
            gate(platform.engine, comparison, Candidate.parse(subject_id), platform.user)
    _print(comparison, as_json)
    return EXIT_CODES[comparison.verdict]


def judge_pull_request(
    path: Path,
    base: str,
    head: str,
    *,
    suite: str | None,
    junit_file: Path | None,
    comment_file: Path | None,
    as_json: bool,
    fresh: bool,
) -> int:
    """`sluice eval pr`."""
    with _platform(fresh=fresh) as platform:
        for file in (junit_file, comment_file):
            if file is not None and not file.parent.is_dir():
                raise InvalidRequest(f"There is no folder '{file.parent}' for {file.name}.", fix="Make it first.")
        repository = Repository(path)
        before, after = repository.commit(base), repository.commit(head)
        command = ["sluice", "eval", "pr", "--base", before, "--head", after]
        again = shlex.join([*command, *(["--suite", suite] if suite else [])])
        request = evaluate(
            repository, before, after, platform.prompt, platform.conditions, suite_path=suite, command=again
        )
        platform.record(request)
    if junit_file is not None:
        junit_file.write_bytes(junit(request))
    if comment_file is not None:
        comment_file.write_text(comment(request), "utf-8")
    if as_json:
        typer.echo(json.dumps(request.as_report(), indent=2))
    else:
        show_pull_request(Console(highlight=False), request)
    return EXIT_CODES[request.verdict]


def calibrate_judges(suite_path: str) -> int:
    """`sluice eval calibrate`; fails if a judge that should gate agrees too little to do so."""
    enough = True
    with _platform() as platform:
        suite = load_suite(suite_path)
        judges = [metric for metric in suite.metrics if isinstance(metric, JudgeSettings) and metric.labels]
        if not judges:
            raise InvalidRequest(
                f"{suite_path}: no metric has both a judge and 'labels'.", fix="Name a file that people have judged."
            )
        for metric in judges:
            labels = beside(suite_path, str(metric.labels))
            found = calibrate(labels, metric, metric.scorer(platform.access))
            typer.echo(
                f"{metric.label}: kappa {found.kappa:.2f}, from {found.low:.2f} to {found.high:.2f}, over {found.cases} "
                f"answers, {found.unscored} of them without a verdict of the judge; "
                + ("may gate." if found.low >= metric.agreement else f"may not gate (least: {metric.agreement:.2f}).")
            )
            enough = enough and (found.low >= metric.agreement or not metric.gate)
    return EXIT_CODES[Verdict.PASS if enough else Verdict.FAIL]


class _Platform:
    """The running platform; what is not asked for is neither read nor needed."""

    def __init__(self, progress: Progress, *, fresh: bool) -> None:
        self._progress, self._fresh = progress, fresh

    @cached_property
    def access(self) -> tuple[str, str]:
        """The gateway, which answers."""
        access = gateway_access(load_settings())
        with GatewayClient(*access) as gateway:
            gateway.get("/models")
        return access

    @cached_property
    def engine(self) -> Engine:
        """The database with its tables."""
        url = load_settings().database_url
        migrate(url)
        return connect(url)

    @property
    def user(self) -> str:
        """The owner of the key in use."""
        return identify(self.engine, self.access[1]).owner

    def prompt(self, name: str, content: bytes) -> Subject:
        """A prompt's file as subject."""
        return maker("prompt")(load_settings(), self.engine, name, content)

    def subject(self, suite: Suite, prompt: str | None) -> tuple[Subject, str]:
        """What a suite is run on, and its id, empty where that can change."""
        if prompt is None and suite.file.ask is not None:
            return retrieval(GatewayClient(*self.access), suite.file.ask), ""
        file = Path(prompt or suite.prompt_path or "")
        if file.is_file():
            name, content = suite.file.prompt or file.stem, as_in_git(file, file.read_bytes())
            return self.prompt(name, content), Candidate("prompt", name, blob_hash(content)).id
        name, at, version = (prompt or "").partition("@")
        if not (name and at and version):
            what = f"There is no prompt file '{file}'." if file.name else "The suite names neither prompt nor ask."
            raise InvalidRequest(what, fix="Name one with --prompt: a file, or NAME@VERSION.")
        subject = stored_prompt(GatewayClient(*self.access), name, version)
        return subject, Candidate("prompt", name, version).id if GIT_HASH.fullmatch(version) else ""

    def conditions(self, suite: Suite, subject_id: str) -> Conditions:
        """How one run is carried out: answers and scores are kept in the home folder, with a progress bar."""
        task = self._progress.add_task(f"{suite.name}: {subject_id[:40]}", total=len(suite.cases))

        def tell(done: int, of: int) -> None:
            self._progress.update(task, completed=done, total=of)

        settings = load_settings()
        folder = settings.platform.home.absolute() / "evals" / serving(settings)
        return Conditions(self.access, folder, fresh=self._fresh, progress=tell)

    def record(self, request: PullRequest) -> None:
        """Keep each changed prompt's verdict where promotions look for it."""
        for one in request.evaluated:
            if one.comparisons and one.change.after is not None:
                candidate = one.change.candidate(one.change.after)
                gate(self.engine, combined(one.comparisons), candidate, one.change.author, one.note)


@contextmanager
def _platform(*, fresh: bool = False) -> Generator[_Platform]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        try:
            yield _Platform(progress, fresh=fresh)
        except SluiceError as error:
            error.exit_code = NO_VERDICT
            raise


def _print(comparison: Comparison, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(comparison.as_report(), indent=2))
        return
    console = Console(highlight=False)
    show_comparison(console, comparison)
    console.print(f"Verdict: {comparison.verdict}")
