"""Pull requests in a real Git repository, with scripted models."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from evals.case import Answer, Case
from evals.git_refs import Repository
from evals.pull_request import PullRequest, evaluate
from evals.run import Conditions
from evals.suite import Suite, load_suite
from sluice.errors import ConfigurationError, NotFound
from sluice.promotion import Verdict
from tests.evals import repository
from tests.evals.repository import GOOD, PROMPT, SUITE, capital_suite, with_capital_suite

HARMFUL = GOOD.replace(" The city's name only.", "")
HARMLESS = GOOD.replace("Name", "Please name")


def obedient(name: str, content: bytes) -> Callable[[Case], Answer]:
    """A model that names the city alone only when it is told to; three cases in ten it gets right all the same."""
    told = b"name only" in content

    def answer(case: Case) -> Answer:
        lucky = int(re.sub(r"\D", "", case.id)) % 10 < 3
        return Answer(str(case.expected) if told or lucky else f"It is {case.expected}.")

    return answer


def never(name: str, content: bytes) -> Callable[[Case], Answer]:
    raise AssertionError("nothing was to be run")


def plainly(suite: Suite, subject_id: str) -> Conditions:
    return Conditions()


def judged(
    folder: Path, suite: str | None = None, make: Callable[..., Callable[[Case], Answer]] = obedient
) -> PullRequest:
    return evaluate(Repository(folder), "main", "edit", make, plainly, suite_path=suite)


def edited(folder: Path, content: str | None = None, cases: int = 80) -> repository.Repository:
    made = with_capital_suite(folder, cases)
    made.git("checkout", "--quiet", "-b", "edit")
    if content is not None:
        made.write(PROMPT, content)
        made.commit()
    return made


@pytest.mark.parametrize(("content", "verdict"), [(HARMFUL, Verdict.FAIL), (HARMLESS, Verdict.PASS)])
def test_an_edit_is_judged_by_what_it_does(tmp_path: Path, content: str, verdict: Verdict):
    made = edited(tmp_path, content)
    request = judged(tmp_path)
    assert request.verdict == verdict
    (one,) = request.evaluated
    (comparison,) = one.comparisons
    assert one.change.author == "ada@example.org"
    assert comparison.base == f"prompt:capital@{made.git('rev-parse', f'main:{PROMPT}')}"
    assert comparison.head == f"prompt:capital@{made.git('rev-parse', f'edit:{PROMPT}')}"


def test_no_change_passes_without_a_run(tmp_path: Path):
    made = edited(tmp_path)
    made.write("README.md", "hello")
    made.commit()
    request = judged(tmp_path, make=never)
    assert (request.verdict, request.evaluated) == (Verdict.PASS, ())


def test_what_base_got_meanwhile_is_not_heads_doing(tmp_path: Path):
    made = edited(tmp_path)
    made.commit("Nothing")
    made.git("checkout", "--quiet", "main")
    made.write(PROMPT, HARMFUL)
    made.commit()
    assert judged(tmp_path, make=never).evaluated == ()


def test_a_new_prompt_is_held_against_the_minimum(tmp_path: Path):
    made = edited(tmp_path)
    made.write("prompts/library/new.yaml", GOOD)
    made.write(
        "evals/suites/new.yaml",
        capital_suite().replace("capital\np", "new\np").replace("prompt: capital", "prompt: new"),
    )
    made.commit()
    assert judged(tmp_path).verdict == Verdict.INCONCLUSIVE
    made.write("evals/suites/new.yaml", (tmp_path / "evals/suites/new.yaml").read_text() + "    minimum: 0.9\n")
    made.commit()
    request = judged(tmp_path)
    assert request.verdict == Verdict.PASS
    assert request.evaluated[0].comparisons[0].base is None


def test_a_changed_prompt_that_nothing_evaluates_is_not_known_to_be_harmless(tmp_path: Path):
    made = edited(tmp_path)
    made.write("prompts/library/other.yaml", GOOD)
    made.commit()
    request = judged(tmp_path, make=never)
    assert request.verdict == Verdict.INCONCLUSIVE
    assert request.evaluated[0].note == "no suite evaluates it"


def test_a_removed_prompt_passes(tmp_path: Path):
    made = edited(tmp_path)
    made.remove(PROMPT)
    made.commit()
    request = judged(tmp_path, make=never)
    assert (request.verdict, request.evaluated[0].note) == (Verdict.PASS, "the prompt is removed")


def test_suites_are_heads_and_a_change_of_them_is_told(tmp_path: Path):
    made = edited(tmp_path, HARMFUL)
    made.write(SUITE, capital_suite(margin=0.9))
    made.commit()
    made.write(SUITE, "not committed: [")
    request = judged(tmp_path)
    assert request.verdict == Verdict.PASS
    assert request.evaluated[0].note == f"this pull request also changes what it is judged by: {SUITE}"


def test_what_it_was_judged_by_and_what_vouches_for_a_judge_are_told_too(tmp_path: Path):
    made = with_capital_suite(tmp_path, 80)
    made.write("evals/suites/strict.yaml", capital_suite(margin=0.01))
    judge = "  - {metric: judge, model: m, rubric: r, labels: ../judged.jsonl}\n"
    made.write("app/suite.yaml", f"{capital_suite()}{judge}".replace("capital.jsonl", "../evals/suites/capital.jsonl"))
    made.write("judged.jsonl", "")
    made.commit()
    made.git("checkout", "--quiet", "-b", "edit")
    made.write(PROMPT, HARMLESS)
    made.remove("evals/suites/strict.yaml")
    made.write("judged.agreement.json", "{}")
    made.commit()
    assert judged(tmp_path).evaluated[0].note.endswith("judged by: evals/suites/strict.yaml")
    suite = load_suite("app/suite.yaml", lambda path: Repository(tmp_path).read("edit", path))
    assert suite.files == {"app/suite.yaml", "evals/suites/capital.jsonl", "judged.jsonl", "judged.agreement.json"}


def test_one_suite_can_be_chosen_and_name_a_file_anywhere(tmp_path: Path):
    made = edited(tmp_path, HARMFUL)
    made.write("app/prompt.yaml", GOOD)
    made.write(
        "app/suite.yaml",
        f"{capital_suite()}prompt_file: app/prompt.yaml\n".replace("capital.jsonl", "../evals/suites/capital.jsonl"),
    )
    made.commit()
    assert judged(tmp_path, "app/suite.yaml").evaluated[0].change.path == "app/prompt.yaml"
    with pytest.raises(ConfigurationError, match=r"There is no suite 'nowhere\.yaml' at"):
        judged(tmp_path, "nowhere.yaml")


def test_a_ref_that_does_not_exist_stops_it(tmp_path: Path):
    with_capital_suite(tmp_path)
    with pytest.raises(NotFound, match="There is no ref 'edit'"):
        judged(tmp_path)
