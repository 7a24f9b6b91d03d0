"""The templates in prompts: Jinja, without what would make a text depend on anything but the variables, reach outside, or
grow without end: whoever opens a pull request writes one, and a gateway renders it."""

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sluice.errors import InvalidRequest

LONGEST_REASON = 200
"""Characters; what Jinja says may repeat a variable."""
LONGEST_TEXT = 4 * 1024 * 1024
"""Characters of one message; loops within loops make much of little."""

# Each of these makes a text no longer than what it is made from. Left out are, for instance, `**`, `*`, `%` and calls,
# which make gigabytes of a few letters, and `set`, which could double a text line by line.
_NODES = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.If, nodes.For, nodes.CondExpr, nodes.Filter, nodes.Test),
    *(nodes.Keyword, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos),
    *(nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Concat),
)
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "join", "last"),
    *("length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select"),
    *("selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
)


def _as_text(value: Any) -> Any:
    """What `{{ value }}` puts in: text as it is, anything else as JSON."""
    return value if isinstance(value, str | Undefined) else json.dumps(value, ensure_ascii=False)


_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_as_text)
_environment.globals.clear()
_environment.filters = {name: _environment.filters[name] for name in _FILTERS}


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
        for node in tree.find_all(nodes.Node):
            if not isinstance(node, _NODES):
                raise TemplateSyntaxError(f"a prompt cannot use '{type(node).__name__.lower()}'", node.lineno)
        undeclared = meta.find_undeclared_variables(tree)
        lines = [(name.name, name.lineno) for name in tree.find_all(nodes.Name) if name.name in undeclared]
        self.names = dict(reversed(lines))
        self._compiled = _environment.from_string(source)

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with the variables put in.

        Raises:
            InvalidRequest: a variable is of a kind that the template cannot use.
        """
        text, length = [], 0
        try:
            for piece in self._compiled.generate(variables):
                text.append(piece)
                length += len(piece)
                if length > LONGEST_TEXT:
                    raise ValueError(f"its text becomes longer than {LONGEST_TEXT} characters")
            return "".join(text)
        except Exception as error:
            # A template is a small program: whatever fails in it is due to what it was given.
            reason = str(error)[:LONGEST_REASON]
            raise InvalidRequest(
                f"The prompt cannot use these variables: {reason}.", param="prompt.variables"
            ) from None
