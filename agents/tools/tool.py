"""What a tool is, whoever calls it: the analyst, an app over HTTP, somebody else's agent over MCP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Engine

from sluice.errors import InvalidRequest
from sluice.gateway_client import GatewayClient
from sluice.processes.plan import gateway_url
from sluice.settings import Settings

Result = dict[str, Any]
"""Small JSON. Its `sources`, where it has any, are the lineage ids of what it was made from."""


@dataclass(frozen=True)
class ToolContext:
    """For whom tools run, and on what.

    Attributes:
        owner: who calls; the owner of the key.
        key: the caller's own key: what a tool asks of the gateway, the caller's budgets pay.
        request_id: the request on whose behalf it runs; empty where there is none.
    """

    settings: Settings
    engine: Engine
    owner: str
    key: str = field(repr=False)
    request_id: str = ""

    def gateway(self) -> GatewayClient:
        """A client that calls with the caller's key, under the caller's request; close it after use."""
        return GatewayClient(f"{gateway_url(self.settings.gateway)}/v1", self.key, parent=self.request_id or None)


class Arguments(BaseModel):
    """What a tool takes: exactly these, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True)
class Tool:
    """Something that can be asked for by name.

    Attributes:
        run: takes an instance of `parameters`; raises a `SluiceError` for whatever a caller can meet.
        check: raises what can be known to be wrong with arguments before a person is asked to approve them.
        side_effect: it changes something beyond its own record.
        idempotent: running it again with the same arguments after it was cut off changes nothing further.
        approval: it runs only when another person than the caller has said yes.
    """

    name: str
    description: str
    parameters: type[Arguments]
    run: Callable[[Any], Result]
    check: Callable[[Any], object] = lambda _: None
    side_effect: bool = False
    idempotent: bool = False
    approval: bool = False

    def parse(self, arguments: Mapping[str, Any]) -> Arguments:
        """The arguments, checked.

        Raises:
            InvalidRequest: one is missing, unknown or of the wrong type; names it and says what was expected.
        """
        try:
            return self.parameters.model_validate(arguments)
        except ValidationError as error:
            raise self._refusal(error) from None

    @property
    def schema(self) -> dict[str, Any]:
        """Its parameters as JSON schema."""
        schema = self.parameters.model_json_schema()
        return {key: value for key, value in schema.items() if key not in ("title", "description")}

    def as_json(self) -> dict[str, Any]:
        """How `GET /v1/tools` shows it."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.schema,
            "side_effect": self.side_effect,
            "approval": self.approval,
        }

    def _refusal(self, error: ValidationError) -> InvalidRequest:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        known = ", ".join(self.parameters.model_fields) or "none"
        problem = {
            "missing": f"argument '{name}' is missing",
            "extra_forbidden": f"there is no argument '{name}'",
        }.get(first["type"], f"argument '{name}' is {repr(first['input'])[:60]}")
        expected = f"one of: {known}" if first["type"] == "extra_forbidden" else self._expected(name)
        return InvalidRequest(
            f"Tool '{self.name}': {problem}, expected {expected}.", param=f"arguments.{name}" if name else "arguments"
        )

    def _expected(self, name: str) -> str:
        wanted = self.schema.get("properties", {}).get(name, {})
        allowed = wanted.get("enum") or ([wanted["const"]] if "const" in wanted else [])
        kind = f"one of: {', '.join(map(str, allowed))}" if allowed else f"{wanted.get('type', 'any')}"
        limits = [f"{word} {wanted[key]}" for key, word in _LIMITS.items() if key in wanted]
        about = f" ({wanted['description'].rstrip('.')})" if "description" in wanted else ""
        return " ".join([kind, *limits]) + about


_LIMITS = {
    "minimum": "from",
    "maximum": "to",
}
