"""A report holds, and whatever is changed in it is named by its check and its question."""

import re
from dataclasses import replace as changed_copy
from typing import Any

import msgspec
import pytest

from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import MAGIC, Evaluation, Report, decode_report, encode_report
from tallynet.evaluation.report_checks import check_report
from tallynet.protocol.bundle import Bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_checks import CheckResult
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReport
from tallynet.protocol.job import Sampling
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address
from tests.audit.examples import CLIENT, DOMAIN, STRANGER
from tests.evaluation.examples import SUITE, EvaluatedNode, anchored, evaluate_small, run_of, score_of

replace: Any = msgspec.structs.replace
QUESTIONS = list_questions(SUITE, 0)


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate_small(EvaluatedNode())


def check(report: Report, domain: Domain | None = DOMAIN) -> list[CheckResult]:
    heard: list[CheckResult] = []
    check_report(decode_report(encode_report(report)), domain, heard.append)
    return heard


def refused(report: Report, domain: Domain | None = DOMAIN) -> InvalidReport:
    with pytest.raises(InvalidReport) as refusal:
        check(report, domain)
    return refusal.value


def changed(report: Report, **changes: object) -> Report:
    """The file with other members, written anew, with its old closing run."""
    return Report(replace(report.evaluation, **changes), report.closing)


def with_run(report: Report, number: int, **changes: object) -> Report:
    runs = list(report.evaluation.runs)
    runs[number] = replace(runs[number], **changes)
    return changed(report, runs=tuple(runs))


def test_a_report_holds_and_is_read_as_it_was_written(report: Report) -> None:
    results = check(report)

    assert decode_report(encode_report(report)) == report
    assert encode_report(report).startswith(MAGIC)
    assert [(result.number, result.state) for result in results] == [(number, "ok") for number in range(2, 10)]


def test_a_report_of_the_first_items_holds() -> None:
    assert "1 items a part" in check(evaluate_small(EvaluatedNode(), limit=1))[2].detail


def test_without_a_network_its_own_word_on_the_chain_is_taken(report: Report) -> None:
    assert check(report, None)[0].state == "skipped"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data.replace(b'  "closing"', b' "closing"'),
        lambda data: data.replace(b'"software"', b'"hardware"'),
        lambda data: data.replace(b"tallynet-evaluation@v1", b"tallynet-evaluation@v9"),
        lambda data: b"[" * 100_000,
        lambda data: data + b"\xff",
    ],
    ids=["empty", "cut", "indented", "renamed", "version", "deep", "bytes"],
)
def test_a_file_that_is_no_report_is_refused(damage: Any, report: Report) -> None:
    with pytest.raises(InvalidReport) as refusal:
        decode_report(damage(encode_report(report)))

    assert refusal.value.check == 1


def test_no_byte_of_a_report_can_be_changed_unseen() -> None:
    node = EvaluatedNode()
    data = encode_report(anchored(node, evaluate_small(node, limit=1)))
    for at in range(0, len(data), 211):
        for bit in (1, 32):
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            with pytest.raises(InvalidReport):
                check_report(decode_report(changed), None, lambda _: None)


def test_another_network_s_report_is_refused(report: Report) -> None:
    assert refused(report, Domain(1, Address(bytes(20)))).check == 2


def test_a_changed_suite_is_refused(report: Report) -> None:
    suite = replace(SUITE, version="2")

    assert refused(changed(report, suite=suite)).check == 3
    assert refused(changed(report, suite=replace(SUITE, parts=SUITE.parts[:1] * 2))).check == 3


def test_a_changed_reference_is_refused_though_the_digest_is_changed_with_it(report: Report) -> None:
    suite = _with_answer(2, "5")

    error = refused(changed(report, suite=suite, suite_digest="0x" + suite.digest.hex()))

    assert error.check == 8
    assert error.message.startswith("sums exact-match: the report says 0.666667")


