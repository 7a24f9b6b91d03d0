"""What a demo is: a journey through the running platform that shows each step and can be repeated at once.

A package declares its demos under the entry points `sluice.demos`: a name, and a function `(Stage) -> Outcome`.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from sqlalchemy import Engine

from sluice.gateway_client import GatewayClient, gateway_access
from sluice.home import Home
from sluice.saving import save_whole
from sluice.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """How a demo ends.

    Attributes:
        summary: the result in one sentence, for the table of all demos.
        next_commands: what to try next, each a whole command.
        trace_id: what `sluice trace` can be given, where the demo made something of that kind.
    """

    summary: str
    next_commands: tuple[str, ...] = ()
    trace_id: str = ""


@dataclass(frozen=True)
class Stage:
    """What a demo plays on: the running platform, and where it shows what it does."""

    settings: Settings
    engine: Engine
    console: Console

    @property
    def home(self) -> Home:
        """Where state lies."""
        return self.settings.home

    @property
    def folder(self) -> Path:
        """Where demos keep files of their own (`demos/<name>` below it)."""
        return self.home.root / "demos"

    def outcomes(self) -> dict[str, Outcome]:
        """How the demos ended that were played here before, by name."""
        try:
            return msgspec.json.decode((self.folder / "outcomes.json").read_bytes(), type=dict[str, Outcome])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def keep(self, name: str, outcome: Outcome) -> None:
        """Note how a demo ended, for those that build on it."""
        save_whole(self.folder / "outcomes.json", msgspec.json.encode({**self.outcomes(), name: outcome}))

    def gateway(self) -> GatewayClient:
        """A client with the user's key; close it after use.

        Raises:
            MissingRequirement: nothing was started yet.
        """
        return GatewayClient(*gateway_access(self.settings))

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """Show that a step goes on, and then that it is done."""
        with self.console.status(title):
            yield
        self.console.print(f"[green]✓[/green] {title}")

    def show(self, *things: RenderableType) -> None:
        """Print something a person would look at."""
        self.console.print(*things)


Demo = Callable[[Stage], Outcome]
