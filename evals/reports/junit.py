"""JUnit XML as CI servers read it: a test case for each case, and one for each metric that gates.

Only a gate can fail. A single case that got worse is no failure: the verdict is about all of them. What became of it
stands in its output; one that head could not answer or score is skipped, with the reason.
"""

from xml.etree import ElementTree

from evals.compare import Comparison, MetricComparison
from evals.pull_request import PullRequest
from evals.reports import words
from sluice.promotion import Verdict


def junit(request: PullRequest) -> bytes:
    """The whole file."""
    root = ElementTree.Element("testsuites", name="sluice eval")
    for one in request.evaluated:
        for comparison in one.comparisons:
            root.append(suite_element(comparison, one.change.name))
        if not one.comparisons and one.verdict != Verdict.PASS:
            suite = ElementTree.SubElement(root, "testsuite", name=one.change.name)
            case = ElementTree.SubElement(suite, "testcase", classname=one.change.name, name="gate")
            ElementTree.SubElement(case, "error", type=str(one.verdict), message=one.note)
            _count(suite)
    for element in root.iter():  # models, file names and suites hold anything
        element.text = element.text and _clean(element.text)
        element.attrib = {name: _clean(value) for name, value in element.attrib.items()}
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def suite_element(comparison: Comparison, subject: str) -> ElementTree.Element:
    """One suite's results on one subject."""
    suite = ElementTree.Element("testsuite", name=f"{subject}: {comparison.suite}")
    for metric in comparison.metrics:
        _gate(suite, comparison, metric)
    for number in range(comparison.cases):
        _case(suite, comparison, number)
    _count(suite)
    return suite


def _gate(suite: ElementTree.Element, comparison: Comparison, metric: MetricComparison) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=comparison.suite, name=f"gate: {metric.label}")
    summary = (
        f"base {words.share(metric.base_mean)}, head {words.share(metric.head_mean)}, "
        f"difference {words.difference(metric)}, interval {words.interval(metric)}, limit {words.limit(metric)}"
    )
    if not metric.gates:
        ElementTree.SubElement(case, "skipped", message=f"shown only; {metric.note}")
    elif metric.verdict == Verdict.FAIL:
        failure = ElementTree.SubElement(case, "failure", type="fail", message=summary)
        failure.text = "\n".join(f"{pair.case_id}: {pair.head.reason}" for pair in words.regressions(metric, 20))
    elif metric.verdict == Verdict.INCONCLUSIVE:
        ElementTree.SubElement(case, "error", type="inconclusive", message=f"{summary}; {metric.note}")
    ElementTree.SubElement(case, "system-out").text = summary


def _case(suite: ElementTree.Element, comparison: Comparison, number: int) -> None:
    pairs = [(metric.label, metric.pairs[number]) for metric in comparison.metrics]
    case = ElementTree.SubElement(suite, "testcase", classname=comparison.suite, name=pairs[0][1].case_id)
    if unscored := [f"{label}: {pair.head.reason}" for label, pair in pairs if pair.head.value is None]:
        ElementTree.SubElement(case, "skipped", message="not scored: " + "; ".join(unscored))
    lines = [
        f"{label}: {words.share(pair.base and pair.base.value)} → {words.share(pair.head.value)} {pair.head.reason}"
        for label, pair in pairs
    ]
    ElementTree.SubElement(case, "system-out").text = "\n".join(lines)


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "�" for c in text
    )
