"""What a Git repository holds at a commit, through git itself."""

import shutil
import subprocess
from pathlib import Path

from sluice.errors import InvalidRequest, MissingRequirement, NotFound


class Repository:
    """A repository on disk; nothing in it is ever changed.

    Raises:
        MissingRequirement: git is not installed.
        InvalidRequest: there is no such folder, or git finds no repository there that it may read.
    """

    def __init__(self, path: Path) -> None:
        git = shutil.which("git")
        if git is None:
            raise MissingRequirement("git is not installed.", fix="Install git.")
        self._git, self.path = git, path
        if not path.is_dir():
            raise InvalidRequest(f"There is no folder '{path}'.", fix="Name a Git repository with --repository.")
        self.path = Path(self._output("rev-parse", "--show-toplevel").decode().strip())

    def commit(self, ref: str) -> str:
        """The hash of the commit that a branch, tag, hash or expression such as `HEAD~1` means.

        Raises:
            NotFound: it means none.
        """
        found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if found is None:
            raise NotFound(
                f"There is no ref '{ref}' in {self.path}.", fix="Fetch it first (in CI, with the whole history)."
            )
        return found.decode().strip()

    def merge_base(self, base: str, head: str) -> str:
        """Where head left base: what base got since is not head's doing. Base itself where they share no commit."""
        found = self._run("merge-base", base, head)
        return base if found is None else found.decode().strip()

    def changed(self, base: str, head: str) -> list[str]:
        """The paths that differ between two commits; a renamed file is two of them."""
        found = self._output("diff", "--name-only", "--no-renames", "-z", base, head)
        return [path.decode(errors="surrogateescape") for path in found.split(b"\0") if path]

    def files(self, commit: str, folder: str) -> list[str]:
        """The paths of the files in and below a folder at a commit."""
        found = self._output("ls-tree", "-r", "--name-only", "-z", commit, "--", f"{folder}/")
        return [path.decode(errors="surrogateescape") for path in found.split(b"\0") if path]

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content at a commit; None if there is no such file."""
        return self._run("cat-file", "blob", f"{commit}:{path}")

    def author(self, commit: str, path: str) -> str:
        """Who last changed a file, as of a commit."""
        return self._output("log", "-1", "--format=%ae", commit, "--", path).decode(errors="replace").strip()

    def _run(self, *arguments: str) -> bytes | None:
        """What git prints; None where it says no."""
        done = self._call(arguments)
        return done.stdout if done.returncode == 0 else None

    def _output(self, *arguments: str) -> bytes:
        """What git prints; a failure must not look like a repository in which nothing changed."""
        done = self._call(arguments)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise InvalidRequest(f"git {arguments[0]} failed in '{self.path}': {reason}.")
        return done.stdout

    def _call(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        command = [self._git, "-C", str(self.path), *arguments]
        return subprocess.run(command, capture_output=True, check=False)  # noqa: S603, git with our own arguments
