"""Vectors of reports of evaluations: what a suite asks, which numbers follow from what was answered, whole reports.

A report that must be refused is the first valid one with some characters replaced: reports are long.
"""

from collections.abc import Iterator
from os.path import commonprefix
from typing import Any

import msgspec

from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import Report, closing_request, encode_report
from tallynet.protocol.bundle import read_bundle, write_bundle
from tallynet.protocol.job import Sampling
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import encode_request
from tests.audit.examples import DOMAIN, STRANGER
from tests.evaluation.examples import SUITE, EvaluatedNode, anchored, evaluate_small
from tests.protocol.json_form import write

replace: Any = msgspec.structs.replace
FIRST = 1
"""Items of each part that are asked."""
QUESTIONS = list_questions(SUITE, FIRST)


def evaluations() -> dict[str, Any]:
    node = EvaluatedNode()
    report = small(node)
    text = encode_report(report).decode()
    dated = encode_report(anchored(node, report)).decode()
    return {
        "domain": {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)},
        "suite": {"json": msgspec.json.encode(SUITE).decode(), "digest": write(SUITE.digest)},
        "questions": [
            {"part": question.part, "item": question.item, "side": question.side, "task": int(question.task),
             "request": write(encode_request(question.request)), "params": write(question.sampling.digest)}
            for question in QUESTIONS
        ],
        "digest": write(report.evaluation.digest),
        "closing_request": closing_request(report.evaluation.digest).text,
        "valid": [{"file": text, "anchored": False}, {"edit": edit(text, dated), "anchored": True}],
        "invalid": [
            {"edit": edit(text, broken), "error": "invalid-report", "check": check, "reason": reason}
            for broken, check, reason in wrong(report, text)
        ],
    }  # fmt: skip


def small(node: EvaluatedNode | None = None, **options: Any) -> Report:
    return evaluate_small(node or EvaluatedNode(), limit=FIRST, **options)


def edit(text: str, other: str) -> dict[str, Any]:
    """What makes `other` of `text`: from character `at`, `remove` characters give way to `insert`."""
    begin = len(commonprefix([text, other]))
    end = len(commonprefix([text[begin:][::-1], other[begin:][::-1]]))
    return {"at": begin, "remove": len(text) - begin - end, "insert": other[begin : len(other) - end]}


def wrong(report: Report, text: str) -> Iterator[tuple[str, int, str]]:
    evaluation, runs = report.evaluation, report.evaluation.runs
    yield text.replace('"software"', '"hardware"'), 1, "a member has another name"
    yield text.replace('  "closing"', ' "closing"'), 1, "it is indented in another way"
    yield stated(report, chain_id=1), 2, "it is of another chain"
    yield stated(report, suite=replace(SUITE, version="2")), 3, "the suite has another digest"
    yield stated(report, runs=runs[:-1]), 4, "a run is left out"
    yield stated(report, runs=(runs[1], runs[0], *runs[2:])), 4, "runs are out of order"
    yield stated(report, runs=(replace(runs[0], bundle=forged(runs[0].bundle)), *runs[1:])), 5, "an answer is altered"
    yield stated(report, runs=(replace(runs[0], output="0x" + "11" * 32), *runs[1:])), 5, "another output is listed"
    yield stated(report, nodes=("0x" + "22" * 20,)), 5, "other nodes are listed"
    yield instead(0, sampling=Sampling(8, temperature_millionths=1)), 6, "tokens were chosen in another way"
    yield instead(0, client=STRANGER), 6, "a run is another client's"
    yield instead(1, status=Status.DEADLINE), 7, "a run was cut short"
    metric = replace(evaluation.metrics[0], value=evaluation.metrics[0].value - 3)
    yield stated(report, metrics=(metric, *evaluation.metrics[1:])), 8, "a number does not follow"
    yield stated(report, metrics=evaluation.metrics[1:]), 8, "a number is left out"
    yield stated(report, software="better"), 9, "the closing run commits to another evaluation"
    yield encode_report(small(closing_client=STRANGER)).decode(), 9, "the closing run is another client's"
    closed = write_bundle(read_bundle(report.closing).closed())
    yield encode_report(Report(evaluation, closed)).decode(), 9, "the closing run is not open"


def stated(report: Report, **changes: object) -> str:
    """The report with other members and its old closing run."""
    return encode_report(Report(replace(report.evaluation, **changes), report.closing)).decode()


def instead(number: int, **changes: Any) -> str:
    """The report with another run in place of one, its numbers and its closing run made for it."""
    node = EvaluatedNode()
    other = node.answer_question(QUESTIONS[number], **changes)
    return encode_report(small(node, replaced={number: other})).decode()


def forged(bundle: str) -> str:
    read: Any = read_bundle(bundle)
    body = replace(read.opening.chunks[0], text="3")
    opening = type(read.opening)(read.opening.secret, read.opening.request, read.opening.prompt, (body,))
    return write_bundle(type(read)(read.domain, read.node, read.job, read.receipt, opening))
