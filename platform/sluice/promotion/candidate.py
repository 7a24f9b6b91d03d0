"""What wants to be used."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from sluice.errors import InvalidRequest

Kind = Literal["prompt", "model", "index", "agent"]

_ID = re.compile(r"(?P<kind>[a-z]+):(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]{0,127})@(?P<version>[A-Za-z0-9._:-]{1,128})")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of something promotable: a prompt's blob hash, a model's number in the registry, an index's hash."""

    kind: Kind
    name: str
    version: str

    @property
    def id(self) -> str:
        """`<kind>:<name>@<version>`, its id in the lineage and the audit log too."""
        return f"{self.kind}:{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' version {self.version[:12]}"

    @classmethod
    def parse(cls, text: str) -> "Candidate":
        """The candidate of an id.

        Raises:
            InvalidRequest: it is no such id.
        """
        found = _ID.fullmatch(text)
        if found is None or found["kind"] not in get_args(Kind):
            raise InvalidRequest(f"'{text[:100]}' names no candidate.", fix="Expected, for instance: model:churn@3")
        return cls(cast("Kind", found["kind"]), found["name"], found["version"])
