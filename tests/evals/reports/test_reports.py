"""What the reports say, and that what models write in them stays text."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from evals.case import Score
from evals.compare import Comparison, compare
from evals.pull_request import Change, Evaluated, PullRequest
from evals.reports import words
from evals.reports.junit import junit
from evals.reports.markdown import MARK, comment
from evals.reports.terminal import show_pull_request
from evals.run import run_suite
from evals.statistics import Interval
from tests.evals.builders import EXACT, make_suite, wrong_on

SHOWN = {"metric": "token_f1", "name": "f1", "gate": False}


def comparison(folder: Path, wrong: int, cases: int = 100) -> Comparison:
    suite = make_suite(folder, cases, metrics=[EXACT, SHOWN])
    base = run_suite(suite, wrong_on(set()), subject_id="prompt:capital@a")
    head = run_suite(suite, wrong_on({f"c{number:03}" for number in range(wrong)}), subject_id="prompt:capital@b")
    return compare(base, head, suite)


def request(*comparisons: Comparison, note: str = "") -> PullRequest:
    change = Change("capital", "prompts/library/capital.yaml", b"a", b"b", "ada")
    return PullRequest("a" * 40, "b" * 40, (Evaluated(change, comparisons, note),), "sluice eval pr --base a --head b")


def test_the_comment_begins_with_the_verdict_and_shows_what_it_rests_on(tmp_path: Path):
    text = comment(request(comparison(tmp_path, wrong=30), note="this pull request changes the suite too: capital"))
    assert text.startswith(f"{MARK}\n## ❌ fail\n")
    row = next(line for line in text.splitlines() if line.startswith("| exact"))
    assert row.startswith("| exact\\_match | 1.000 | 0.700 | −0.300 | \\[−0.")
    assert row.endswith("| −0.05 | fail |")
    assert "| f1 |" in text
    assert "(fail, shown only)" in text
    assert text.count("case `c0") == 10  # the five worst of each metric
    assert "changes the suite too" in text
    assert "sluice eval pr --base a --head b" in text


def test_a_comment_about_nothing_says_so():
    text = comment(PullRequest("a" * 40, "b" * 40, ()))
    assert "✅ pass" in text
    assert "No prompt differs between `aaaaaaaaaaaa` and `bbbbbbbbbbbb`: nothing was run." in text


def test_what_a_judge_writes_is_no_markup(tmp_path: Path):
    found = comparison(tmp_path, wrong=1)
    evil = "| <img src=x> `code` @everyone\n# heading"
    pair = replace(found.metrics[0].pairs[0], head=Score(0.0, evil))
    metric = replace(found.metrics[0], pairs=(pair, *found.metrics[0].pairs[1:]))
    text = comment(request(replace(found, metrics=(metric,))))
    assert "<img" not in text
    assert "@everyone" not in text
    assert "\n# heading" not in text


def test_names_that_a_pull_request_brings_are_no_markup_and_break_no_report(tmp_path: Path):
    evil = "x`\n## ✅ pass\n[/b] \x1b\udcff <img> @all"
    found = comparison(tmp_path, wrong=30)
    metric = replace(found.metrics[0], label=evil)
    change = Change(evil, f"prompts/library/{evil}.yaml", b"a", b"b", "ada")
    judged = PullRequest("a" * 40, "b" * 40, (Evaluated(change, (replace(found, metrics=(metric,)),), evil),))
    text = comment(judged)
    assert text.encode().decode() == text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## ❌ fail",
        "### Prompt `xˋ ## ✅ pass [/b] \x1b? <img> @all`: fail",
    ]
    assert len(ElementTree.fromstring(junit(judged)).findall("testsuite/testcase")) == 101
    console = Console(width=400, record=True, file=(tmp_path / "out").open("w", errors="replace"))
    show_pull_request(console, judged)
    assert console.export_text().count("[/b]") >= 4


def test_junit_fails_by_gate_only_and_names_every_case(tmp_path: Path):
    root = ElementTree.fromstring(junit(request(comparison(tmp_path, wrong=30))))
    (suite,) = root.findall("testsuite")
    assert root.tag == "testsuites"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "102",
        "1",
        "0",
        "1",
    )
    gate = suite.find("testcase[@name='gate: exact_match']/failure")
    assert gate is not None
    assert "difference −0.300" in str(gate.get("message"))
    assert str(gate.text).startswith("c000")
    assert {f"c{number:03}" for number in range(100)} <= {str(case.get("name")) for case in suite}


def test_junit_tells_inconclusive_from_fail(tmp_path: Path):
    root = ElementTree.fromstring(junit(request(comparison(tmp_path, wrong=0, cases=12))))
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert error.get("type") == "inconclusive"
    nothing = ElementTree.fromstring(junit(request(note="no suite evaluates it")))
    assert nothing.find("testsuite/testcase/error[@message='no suite evaluates it']") is not None


def test_junit_stays_xml_whatever_a_model_writes(tmp_path: Path):
    found = comparison(tmp_path, wrong=30)
    pairs = tuple(replace(pair, head=Score(None, "\x00\x1b[31m <&> \ud800")) for pair in found.metrics[0].pairs)
    root = ElementTree.fromstring(junit(request(replace(found, metrics=(replace(found.metrics[0], pairs=pairs),)))))
    assert len(root.findall("testsuite/testcase/skipped")) == 100


def test_the_terminal_shows_verdict_metrics_and_worst_cases(tmp_path: Path):
    console = Console(width=160, record=True, file=(tmp_path / "out").open("w"))
    show_pull_request(console, request(comparison(tmp_path, wrong=30)))
    text = console.export_text()
    assert "exact_match" in text
    assert "c000: 1.000 → 0.000" in text
    assert text.rstrip().endswith("Verdict: fail")


@pytest.mark.parametrize(
    ("interval", "margin"),
    [((-0.3, -0.4, -0.2), 0.05), ((0.0, 0.0, 0.0), 0.05), ((0.0, -0.01, 0.01), 0.0), ((1.0, 1.0, 1.0), 1.0)],
)
def test_the_plot_holds_its_marks_and_its_width(interval: tuple[float, float, float], margin: float):
    text = words.plot(Interval(*interval, confidence=0.95, n=10), margin)
    assert len(text) == words.PLOT_WIDTH
    assert text.count("●") == 1


def test_the_plot_is_to_scale():
    text = words.plot(Interval(-0.2, -0.4, -0.1, 0.95, 10), 0.05)
    assert text.index("├") < text.index("●") < text.index("┤") < text.index("┊") < text.index("│")
