"""What a file of YAML may hold; the messages about one stand in the tests of what reads it."""

import pytest

from sluice.strict_yaml import NotYaml, read_yaml


def bomb(levels: int) -> bytes:
    """Ten to the power of `levels` values, in as many lines."""
    lines = ["v0: &v0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"v{n}: &v{n} [{', '.join([f'*v{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


def test_a_few_lines_that_stand_for_billions_of_values_are_refused_at_once() -> None:
    with pytest.raises(NotYaml, match="stands for more than 100000 values"):
        read_yaml(bomb(10))


def test_an_alias_is_no_mistake() -> None:
    root, data = read_yaml(b"a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}\n")
    assert root is not None
    assert data == {"a": [1, 2], "b": [1, 2], "c": {"d": 1}}


def test_a_key_that_is_no_text_is_refused_and_not_written_out() -> None:
    with pytest.raises(NotYaml, match="not valid YAML: found unhashable key"):
        read_yaml(bomb(4) + b"\n? *v3\n: x")


def test_an_empty_file_has_no_tree() -> None:
    assert read_yaml(b"") == (None, None)


@pytest.mark.parametrize("value", [b"!!bool x", b"!!int ''", b"!!timestamp x"])
def test_a_value_that_is_not_what_its_tag_says_is_refused(value: bytes) -> None:
    with pytest.raises(NotYaml, match="not valid YAML"):
        read_yaml(b"a: " + value)


def test_a_date_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(NotYaml, match="not valid YAML: month must be in"):
        read_yaml(b"a: 2026-99-99")
