"""YAML as people write it by hand: no key twice, and nothing that grows without end."""

from collections.abc import Iterator
from typing import Any

import yaml

MOST_VALUES = 100_000
"""What a file may stand for; a few lines of aliases of aliases stand for billions."""


class NotYaml(Exception):
    """What is wrong with a file's content; whoever reads it names the file.

    Attributes:
        line: counted from 1.
    """

    def __init__(self, line: int, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.line, self.what, self.fix = line, what, fix


def read_yaml(content: bytes) -> tuple[yaml.Node | None, Any]:
    """The tree, which knows where everything stands, and the values; no node for an empty file.

    Raises:
        NotYaml: it is not UTF-8, malformed, too large, nested too deeply, or has a key twice.
    """
    try:
        text = content.decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _check(root)
        return root, yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise NotYaml(content.count(b"\n", 0, error.start) + 1, "not UTF-8.") from None
    # A date such as 2026-99-99 is a ValueError; others come of !!bool, !!int and !!timestamp before what is none.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise NotYaml(mark.line + 1 if mark else 1, f"not valid YAML: {problem}.") from None
    except RecursionError:
        raise NotYaml(1, "nested too deeply, or within itself.") from None


def check_size(root: yaml.Node) -> None:
    """Refuse a tree that stands for more than can be meant.

    Raises:
        NotYaml: it does.
        RecursionError: it is within itself.
    """
    for number, _ in enumerate(_nodes(root)):
        if number == MOST_VALUES:
            raise NotYaml(1, f"stands for more than {MOST_VALUES} values.", "Write less of it, or use fewer aliases.")


def _check(root: yaml.Node) -> None:
    check_size(root)
    for node in _nodes(root):
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                # YAML would take the last of two equal keys and say nothing.
                if key.value in seen:
                    raise NotYaml(key.start_mark.line + 1, f"'{key.value}' is given twice.", "Keep one.")
                seen.add(key.value)


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """Each as often as it is stood for."""
    yield node
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _nodes(value)
