"""The vectors, run as a program in another language would, from their JSON alone: suites and reports of evaluations."""

from typing import Any

import msgspec
import pytest

from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import closing_request, decode_report
from tallynet.evaluation.report_checks import check_report
from tallynet.evaluation.suite import Suite
from tallynet.protocol import bundle as tally
from tallynet.protocol.errors import InvalidReport
from tallynet.protocol.request import encode_request
from tests.protocol.vector_cases import VECTORS, cases, domain, hexed


def report_of(case: Any) -> str:
    """A report, as it stands in the vectors or as an edit of the first."""
    if "file" in case:
        return str(case["file"])
    text, changed = VECTORS["evaluations.json"]["valid"][0]["file"], case["edit"]
    return str(text[: changed["at"]] + changed["insert"] + text[changed["at"] + changed["remove"] :])


def test_a_suite_asks_what_everybody_asks() -> None:
    file = VECTORS["evaluations.json"]
    suite = msgspec.json.decode(file["suite"]["json"], type=Suite)
    questions = list_questions(suite, decode_report(report_of(file["valid"][0]).encode()).evaluation.limit)

    assert suite.digest == hexed(file["suite"]["digest"])
    for case, question in zip(file["questions"], questions, strict=True):
        assert (question.part, question.item, question.side) == (case["part"], case["item"], case["side"])
        assert encode_request(question.request) == hexed(case["request"])
        assert (int(question.task), question.sampling.digest) == (case["task"], hexed(case["params"]))


@cases("evaluations.json", "valid")
def test_a_report_of_an_evaluation_holds(case: Any) -> None:
    file = VECTORS["evaluations.json"]
    report = decode_report(report_of(case).encode())
    closing, digest = tally.read_bundle(report.closing), report.evaluation.digest

    check_report(report, domain(file["domain"]), lambda _: None)
    assert digest == hexed(file["digest"])
    assert closing_request(digest).text == file["closing_request"]
    assert (closing.inclusion is not None) is case["anchored"]


@cases("evaluations.json", "invalid")
def test_a_report_of_an_evaluation_is_refused(case: Any) -> None:
    with pytest.raises(InvalidReport) as caught:
        check_report(
            decode_report(report_of(case).encode()), domain(VECTORS["evaluations.json"]["domain"]), lambda _: None
        )
    assert (caught.value.code, caught.value.check) == (case["error"], case["check"])