def test_a_changed_prompt_is_refused_though_the_digest_is_changed_with_it(report: Report) -> None:
    first, *others = SUITE.parts
    items: Any = first.items
    suite = replace(SUITE, parts=(replace(first, items=(replace(items[0], prompt="0 + 2 = ?"), *items[1:])), *others))

    error = refused(changed(report, suite=suite, suite_digest="0x" + suite.digest.hex()))

    assert (error.check, error.message) == (6, "sums 1: it asks something else than the suite")


def test_a_run_that_is_left_out_or_out_of_order_is_named(report: Report) -> None:
    runs = report.evaluation.runs

    assert refused(changed(report, runs=runs[:-1])).check == 4
    assert refused(changed(report, runs=(*runs, runs[-1]))).check == 4
    error = refused(changed(report, runs=(runs[1], runs[0], *runs[2:])))
    assert (error.check, error.message) == (4, "where sums 1 should stand, there is a run of sums 2")


def test_a_changed_output_is_named(report: Report) -> None:
    """The answer to a wrong sum is put right, and the bundle written anew."""
    bundle = read_bundle(report.evaluation.runs[2].bundle)
    opening: Any = bundle.opening
    body = replace(opening.chunks[0], text="4")
    forged = _with_chunks(bundle, (body,))

    error = refused(with_run(report, 2, bundle=write_bundle(forged)))

    assert error.check == 5
    assert re.match(r"sums 3: \(7\) the leaf commits to output", error.message)


def test_a_changed_logprob_is_named(report: Report) -> None:
    bundle = read_bundle(report.evaluation.runs[5].bundle)
    forged = _with_chunks(bundle, score_of("Once upon a time.", -0.25))

    error = refused(with_run(report, 5, bundle=write_bundle(forged)))

    assert error.check == 5
    assert re.match(r"texts 1: \(6\) the leaf commits to trace", error.message)


def test_a_changed_byte_of_a_run_is_named(report: Report) -> None:
    text = report.evaluation.runs[3].bundle
    at = text.index("secret ") + 10

    error = refused(with_run(report, 3, bundle=text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]))

    assert error.check == 5 and error.message.startswith("words 1: ")


@pytest.mark.parametrize("name", ["job", "output"])
def test_a_run_under_another_name_is_refused(name: str, report: Report) -> None:
    error = refused(with_run(report, 0, **{name: "0x" + "11" * 32}))

    assert error.check == 5 and error.message.startswith("sums 1: it is listed with job and output")


def test_a_run_that_is_not_open_or_has_an_anchor_is_refused(report: Report) -> None:
    node = EvaluatedNode()
    bundle = node.answer_question(QUESTIONS[0])

    assert "does not open" in refused(with_run(report, 0, bundle=write_bundle(bundle.closed()))).message
    assert "has an anchor" in refused(with_run(report, 0, bundle=write_bundle(node.anchored(bundle)))).message


def test_one_job_for_two_questions_is_refused() -> None:
    node = EvaluatedNode()
    bundle = node.answer_question(QUESTIONS[0])

    error = refused(evaluate_small(node, replaced={0: bundle, 1: bundle}))

    assert error.check == 5 and "one job stands for two questions" in error.message


def test_other_nodes_than_those_that_answered_are_refused(report: Report) -> None:
    assert refused(changed(report, nodes=("0x" + "22" * 20,))).check == 5


def test_a_run_of_another_question_client_or_model_is_named() -> None:
    asked = QUESTIONS[0]
    cases: dict[str, dict[str, Any]] = {
        "it asks something else than the suite": {"request": Request(text="1 + 1 = ?")},
        "its sampling is": {"sampling": Sampling(8, temperature_millionths=1)},
        "its client is": {"client": STRANGER},
    }
    for words, changes in cases.items():
        node = EvaluatedNode()
        other = node.answer_question(asked, **changes)

        error = refused(evaluate_small(node, replaced={0: other}))

        assert error.check == 6 and error.message.startswith(f"sums 1: {words}")
    error = refused(evaluate_small(EvaluatedNode(), change=lambda done: replace(done, model="0x" + "56" * 32)))
    assert error.check == 6 and error.message.startswith("sums 1: its model is 0x5555")


