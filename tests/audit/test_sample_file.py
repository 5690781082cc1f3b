"""A sampling audit as a file: it is its auditor's, it follows from its runs, and the chain drew them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallynet.audit.judgement import Verdict
from tallynet.audit.sample_check import check_draw, check_statement
from tallynet.audit.sample_draw import AnchoredEntries, find_drawn
from tallynet.audit.sample_file import (
    Outcome,
    SampledRun,
    SignedReport,
    decode_report,
    encode_report,
    read_report,
    sign_report,
    write_report,
)
from tallynet.audit.sample_statement import Standing, standing, state
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidProof, InvalidReport
from tallynet.protocol.keys import Key
from tallynet.protocol.units import prefixed
from tests.audit.examples import DOMAIN, NODE, STRANGER
from tests.audit.samples import SIZE, valid_report
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, reading, scene


@pytest.fixture
async def made() -> Scene:
    """A node that has anchored SIZE entries, and a block that has drawn."""
    anchored = await scene(SIZE)
    anchored.ledger.mine(DRAW_DELAY_BLOCKS)
    return anchored


async def test_report_comes_back_as_it_was_signed(made: Scene, tmp_path: Path) -> None:
    signed = sign_report(await valid_report(made.ledger), STRANGER)
    write_report(tmp_path / "sample.json", signed)

    again = read_report(tmp_path / "sample.json")
    assert again == signed
    check_statement(again.report)
    await check_draw(again.report, made.ledger)


async def test_a_changed_report_is_not_its_auditor_s(made: Scene) -> None:
    signed = sign_report(await valid_report(made.ledger), STRANGER)
    kinder = msgspec.structs.replace(signed.report, at=0)

    with pytest.raises(InvalidReport) as refusal:
        decode_report(encode_report(SignedReport(kinder, signed.signature)))
    assert refusal.value.check == 2


@pytest.mark.parametrize(
    "damage",
    [lambda data: data + b"\n", lambda data: data.replace(b'"wanted"', b'"wished"'), lambda data: b" " * 2**20 + data,
     lambda data: data[:-3], lambda data: data.replace(b"  ", b" ", 1)],
    ids=["a line more", "an unknown member", "too large", "cut short", "a space less"],
)  # fmt: skip
async def test_what_is_not_in_the_one_form_is_no_report(made: Scene, damage: Any) -> None:
    data = encode_report(sign_report(await valid_report(made.ledger), STRANGER))

    with pytest.raises(InvalidReport) as refusal:
        decode_report(damage(data))
    assert refusal.value.check == 1


async def test_nobody_signs_for_another_auditor(made: Scene) -> None:
    with pytest.raises(ValueError):
        sign_report(await valid_report(made.ledger), Key.generate())


@pytest.mark.parametrize(
    ("changes", "check"),
    [({"at_most_millionths": 1000}, 3), ({"at_least_millionths": 5}, 3), ({"says": "All is well."}, 4)],
)
async def test_what_does_not_follow_from_the_runs_is_refused(made: Scene, changes: dict[str, Any], check: int) -> None:
    with pytest.raises(InvalidReport) as refusal:
        check_statement(await valid_report(made.ledger, **changes))
    assert refusal.value.check == check


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"chain_id": 1}, 5),
        ({"size": SIZE + 1}, 6),
        ({"root": prefixed(bytes(32))}, 6),
        ({"block_hash": prefixed(bytes(32))}, 6),
        ({"draw_block": 1}, 6),
        ({"wanted": 19}, 8),
        ({"wanted": 21}, 8),
    ],
)
async def test_what_the_chain_does_not_say_is_refused(made: Scene, changes: dict[str, Any], check: int) -> None:
    with pytest.raises(InvalidReport) as refusal:
        await check_draw(await valid_report(made.ledger, **changes), made.ledger)
    assert refusal.value.check == check


async def test_a_run_that_was_left_out_is_missed(made: Scene) -> None:
    whole = await valid_report(made.ledger)
    for runs in (whole.runs[1:], whole.runs[::-1], (whole.runs[0], *whole.runs)):
        with pytest.raises(InvalidReport) as refusal:
            await check_draw(msgspec.structs.replace(whole, runs=runs), made.ledger)
        assert refusal.value.check == 7


# What a sample allows to say


@pytest.mark.parametrize(
    ("outcomes", "wanted", "together", "expected"),
    [
        ((Outcome.PASS,) * 20, 20, Verdict.PASS, Standing.GOOD),
        ((Outcome.PASS,) * 19, 20, Verdict.PASS, Standing.OPEN),
        ((Outcome.PASS,) * 19 + (Outcome.SUSPECT,), 20, Verdict.PASS, Standing.OPEN),
        ((Outcome.PASS,) * 19 + (Outcome.UNANSWERED,), 20, Verdict.PASS, Standing.OPEN),
        ((Outcome.PASS,) * 20, 20, Verdict.SUSPECT, Standing.OPEN),
        ((Outcome.PASS,) * 20, 20, Verdict.FAIL, Standing.BAD),
        ((Outcome.PASS,) * 19 + (Outcome.FAIL,), 20, Verdict.PASS, Standing.BAD),
        ((Outcome.PASS,) * 19 + (Outcome.WITHHELD,), 20, Verdict.PASS, Standing.BAD),
        ((Outcome.NO_CONSENT,) * 20, 20, Verdict.PASS, Standing.OPEN),
    ],
)
async def test_standing_follows_from_the_outcomes(
    made: Scene, outcomes: tuple[Outcome, ...], wanted: int, together: Verdict, expected: Standing
) -> None:
    assert standing(await valid_report(made.ledger, outcomes, wanted, together=together)) is expected


def run(outcome: Outcome) -> SampledRun:
    return SampledRun(0, prefixed(bytes(32)), outcome, "")


def test_skipped_runs_make_no_statement_stronger() -> None:
    judged = [run(Outcome.PASS)] * 59

    skipped = [run(Outcome.NO_CONSENT), run(Outcome.NOT_KEPT), run(Outcome.OTHER_MODEL)] * 100
    assert state(judged + skipped, 950_000) == state(judged, 950_000)
    assert 49_000 < state(judged, 950_000).at_most < 50_000


def test_unanswered_runs_weaken_it_and_accuse_nobody() -> None:
    stated = state([run(Outcome.PASS)] * 58 + [run(Outcome.UNANSWERED)], 950_000)

    assert (stated.bad, stated.at_least) == (0, 0)
    assert stated.at_most == state([run(Outcome.PASS)] * 58 + [run(Outcome.FAIL)], 950_000).at_most


def test_both_bounds_lie_about_the_sample_s_own_rate() -> None:
    stated = state([run(Outcome.FAIL)] * 3 + [run(Outcome.PASS)] * 57, 950_000)

    assert 13_000 < stated.at_least < 50_000 < stated.at_most < 130_000


# The command


async def test_report_command_says_what_the_report_says(
    made: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, made.ledger, monkeypatch)
    path = tmp_path / "sample.json"
    for outcomes, code in (((Outcome.PASS,) * 20, 0), ((Outcome.FAIL,) * 20, 1), ((Outcome.SUSPECT,) * 20, 3)):
        report = await valid_report(made.ledger, outcomes)
        write_report(path, sign_report(report, STRANGER))
        told = await stage.ran("report", path, "--json")
        shown = await stage.ran("report", path)

        assert told.code == shown.code == code
        assert told.json["says"] == report.says and told.json["judged"] == 20
        assert report.says in shown.words
        assert "runs without consent" in shown.words


async def test_report_command_refuses_what_was_not_drawn(
    made: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, made.ledger, monkeypatch)
    whole = await valid_report(made.ledger)
    path = tmp_path / "sample.json"
    write_report(path, sign_report(msgspec.structs.replace(whole, runs=whole.runs[::-1]), STRANGER))

    found = await stage.ran("report", path, "--json")
    assert found.code == 1 and found.json["error"]["code"] == "invalid-report"  # type: ignore[index]


async def test_report_of_another_chain_is_refused(made: Scene) -> None:
    elsewhere = MemoryLedger(chain_id=5, contract=DOMAIN.contract)

    assert elsewhere.domain == Domain(5, DOMAIN.contract)
    with pytest.raises(InvalidReport) as refusal:
        await check_draw(await valid_report(made.ledger), elsewhere)
    assert refusal.value.check == 5


# Entries of the anchored log


async def test_node_that_shows_another_entry_than_it_anchored_is_found(made: Scene) -> None:
    drawn, node = await find_drawn(made.ledger, NODE.address), made.node
    async with reading(node) as log:
        entries = AnchoredEntries(log, drawn.anchor)
        assert (await entries.entry(7)).pack() == node.leaves[7]

        node.shown = [*node.leaves[:7], node.leaves[8], *node.leaves[8:]]
        with pytest.raises(InvalidProof) as altered:
            await AnchoredEntries(log, drawn.anchor).entry(7)
        node.refuses = True
        with pytest.raises(InvalidProof) as withheld:
            await AnchoredEntries(log, drawn.anchor).entry(7)

    assert (altered.value.check, withheld.value.check) == (2, 1)
