"""The templates in prompts: Jinja, without what would make a text depend on anything but the variables, or reach outside."""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sluice.errors import InvalidRequest

LONGEST_REASON = 200
"""Characters; what Jinja says may repeat a variable."""


def _as_text(value: Any) -> Any:
    """What `{{ value }}` puts in: text as it is, anything else as JSON."""
    return value if isinstance(value, str | Undefined) else json.dumps(value, ensure_ascii=False)


_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_as_text)
_environment.globals.clear()
del _environment.filters["random"]


class Template:
    """One template, compiled.

    Attributes:
        names: the variables it uses, each with the line of its first use.
    """

    def __init__(self, source: str) -> None:
        """Compile it.

        Raises:
            TemplateSyntaxError: it is no template; `lineno` says where.
        """
        tree = _environment.parse(source)
        if any(True for _ in meta.find_referenced_templates(tree)):
            raise TemplateSyntaxError("a prompt cannot include another file", 1)
        undeclared = meta.find_undeclared_variables(tree)
        lines = [(name.name, name.lineno) for name in tree.find_all(nodes.Name) if name.name in undeclared]
        self.names = dict(reversed(lines))
        self._compiled = _environment.from_string(source)

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with the variables put in.

        Raises:
            InvalidRequest: a variable is of a kind that the template cannot use.
        """
        try:
            return self._compiled.render(variables)
        except Exception as error:
            # A template is a small program: whatever fails in it is due to what it was given.
            reason = str(error)[:LONGEST_REASON]
            raise InvalidRequest(
                f"The prompt cannot use these variables: {reason}.", param="prompt.variables"
            ) from None
