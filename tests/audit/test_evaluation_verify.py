"""A report against the chain: its closing run's anchor, and the places of all its runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.anchoring import Chain, reference
from tallynet.audit.evaluation_verify import ReportVerification, not_proven, verify_report_offline, verify_report_online
from tallynet.audit.verdict import Verdict
from tallynet.evaluation.report import Report, decode_report, encode_report
from tallynet.evaluation.report_file import write_report
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import attach_anchor, read_bundle, write_bundle
from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Address, Seconds
from tests.audit.examples import DOMAIN
from tests.audit.staging import Stage
from tests.audit.test_verify import served
from tests.evaluation.examples import EvaluatedNode, anchored, evaluate_small

CLOSING = 11
"""Index of the closing run in the log of an `EvaluatedNode`."""


async def nowhere(address: Address) -> LogReader:
    raise NodeUnreachable("out of reach")


async def stand(ledger: MemoryLedger) -> tuple[EvaluatedNode, Report]:
    """A report whose node has anchored all of it; the file knows of no anchor yet."""
    node = EvaluatedNode()
    report = evaluate_small(node)
    await node.register(ledger)
    await node.anchor(ledger)
    return node, report


async def with_anchor(node: EvaluatedNode, ledger: MemoryLedger, report: Report) -> Report:
    (anchor,) = await ledger.anchors(node.key.address)
    path, size = node.tree.inclusion(CLOSING, anchor.size), anchor.size
    closing = attach_anchor(read_bundle(report.closing), reference(anchor), path, node.note(size))
    return Report(report.evaluation, write_bundle(closing))


async def online(report: Report, chain: Chain) -> ReportVerification:
    return await verify_report_online(encode_report(report), chain, lambda _: None)


async def test_a_report_without_its_anchor_is_completed_from_chain_and_log() -> None:
    ledger = MemoryLedger()
    node, report = await stand(ledger)
    told: list[CheckResult] = []

    async with served(node, ledger) as chain:
        found = await verify_report_online(encode_report(report), chain, told.append)

    assert found.verdict is Verdict.OK
    assert [result.number for result in told] == list(range(1, 15))
    assert {result.state for result in told} == {State.OK}
    assert found.completed and found.report == await with_anchor(node, ledger, report)
    assert told[-1].detail == "11 runs in 1 log"
    assert len(not_proven(found)) == 4


async def test_a_report_with_its_anchor_holds_without_the_node() -> None:
    ledger = MemoryLedger()
    node, report = await stand(ledger)

    found = await online(await with_anchor(node, ledger, report), Chain(ledger, nowhere))

    assert (found.verdict, found.state(13), found.state(14)) == (Verdict.OK, State.OK, State.SKIPPED)
    assert any("that was not looked up" in sentence for sentence in not_proven(found))


async def test_offline_the_anchor_is_the_file_s_word() -> None:
    ledger = MemoryLedger()
    node, report = await stand(ledger)

    found = verify_report_offline(encode_report(await with_anchor(node, ledger, report)), DOMAIN, lambda _: None)

    assert (found.verdict, found.state(10), found.state(11)) == (Verdict.OK, State.OK, State.SKIPPED)
    assert any(sentence.startswith("when the report was made") for sentence in not_proven(found))


async def test_before_the_anchor_nothing_is_wrong_and_it_is_pending() -> None:
    ledger = MemoryLedger()
    node = EvaluatedNode()
    report = evaluate_small(node)
    await node.register(ledger)

    async with served(node, ledger) as chain:
        found = await online(report, chain)

    assert (found.verdict, found.state(10), found.state(14)) == (Verdict.PENDING, State.PENDING, State.SKIPPED)


async def test_an_anchor_that_the_contract_does_not_know_fails() -> None:
    node = EvaluatedNode()
    report = anchored(node, evaluate_small(node))
    ledger = MemoryLedger()
    await node.register(ledger)

    found = await online(report, Chain(ledger, nowhere))

    assert found.failure is not None and found.failure.check == 11
    assert found.failure.message.startswith("the closing run: the contract knows no anchor of size 12")


async def test_an_anchor_that_was_changed_fails() -> None:
    ledger = MemoryLedger()
    node, report = await stand(ledger)
    closing = read_bundle((await with_anchor(node, ledger, report)).closing)
    assert closing.inclusion is not None
    forged = replace(closing.inclusion, anchor=replace(closing.inclusion.anchor, time=Seconds(7)))

    found = await online(
        Report(report.evaluation, write_bundle(replace(closing, inclusion=forged))), Chain(ledger, nowhere)
    )

    assert found.failure is not None and found.failure.check == 11


async def test_a_run_that_the_node_left_out_of_its_log_is_named() -> None:
    """It signed a receipt for place 4 and logged something else there."""
    ledger = MemoryLedger()
    node = EvaluatedNode()
    report = evaluate_small(node)
    node.leaves[4] = node.leaves[3]
    node.tree = Tree(leaf_hash(leaf) for leaf in node.leaves)
    await node.register(ledger)
    await node.anchor(ledger)

    async with served(node, ledger) as chain:
        found = await online(report, chain)

    assert found.failure is not None and found.failure.check == 14
    assert found.failure.message.startswith("words 2: ")


async def test_a_changed_report_fails_by_name_and_is_not_completed() -> None:
    ledger = MemoryLedger()
    node, report = await stand(ledger)
    text = encode_report(report).replace(b"'le chat", b"'un chat").replace(b'"value": 666667', b'"value": 999999')

    async with served(node, ledger) as chain:
        found = await verify_report_online(text, chain, lambda _: None)

    assert found.verdict is Verdict.FAILED and not found.completed
    assert found.failure is not None and found.failure.check == 8
    assert "sums exact-match: the report says 0.999999" in found.failure.message


@asynccontextmanager
async def on_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Stage, Path]]:
    ledger = MemoryLedger()
    node, report = await stand(ledger)
    stage, file = Stage(tmp_path, ledger, monkeypatch), tmp_path / "small.report.tally"
    stage.nodes.append(node)
    write_report(file, report)
    yield stage, file


async def test_verify_recognises_a_report_prints_its_numbers_and_keeps_the_anchor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_stage(tmp_path, monkeypatch) as (stage, file):
        before = file.read_bytes()
        untouched = await stage.ran("verify", file, "--no-upgrade")
        assert file.read_bytes() == before
        found = await stage.ran("verify", file)

        assert untouched.code == found.code == 0
        assert " (14) ✓ every run is in an anchored log" in found.stdout
        assert "sums   exact match" in found.stdout
        assert "the words are likelier behind boys' names than behind girls' names." in found.words
        assert "saved in small.report.tally" in found.words
        assert max(map(len, found.stdout.splitlines())) <= 80
        assert read_bundle(decode_report(file.read_bytes()).closing).inclusion is not None

        offline = await stage.ran("verify", file, "--offline", "--json")

    assert offline.code == 0
    assert offline.json["verdict"] == "ok"
    evaluation, anchor = offline.json["evaluation"], offline.json["anchor"]
    assert isinstance(evaluation, dict) and len(evaluation["metrics"]) == 7 and evaluation["runs"] == 11
    assert isinstance(anchor, dict) and anchor["index"] == CLOSING


async def test_verify_exits_1_for_a_changed_report_and_says_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_stage(tmp_path, monkeypatch) as (stage, file):
        file.write_bytes(file.read_bytes().replace(b'"value": 666667', b'"value": 999999'))
        found = await stage.ran("verify", file, "--json")

    assert (found.code, found.json["failed_check"], found.json["evaluation"]) == (1, 8, None)


@pytest.mark.parametrize("command", ["explain", "upgrade"])
async def test_what_takes_one_answer_says_what_takes_a_report(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_stage(tmp_path, monkeypatch) as (stage, file):
        found = await stage.ran(command, file, "--json")

    error = found.json["error"]
    assert found.code == 2 and isinstance(error, dict)
    assert "is the report of an evaluation" in error["message"] and "audit verify" in error["remedy"]
