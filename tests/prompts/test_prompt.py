"""What a prompt's version is, and what it renders to."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from prompts.prompt import load_prompt, parse_prompt
from sluice.errors import InvalidRequest, NotFound
from sluice.git_blob import blob_hash

GREETING = """\
description: Greets somebody.
model: m
parameters: {temperature: 0, stop: ["."]}
variables:
  name: whom to greet
  mood: how
messages:
  - role: system
    content: Be {{ mood }}.
  - role: user
    content: |
      Greet {{ name }}!
"""


def test_a_file_becomes_a_prompt_named_like_it(tmp_path: Path) -> None:
    (tmp_path / "greeting.yaml").write_text(GREETING)
    prompt = load_prompt(tmp_path / "greeting.yaml")
    assert prompt.reference == f"greeting@{blob_hash(GREETING.encode())}"
    assert (prompt.description, prompt.model) == ("Greets somebody.", "m")
    assert prompt.parameters == {"temperature": 0, "stop": ["."]}
    assert prompt.render({"name": "Ada", "mood": "kind"}) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Greet Ada!"},
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No such file"):
        load_prompt(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    "value",
    [
        "{{ mood }}",
        "{% for x in [1] %}{{ x }}{% endfor %}",
        "{{ 7 * 7 }} {# gone #}",
        "<b>&amp;</b> \\ \" ' \n\n  ",
        "{{ ''.__class__.__mro__ }}",
    ],
)
def test_a_variable_is_data_and_never_a_template(value: str) -> None:
    prompt = parse_prompt("greeting", GREETING.encode())
    system, user = prompt.render({"name": value, "mood": value})
    assert system["content"] == f"Be {value}."
    assert user["content"] == f"Greet {value}!"


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (True, "true"), (None, "null"), (["é", 1], '["é", 1]'), ({"a": [True]}, '{"a": [true]}')],
)
def test_what_is_no_text_goes_in_as_json(value: Any, text: str) -> None:
    [message] = _prompt("{{ x }}").render({"x": value})
    assert message["content"] == text


def test_a_template_may_walk_through_its_variables() -> None:
    prompt = _prompt("{% for d in x %}[{{ loop.index }}] {{ d.title }}{% if not loop.last %}; {% endif %}{% endfor %}")
    [message] = prompt.render({"x": [{"title": "A {{ x }}"}, {"title": "B"}]})
    assert message["content"] == "[1] A {{ x }}; [2] B"


@pytest.mark.parametrize(
    ("variables", "param", "message"),
    [
        ({}, "prompt.variables.name", "Prompt 'greeting' needs the variable 'name' (whom to greet)."),
        ({"name": "a"}, "prompt.variables.mood", "needs the variable 'mood' (how)"),
        (
            {"name": "a", "mood": "b", "nmae": "c"},
            "prompt.variables.nmae",
            "has no variable 'nmae'. It takes: name, mood.",
        ),
    ],
)
def test_missing_and_surplus_variables_are_named(variables: dict[str, str], param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_prompt("greeting", GREETING.encode()).render(variables)
    assert raised.value.param == param
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ x.missing }}", {}),
        ("{{ x + 1 }}", "text"),
        ("{% for y in x %}{{ y }}{% endfor %}", 5),
        ("{{ x / 0 }}", 1),
        ("{{ x.__class__ }}", "a"),
    ],
)
def test_a_variable_that_the_template_cannot_use(template: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="cannot use these variables") as raised:
        _prompt(template).render({"x": value})
    assert raised.value.param == "prompt.variables"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 9 ** 9999999 }}",
        "{{ '%500000000d' % 1 }}",
        "{{ 'x' * 999999999 }}",
        "{{ 'x'.center(999999999) }}",
        "{{ x.append(x) }}",
        "{{ 'x'|center(999999999) }}",
        "{{ ['x']|map('center', 999999999)|first }}",
        "{% set y = x + x %}{% set y = y + y %}{{ y }}",
        "{% macro grow(y) %}{{ grow(y + y) }}{% endmacro %}{{ grow(x) }}",
        "{{ x ~ x }}",
        "{% for y in [x + x] %}{% for z in [y + y] %}{{ z }}{% endfor %}{% endfor %}",
        "{{ 'a' * 9 }}",
        "{{ 'aaaaaaaaaa'" + "|join('bbbbbbbbbb')" * 9 + " }}",
        "{{ x" + "|list|string" * 12 + " }}",
        "{{ x" + "|list|upper" * 12 + " }}",
    ],
)
def test_a_template_that_could_grow_without_end_is_refused(template: str) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot (use|make)|No filter named|becomes longer"):
        _prompt(template).render({"x": "aa"})


def test_lists_of_constants_joins_and_pairs_are_there() -> None:
    prompt = _prompt("{% for k, v in x.pairs %}{{ k }}{{ v|join(' ') if k in ['a', 'b'] }}{% endfor %}|{{ x|length }}")
    [message] = prompt.render({"x": {"pairs": [["a", ["1", "2"]], ["c", []]]}})
    assert message["content"] == "a1 2c|1"


def test_loops_within_loops_end_at_the_longest_text() -> None:
    prompt = _prompt("{% for a in x %}{% for b in x %}{% for c in x %}{{ a }}{% endfor %}{% endfor %}{% endfor %}")
    with pytest.raises(InvalidRequest, match="becomes longer than 4194304 characters"):
        prompt.render({"x": ["a" * 1000] * 1000})


def test_what_cannot_be_used_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidRequest) as raised:
        _prompt("{{ {}[x] }}").render({"x": "y" * 100_000})
    assert len(str(raised.value)) < 300


def test_ten_thousand_surplus_variables_make_a_short_error() -> None:
    variables = {"name": "a", "mood": "b"} | {f"{number}{'x' * 1000}": "y" for number in range(10_000)}
    with pytest.raises(InvalidRequest) as raised:
        parse_prompt("greeting", GREETING.encode()).render(variables)
    assert len(str(raised.value)) + len(str(raised.value.param)) < 500


def test_a_prompt_of_ten_thousand_variables() -> None:
    names = [f"v{number}" for number in range(10_000)]
    lines = "".join(f"  {name}: one\n" for name in names)
    body = "".join(f"{{{{ {name} }}}}" for name in names)
    content = f"description: d\nvariables:\n{lines}messages:\n  - role: user\n    content: '{body}'\n"
    prompt = parse_prompt("wide", content.encode())
    tracemalloc.start()
    [message] = prompt.render(dict.fromkeys(names, "ab"))
    assert message["content"] == "ab" * 10_000
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def _prompt(template: str) -> Any:
    content = f"description: d\nvariables: {{x: one}}\nmessages:\n  - role: user\n    content: {template!r}\n"
    return parse_prompt("one", content.encode())
