"""docs/packages.md says what each required package does here; this holds it to that."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIRED = set(
    "langgraph llama-index vllm qdrant-client sentence-transformers litellm guardrails-ai ragas fastapi sqlmodel torch ray".split()  # noqa: SIM905
)
ROW = re.compile(r"^\| ([a-z-]+) \| [^|]+ \| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "packages.md").read_text())


def code_of(path: Path) -> str:
    """The file's code, without its docstrings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def test_every_required_package_has_its_row() -> None:
    assert {package for package, _, _ in ROWS} == REQUIRED


@pytest.mark.parametrize(("package", "file", "call"), ROWS)
def test_the_call_is_there(package: str, file: str, call: str) -> None:
    assert call in code_of(ROOT / file), f"{file} uses {package} no longer as docs/packages.md says"
