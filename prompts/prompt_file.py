"""Reading a prompt's YAML file, with errors that name the file and the line."""

import json
import re
from typing import Annotated, Any, Literal

import yaml
from jinja2 import TemplateSyntaxError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from prompts.template import Template
from sluice.errors import InvalidRequest
from sluice.strict_yaml import NotYaml, read_yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
REQUESTS_OWN = frozenset({"messages", "model", "prompt", "stream", "stream_options"})
"""Fields of a request that no prompt decides."""

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    if own := sorted(REQUESTS_OWN & parameters.keys()):
        raise ValueError(f"'{own[0]}' is the request's own and cannot stand here")
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("expected what JSON can hold: text, numbers, true, false, null, lists, mappings") from None
    return parameters


class MessageFile(BaseModel):
    """One message: a role and a template."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str


class PromptFile(BaseModel):
    """A prompt's file."""

    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, Field(min_length=1)]
    model: str | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] = {}
    variables: dict[VariableName, str] = {}
    messages: Annotated[list[MessageFile], Field(min_length=1)]


def read_prompt_file(name: str, content: bytes, origin: str) -> tuple[PromptFile, list[Template]]:
    """The file's fields, and its messages' templates in their order.

    Raises:
        InvalidRequest: a wrong name, malformed YAML, a wrong or unknown key, or a template that is malformed or uses a
            variable that the file does not declare.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"A prompt cannot be named '{name[:100]}'.",
            fix="Use letters, digits, '.', '_' and '-' for its file's name.",
        )
    root, data = _read_yaml(content, origin)
    try:
        file = PromptFile.model_validate(data)
    except ValidationError as error:
        raise _explain(error, root, origin) from None
    nodes = [_find(root, ("messages", place, "content")) for place in range(len(file.messages))]
    templates = [_compile(file, place, node, origin) for place, node in enumerate(nodes)]
    return file, templates


def _compile(file: PromptFile, place: int, node: yaml.Node, origin: str) -> Template:
    # The text of a block (`|`, `>`) begins on the line after its mark.
    first_line = node.start_mark.line + (2 if getattr(node, "style", None) in ("|", ">") else 1)
    try:
        template = Template(file.messages[place].content)
    except TemplateSyntaxError as error:
        raise _wrong(origin, first_line + error.lineno - 1, f"{str(error.message).rstrip('.')}.") from None
    for variable, line in template.names.items():
        if variable not in file.variables:
            raise _wrong(
                origin,
                first_line + line - 1,
                f"'{variable}' is used, but not declared under 'variables'.",
                fix=f"Declared are: {', '.join(file.variables) or 'none'}.",
            )
    return template


def _read_yaml(content: bytes, origin: str) -> tuple[yaml.Node, Any]:
    try:
        root, data = read_yaml(content)
    except NotYaml as error:
        raise _wrong(origin, error.line, error.what, fix=error.fix) from None
    if not isinstance(root, yaml.MappingNode):
        raise _wrong(origin, 1, "expected keys such as 'description:' and 'messages:'.")
    return root, data


def _explain(error: ValidationError, root: yaml.Node, origin: str) -> InvalidRequest:
    """The first thing wrong, an unknown key before the one that it was meant to be; named by where it stands."""
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    path = tuple(part for part in first["loc"] if part != "[key]")
    key = ".".join(str(part) for part in path)
    line = _find(root, path).start_mark.line + 1
    if first["type"] == "extra_forbidden":
        known = (MessageFile if path[0] == "messages" else PromptFile).model_fields
        return _wrong(origin, line, f"{key}: unknown key.", fix=f"Known keys: {', '.join(known)}.")
    if first["type"] == "missing":
        return _wrong(origin, line, f"{key}: is required.")
    expected = first["msg"].removeprefix("Value error, ")
    return _wrong(origin, line, f"{key}: {expected[:1].lower()}{expected[1:]}.")


def _find(node: yaml.Node, path: tuple[str | int, ...]) -> yaml.Node:
    """The node at a path, or the last one on the way to it that is there."""
    for part in path:
        below = None
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == part), None)
        if below is None:
            break
        node = below
    return node


def _wrong(origin: str, line: int, what: str, *, fix: str = "") -> InvalidRequest:
    return InvalidRequest(f"{origin}, line {line}: {what}", fix=fix)