def test_a_run_that_was_cut_short_is_named() -> None:
    node = EvaluatedNode()
    cut = node.answer_question(QUESTIONS[3], status=Status.DEADLINE)

    error = refused(evaluate_small(node, replaced={3: cut}))

    assert (error.check, error.message) == (7, "words 1: the node ended it with deadline")


def test_a_score_that_is_none_is_named(report: Report) -> None:
    node = EvaluatedNode()
    chunks = (ChunkBody((1,), "nce upon", (-0.5,), b"\0"),)
    none = node.answer_question(QUESTIONS[5], chunks=chunks)

    error = refused(changed(report, runs=_with(report, 5, none), nodes=report.evaluation.nodes))

    assert error.check == 8 and error.message.startswith("texts 1: (2) ")


@pytest.mark.parametrize("name", ["value", "low", "high", "items"])
@pytest.mark.parametrize("number", range(7))
def test_a_changed_number_is_named(number: int, name: str, report: Report) -> None:
    metrics = list(report.evaluation.metrics)
    metrics[number] = replace(metrics[number], **{name: getattr(metrics[number], name) + 3})

    error = refused(changed(report, metrics=tuple(metrics)))

    assert error.check == 8
    assert error.message.startswith(f"{metrics[number].part} {metrics[number].kind}: the report says ")


def test_the_last_digit_is_no_lie(report: Report) -> None:
    def nudge(evaluation: Evaluation) -> Evaluation:
        metrics = tuple(replace(metric, value=metric.value + 1) for metric in evaluation.metrics)
        return msgspec.structs.replace(evaluation, metrics=metrics)

    check(evaluate_small(EvaluatedNode(), change=nudge))


def test_a_number_that_is_left_out_is_missed(report: Report) -> None:
    error = refused(changed(report, metrics=report.evaluation.metrics[1:]))

    assert (error.check, error.message) == (8, "it states other numbers than those that follow from its runs")


@pytest.mark.parametrize(
    ("name", "other"),
    [("software", "better"), ("model_name", "large"), ("limit", 5)],
    ids=["software", "name", "limit"],
)
def test_what_nothing_else_binds_the_closing_run_does(name: str, other: object, report: Report) -> None:
    assert refused(changed(report, **{name: other})).check == 9


def test_a_closing_run_of_somebody_else_or_of_another_report_is_refused(report: Report) -> None:
    stranger = evaluate_small(EvaluatedNode(), closing_client=STRANGER)
    another = evaluate_small(EvaluatedNode(), limit=1)

    assert "the closing run is by client" in refused(stranger).message
    assert "names another evaluation" in refused(Report(report.evaluation, another.closing)).message


def test_a_closing_run_that_is_closed_or_changed_is_refused(report: Report) -> None:
    closed = write_bundle(read_bundle(report.closing).closed())

    assert refused(Report(report.evaluation, closed)).check == 9
    assert refused(Report(report.evaluation, report.closing[:-9] + "AAAAAAA=\n")).check == 9


def test_an_anchor_changes_nothing_that_was_committed_to() -> None:
    node = EvaluatedNode()
    report = evaluate_small(node)
    complete = anchored(node, report)

    assert complete.evaluation.digest == report.evaluation.digest
    assert len(check(complete)) == 8
    assert CLIENT.address == Address(bytes.fromhex(report.evaluation.client[2:]))


def _with(report: Report, number: int, bundle: Bundle) -> tuple[object, ...]:
    runs = list(report.evaluation.runs)
    runs[number] = run_of(QUESTIONS[number], bundle)
    return tuple(runs)


def _with_answer(item: int, answer: str) -> Any:
    first, *others = SUITE.parts
    items = list(first.items)
    items[item] = replace(items[item], answer=answer)
    return replace(SUITE, parts=(replace(first, items=tuple(items)), *others))


def _with_chunks(bundle: Bundle, chunks: tuple[ChunkBody, ...]) -> Bundle:
    opening: Any = bundle.opening
    return changed_copy(bundle, opening=changed_copy(opening, chunks=chunks))
