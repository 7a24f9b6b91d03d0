"""The folder that holds a deployment's state, and what lies where in it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """Paths below the home folder (`platform.home`). Nothing is created by asking for a path."""

    root: Path

    @property
    def logs(self) -> Path:
        """One log file for each process: `<name>.log`."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What describes the running platform: lock, state, measured start times."""
        return self.root / "run"

    @property
    def models(self) -> Path:
        """Fetched and converted models, one folder each."""
        return self.root / "models"

    @property
    def journal(self) -> Path:
        """Usage records that may not be in the database yet."""
        return self.root / "journal"

    @property
    def leases(self) -> Path:
        """Calls under way that budgets count."""
        return self.root / "leases"

    @property
    def dev_env(self) -> Path:
        """`OPENAI_BASE_URL` and `OPENAI_API_KEY` for the person who ran `make up`; mode 0600."""
        return self.root / "dev.env"
