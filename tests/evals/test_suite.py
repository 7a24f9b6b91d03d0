"""A suite's mistakes are one sentence that names the file and the key."""

from pathlib import Path
from typing import Any

import pytest

from evals.suite import load_suite
from sluice.errors import ConfigurationError
from tests.evals.builders import EXACT, make_suite, write_suite


def test_a_suite_is_read_with_its_cases(tmp_path: Path):
    suite = make_suite(tmp_path, 3, prompt="capital", model="smollm2", parameters={"temperature": 0})
    assert [case.id for case in suite.cases] == ["c000", "c001", "c002"]
    assert suite.cases[1].variables == {"country": "country 1"}
    assert (suite.cases[1].model, suite.cases[1].parameters) == ("smollm2", {"temperature": 0})
    assert suite.prompt_path == "prompts/library/capital.yaml"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metrcs": []}, "metrcs: unknown key. Known keys: name, prompt,"),
        (
            {"metrics": [{"metric": "exact_match", "margn": 0.1}]},
            "metrics.0.margn: unknown key. Known keys: name, margin",
        ),
        ({"metrics": [{"metric": "bleu"}]}, "metrics.0.metric: expected one of exact_match, token_f1, json_schema"),
        ({"metrics": [{"margin": 0.1}]}, "metrics.0.metric: expected one of"),
        ({"metrics": [{"metric": "judge", "model": "m"}]}, "metrics.0.rubric: is required"),
        ({"metrics": []}, "metrics: "),
        ({"metrics": [EXACT, EXACT]}, "'exact_match' stands there twice"),
        ({"metrics": [{"metric": "exact_match", "margin": -0.1}]}, "metrics.0.margin: "),
        ({"metrics": [{"metric": "json_schema", "schema": {"type": "text"}}]}, "metrics.0.schema: no JSON Schema"),
        ({"confidence": 95}, "confidence: "),
        ({"prompt": "a", "ask": "docs"}, "expected one of the two"),
        ({"parameters": {"seed": 1}}, "parameters.seed: the suite's own 'seed'"),
        (
            {"metrics": [{"metric": "judge", "model": "m", "rubric": "r", "labels": "nowhere.jsonl"}]},
            "metrics: judge: labels: there is no file '",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, keys: dict[str, Any], message: str):
    path = write_suite(tmp_path, **keys)
    with pytest.raises(ConfigurationError) as raised:
        load_suite(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            '{"id": "a", "variables": {}, "expected": "x"}\n{"id": "a", "variables": {}, "expected": "x"}',
            "line 2: the id 'a'",
        ),
        ('{"id": "a", "variables": {}}', "line 1: case 'a' has no 'expected', which exact_match needs"),
        ('{"id": "a"}', "line 1: Object missing required field `variables`"),
        ('{"id": "a", "variables": {}, "expcted": 1}', "line 1: Object contains unknown field `expcted`"),
        ('\n{"id": ', "line 2: not JSON"),
        ('{"id": "a", "variables": {"x": ' + "[" * 100_000, "line 1: not JSON"),
        ("\n", "holds no cases"),
    ],
)
def test_a_wrong_case_is_named_with_its_line(tmp_path: Path, lines: str, message: str):
    path = write_suite(tmp_path)
    (tmp_path / "cases.jsonl").write_text(lines)
    with pytest.raises(ConfigurationError) as raised:
        load_suite(str(path))
    assert f"{tmp_path}/cases.jsonl" in str(raised.value)
    assert message in str(raised.value)


def test_ask_needs_a_question(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="lacks the variable 'question'"):
        make_suite(tmp_path, [{"id": "a", "variables": {}, "expected": "x"}], ask="docs")


def test_missing_cases_are_named_with_the_suite(tmp_path: Path):
    path = write_suite(tmp_path)
    (tmp_path / "cases.jsonl").unlink()
    with pytest.raises(ConfigurationError) as raised:
        load_suite(str(path))
    assert str(raised.value) == f"{path}: cases: there is no file '{tmp_path}/cases.jsonl'."


@pytest.mark.parametrize("content", ["name: [", "- a list", ""])
def test_what_is_no_suite_is_refused(tmp_path: Path, content: str):
    (tmp_path / "suite.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"suite\.yaml"):
        load_suite(str(tmp_path / "suite.yaml"))
    with pytest.raises(ConfigurationError, match="There is no suite"):
        load_suite(str(tmp_path / "other.yaml"))


def test_the_hash_pins_cases_and_how_they_are_asked_and_nothing_else(tmp_path: Path):
    first = make_suite(tmp_path / "a", 5).data_hash
    assert make_suite(tmp_path / "b", 5, metrics=[EXACT | {"margin": 0.2}]).data_hash == first
    assert make_suite(tmp_path / "c", 6).data_hash != first
    assert make_suite(tmp_path / "d", 5, model="other").data_hash != first
    assert make_suite(tmp_path / "e", 5, repeats=2).data_hash != first


def test_the_suites_of_this_repository_can_be_read():
    for path in sorted((Path(__file__).parents[2] / "evals" / "suites").glob("*.yaml")):
        suite = load_suite(str(path))
        assert suite.name == path.stem
        assert len(suite.cases) >= 75, "with fewer, not even an edit without any effect could pass"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: a\nname: b\n", "line 2: 'name' is given twice."),
        (
            "name: a\nmetrics:\n- metric: exact_match\n  margin: 0.05\n  margin: 0.9\n",
            "line 5: 'margin' is given twice",
        ),
        ("name: [\n", "line 2: not valid YAML"),
        ("name: " + "[" * 5_000, "line 1: nested too deeply"),
    ],
)
def test_malformed_yaml_is_named_with_its_line(tmp_path: Path, content: str, message: str):
    path = tmp_path / "suite.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        load_suite(str(path))
    assert str(raised.value).startswith(f"{path}, {message}")
