"""A run asks every case once, keeps what it was answered, and tells a case's failure from its own."""

import threading
import time
from pathlib import Path

import pytest

from evals.case import Answer, Case
from evals.run import Conditions, run_suite
from sluice.errors import InvalidRequest, UpstreamFailed, UpstreamRefused
from tests.evals.builders import make_suite, wrong_on


class Counting:
    """A subject that counts what it is asked, and may stop the run at one case."""

    def __init__(self, stop_at: str = "", error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.stop_at, self.error = stop_at, error

    def __call__(self, case: Case) -> Answer:
        self.asked.append(case.id)
        if case.id == self.stop_at and self.error:
            raise self.error
        return Answer(str(case.expected))


def test_results_come_in_the_order_of_the_cases(tmp_path: Path):
    run = run_suite(make_suite(tmp_path, 30), wrong_on({"c003"}))
    assert [result.case.id for result in run.results] == [f"c{number:03}" for number in range(30)]
    assert [result.case.id for result in run.results if result.scores["exact_match"].value == 0] == ["c003"]


def test_a_repeated_run_asks_nothing_and_a_stopped_one_only_the_rest(tmp_path: Path):
    suite = make_suite(tmp_path, 10)
    conditions = Conditions(folder=tmp_path / "kept", concurrency=1)
    stopped = Counting("c006", UpstreamFailed("gone"))
    with pytest.raises(UpstreamFailed):
        run_suite(suite, stopped, subject_id="prompt:a@1", conditions=conditions)
    rest = Counting()
    first = run_suite(suite, rest, subject_id="prompt:a@1", conditions=conditions)
    assert "c006" in rest.asked
    assert sorted([*stopped.asked, *rest.asked]) == sorted([*(case.id for case in suite.cases), "c006"])
    again = Counting()
    assert run_suite(suite, again, subject_id="prompt:a@1", conditions=conditions) == first
    assert again.asked == []


@pytest.mark.parametrize("subject_id", ["prompt:a@2", ""])
def test_nothing_is_taken_over_from_another_subject_or_for_one_that_can_change(tmp_path: Path, subject_id: str):
    suite = make_suite(tmp_path, 5)
    conditions = Conditions(folder=tmp_path / "kept")
    run_suite(suite, Counting(), subject_id="prompt:a@1" if subject_id else "", conditions=conditions)
    asked = Counting()
    run_suite(suite, asked, subject_id=subject_id, conditions=conditions)
    assert len(asked.asked) == 5


def test_a_damaged_file_is_asked_again_and_fresh_replaces_what_is_kept(tmp_path: Path):
    suite = make_suite(tmp_path, 4)
    run_suite(suite, Counting(), subject_id="prompt:a@1", conditions=Conditions(folder=tmp_path / "kept"))
    for file in (tmp_path / "kept").rglob("*.json"):
        file.write_bytes(file.read_bytes()[:-4])
    again = Counting()
    run_suite(suite, again, subject_id="prompt:a@1", conditions=Conditions(folder=tmp_path / "kept"))
    assert len(again.asked) == 4
    fresh = Conditions(folder=tmp_path / "kept", fresh=True)
    run_suite(suite, wrong_on({"c001"}), subject_id="prompt:a@1", conditions=fresh)
    kept = run_suite(suite, Counting(), subject_id="prompt:a@1", conditions=Conditions(folder=tmp_path / "kept"))
    assert kept.results[1].scores["exact_match"].value == 0


def test_a_refusal_of_one_case_leaves_it_unscored_and_is_tried_again(tmp_path: Path):
    suite = make_suite(tmp_path, 5)
    conditions = Conditions(folder=tmp_path / "kept")
    refusing = Counting("c002", UpstreamRefused("The prompt is too long.", status=400))
    run = run_suite(suite, refusing, subject_id="prompt:a@1", conditions=conditions)
    score = run.results[2].scores["exact_match"]
    assert (score.value, score.reason) == (None, "no answer: The prompt is too long.")
    asked = Counting()
    run_suite(suite, asked, subject_id="prompt:a@1", conditions=conditions)
    assert asked.asked == ["c002"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_what_says_nothing_about_the_subject_stops_the_run(tmp_path: Path, status: int):
    with pytest.raises(UpstreamRefused):
        run_suite(make_suite(tmp_path, 5), Counting("c002", UpstreamRefused("no", status=status)))


def test_a_case_that_does_not_fit_the_subject_is_named(tmp_path: Path):
    missing = InvalidRequest("Prompt 'capital' needs the variable 'tone'.")
    with pytest.raises(InvalidRequest, match="Case 'c002': Prompt 'capital' needs the variable 'tone'"):
        run_suite(make_suite(tmp_path, 5), Counting("c002", missing))


def test_no_more_cases_are_in_progress_than_allowed(tmp_path: Path):
    running, most, lock = 0, 0, threading.Lock()
    three = threading.Barrier(3)

    def subject(case: Case) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        three.wait(60)  # so many are in progress, and a fourth has time to begin
        time.sleep(0.005)
        with lock:
            running -= 1
        return Answer(str(case.expected))

    done: list[tuple[int, int]] = []
    told = Conditions(concurrency=3, progress=lambda *state: done.append(state))
    run_suite(make_suite(tmp_path, 12), subject, conditions=told)
    assert most == 3
    assert done == [(number, 12) for number in range(1, 13)]


def test_repeats_ask_with_different_seeds_and_average(tmp_path: Path):
    seeds: set[int] = set()

    def subject(case: Case) -> Answer:
        seeds.add(case.parameters["seed"])
        return Answer(str(case.expected) if case.parameters["seed"] == 5 else "wrong")

    run = run_suite(make_suite(tmp_path, 2, repeats=4, seed=5), subject)
    assert seeds == {5, 6, 7, 8}
    assert [result.scores["exact_match"].value for result in run.results] == [0.25, 0.25]


def test_one_unscored_repeat_leaves_the_case_unscored(tmp_path: Path):
    def subject(case: Case) -> Answer:
        if case.parameters["seed"] == 1:
            raise UpstreamRefused("too long", status=413)
        return Answer(str(case.expected))

    run = run_suite(make_suite(tmp_path, 2, repeats=3), subject)
    assert [result.scores["exact_match"].value for result in run.results] == [None, None]
