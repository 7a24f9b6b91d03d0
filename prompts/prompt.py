"""A prompt: a named template whose version is its file's Git blob hash, and the messages that it renders to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from prompts.prompt_file import read_prompt_file
from prompts.template import Template
from sluice.errors import InvalidRequest, NotFound
from sluice.git_blob import blob_hash

SHOWN = 100
"""Characters of a client's own words that a message repeats."""


class Message(TypedDict):
    """One message, as OpenAI's chat API takes it."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt.

    Attributes:
        version: the Git blob's hash, 40 hexadecimal digits.
        model: who answers where the request names no model.
        parameters: fields of the request, such as `temperature`, where it has none of its own.
        variables: what must be given to render it: name and description.
        messages: role and template.
    """

    name: str
    version: str
    description: str
    model: str | None
    parameters: Mapping[str, Any]
    variables: Mapping[str, str]
    messages: tuple[tuple[str, Template], ...]

    @property
    def reference(self) -> str:
        """`<name>@<version>`, as it stands in usage records and, after `prompt:`, in the lineage."""
        return f"{self.name}@{self.version}"

    def render(self, variables: Mapping[str, Any]) -> list[Message]:
        """The messages, with exactly these variables put in. A variable is data: braces in it stay as they are.

        Raises:
            InvalidRequest: a variable is missing, surplus, or of a kind that the template cannot use; `param` names it.
        """
        for name, description in self.variables.items():
            if name not in variables:
                raise InvalidRequest(
                    f"Prompt '{self.name}' needs the variable '{name}' ({description}).",
                    param=f"prompt.variables.{name}",
                )
        for name in variables:
            if name not in self.variables:
                raise InvalidRequest(
                    f"Prompt '{self.name}' has no variable '{name[:SHOWN]}'.",
                    fix=f"It takes: {', '.join(self.variables) or 'none'}.",
                    param=f"prompt.variables.{name[:SHOWN]}",
                )
        return [{"role": role, "content": template.render(variables)} for role, template in self.messages]


def parse_prompt(name: str, content: bytes, origin: str = "") -> Prompt:
    """The prompt that a file's bytes hold.

    Args:
        origin: the file, for messages; by default `<name>.yaml`.

    Raises:
        InvalidRequest: the file is no prompt; names file and line.
    """
    file, templates = read_prompt_file(name, content, origin or f"{name}.yaml")
    return Prompt(
        name=name,
        version=blob_hash(content),
        description=file.description,
        model=file.model,
        parameters=file.parameters,
        variables=file.variables,
        messages=tuple((message.role, template) for message, template in zip(file.messages, templates, strict=True)),
    )


def load_prompt(path: Path) -> Prompt:
    """The prompt in a file, named like it.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: as `parse_prompt`.
    """
    return parse_prompt(path.stem, read_content(path), str(path))


def read_content(path: Path) -> bytes:
    """A prompt file's bytes, as they are.

    Raises:
        NotFound: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"The prompt '{path}' cannot be read: {error.strerror}.") from None
