"""Files that are no prompts, and the sentence that says why and where."""

from pathlib import Path

import pytest

from prompts.prompt import load_prompt, parse_prompt
from sluice.errors import InvalidRequest

HEAD = "description: d\nvariables:\n  a: an a\nmessages:\n  - role: user\n    content: "
GOOD = HEAD + "'{{ a }}'\n"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "expected keys such as"),
        ("- a", 1, "expected keys such as"),
        ("description: [1\nx: 2", 2, "not valid YAML: expected ',' or ']'"),
        ("description: d\n\tx: 1", 2, "not valid YAML"),
        (b"description: d\n\nx: \xff", 3, "not UTF-8"),
        ("description: d\x00", 1, "not valid YAML: unacceptable character"),
        ("description: !!python/object:os.system d", 1, "not valid YAML: could not determine a constructor"),
        ("description: d\nparameters: &a\n  x: *a\n" + GOOD[15:], 1, "nested too deeply, or within itself"),
        ("description: " + "[" * 5000, 1, "nested too deeply"),
        ("description: d\ndescription: e", 2, "'description' is given twice"),
        (GOOD + "    content: again\n", 7, "'content' is given twice"),
        ("description: d\nmessage: []", 2, "message: unknown key. Known keys: description, model, parameters"),
        (GOOD + "    name: x\n", 7, "messages.0.name: unknown key. Known keys: role, content."),
        ("description: d\n", 1, "messages: is required"),
        ("description: d\nmessages: []", 2, "messages: list should have at least 1 item"),
        ("description: ''\n" + GOOD[15:], 1, "description: string should have at least 1 character"),
        (GOOD.replace("role: user", "role: robot"), 5, "messages.0.role: input should be 'system', 'developer'"),
        (HEAD + "5", 6, "messages.0.content: input should be a valid string"),
        (GOOD.replace("  a: an a", "  a b: x"), 3, "variables.a b: string should match pattern"),
        (GOOD.replace("  a: an a", "  - a"), 3, "variables: input should be a valid dictionary"),
        (GOOD + "parameters:\n  stream: true", 8, "parameters: 'stream' is the request's own"),
        (GOOD + "parameters: {at: 2026-01-01}", 7, "parameters: expected what JSON can hold"),
        (GOOD + "parameters: {t: .nan}", 7, "parameters: expected what JSON can hold"),
        (HEAD + "'{{ b }}'", 6, "'b' is used, but not declared under 'variables'. Declared are: a."),
        (HEAD + "|\n      one\n      {{ a }}\n      {{ c }}", 9, "'c' is used, but not declared"),
        (HEAD + "'{% for x in b %}{{ x }}{% endfor %}'", 6, "'b' is used"),
        (HEAD + "'{{ range(3) }}'", 6, "cannot use 'call'"),
        (HEAD + "'{{ lipsum() }}'", 6, "cannot use 'call'"),
        (HEAD + "|\n      one\n      {{ a", 8, "unexpected end of template"),
        (HEAD + "'{% if a %}'", 6, "Unexpected end of template"),
        (HEAD + "'{{ a|nope }}'", 6, "No filter named 'nope'"),
        (HEAD + "'{{ a|random }}'", 6, "No filter named 'random'"),
        (HEAD + "\"{% include 'x' %}\"", 6, "a prompt cannot include another file"),
        (HEAD + "'{% extends a %}'", 6, "a prompt cannot include another file"),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, content: str | bytes, line: int, message: str) -> None:
    path = tmp_path / "one.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidRequest) as raised:
        load_prompt(path)
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("name", ["", "a b", "../a", "a@b", "ä", ".hidden", "x" * 200, "a\n"])
def test_a_name_that_no_header_or_id_could_hold(name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be named"):
        parse_prompt(name, GOOD.encode())


def test_a_variable_may_be_declared_and_not_used() -> None:
    assert parse_prompt("one", (HEAD + "hello").encode()).render({"a": 1}) == [{"role": "user", "content": "hello"}]
