"""The templates in prompts: Jinja, without what would make a text depend on anything but the variables, reach outside, or
grow without end: whoever opens a pull request writes one, and a gateway renders it."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes, pass_environment
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sluice.errors import InvalidRequest

LONGEST_REASON = 200
"""Characters; what Jinja says may repeat a variable."""
LONGEST_TEXT = 4 * 1024 * 1024
"""Characters, of one message and of what a filter makes."""

# Nothing here makes a text of gigabytes out of a few letters, as `**`, `*`, `%`, `~` and calls could, or gives a name to
# what was made, as `set` and macros do: what has a name can be doubled line by line.
_NODES = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice),
    *(nodes.If, nodes.For, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Keyword, nodes.Compare, nodes.Operand),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
)
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length"),
    *("list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr"),
    *("sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
)


def _as_text(value: Any) -> Any:
    """What `{{ value }}` puts in: text as it is, anything else as JSON."""
    return value if isinstance(value, str | Undefined) else json.dumps(value, ensure_ascii=False)


def _bounded(make: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose texts end at the longest: one after the other, each makes at most some times of what it gets."""

    @wraps(make)
    def filtered(*arguments: Any, **options: Any) -> Any:
        made = make(*arguments, **options)
        _require_short(len(made) if isinstance(made, str) else 0)
        return made

    return filtered


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    """Jinja's filter, which is asked for its length before it makes a text."""
    parts = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    texts = [str(part) for part in parts]
    _require_short(sum(map(len, texts)) + len(d) * len(texts))
    return d.join(texts)


def _require_short(characters: int) -> None:
    if characters > LONGEST_TEXT:
        raise ValueError(f"its text becomes longer than {LONGEST_TEXT} characters")


_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_as_text)
_environment.globals.clear()
_filters: dict[str, Any] = {name: _bounded(_environment.filters[name]) for name in _FILTERS}
_filters["join"] = _join
_environment.filters = _filters


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
            _check(node)
        undeclared = meta.find_undeclared_variables(tree)
        lines = [(name.name, name.lineno) for name in tree.find_all(nodes.Name) if name.name in undeclared]
        self.names = dict(reversed(lines))
        self._compiled = _environment.from_string(source)

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text with the variables put in.

        Raises:
            InvalidRequest: a variable is of a kind that the template cannot use, or makes the text too long.
        """
        pieces: list[str] = []
        length = 0
        try:
            for piece in self._compiled.generate(variables):
                pieces.append(piece)
                length += len(piece)
                _require_short(length)
        except Exception as error:
            # A template is a small program: whatever fails in it is due to what it was given.
            reason = str(error)[:LONGEST_REASON]
            raise InvalidRequest(
                f"The prompt cannot use these variables: {reason}.", param="prompt.variables"
            ) from None
        return "".join(pieces)


def _check(node: nodes.Node) -> None:
    """Refuse what a prompt needs none of.

    Raises:
        TemplateSyntaxError: it is one of these.
    """
    if not isinstance(node, _NODES):
        raise TemplateSyntaxError(f"a prompt cannot use '{type(node).__name__.lower()}'", node.lineno)
    # A list of variables would give them names again: {% for y in [x + x] %}. Targets of a loop are written as one.
    makes = isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and getattr(node, "ctx", "load") == "load"
    if makes and any(True for _ in node.find_all(nodes.Name)):
        raise TemplateSyntaxError("a prompt cannot make a list of its variables", node.lineno)
