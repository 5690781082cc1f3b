"""The sampling audit on a devnet in memory: real nodes, real logs, the model that comes with the package."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from tallynet.audit.opened_run import Asking
from tallynet.audit.replay import Bench, Terms
from tallynet.audit.sample import Sample, Wish
from tallynet.audit.sample_check import check_draw, check_statement
from tallynet.audit.sample_draw import find_drawn
from tallynet.audit.sample_file import Outcome, SampleReport
from tallynet.audit.sample_statement import Standing, standing
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.cheats.engine_node import EngineCheatingNode, ForgedSketches
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import Generation, Piece, open_engine
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.log_reader import LogReader
from tallynet.node.journal import Journal
from tallynet.node.opening_desk import OpeningDesk
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.errors import Busy, Misconfigured, Pending
from tallynet.protocol.job import JOB_WORDS
from tallynet.protocol.keys import Key
from tallynet.protocol.units import prefixed
from tallynet.protocol.wire import AskOpening, Frame, NoConsent, NotKept, SealedOpening

JOBS = 12
"""Every fourth gives no consent."""
QUESTIONS = [f"Tell me a story about a fox and {number} birds." for number in range(JOBS)]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(DEFAULT_MODEL, read_thresholds(), Terms(device="cpu"))


@dataclass
class Audited:
    """A node that was asked and has anchored, and two auditors who look at it."""

    devnet: Devnet
    bench: Bench
    auditors: tuple[Key, Key] = field(default_factory=lambda: (Key.generate(), Key.generate()))

    async def report(self, runs: int, *, auditor: int = 0, patience_seconds: float = 0.0) -> SampleReport:
        node, ledger, transport = self.devnet.nodes[0], self.devnet.ledger, self.devnet.transport()
        drawn = await find_drawn(ledger, node.address)
        async with transport.run():
            reader = LogReader(transport, node.peer, ledger.domain)
            asking = Asking(reader, ledger, drawn, self.auditors[auditor], patience_seconds=patience_seconds)
            return await Sample(asking, self.bench, Wish(950_000, runs)).take(lambda done, of: None, lambda said: None)


@asynccontextmanager
async def audited(folder: Path, bench: Bench, cheat: LedgerCheat | None = None) -> AsyncIterator[Audited]:
    engine = partial(open_engine, str(DEFAULT_MODEL))
    async with open_devnet(folder, engine=engine, cheats={0: cheat} if cheat else {}) as devnet:
        async with devnet.client() as client:
            for number, question in enumerate(QUESTIONS):
                answer = await client.ask(
                    "tally-tiny", question, temperature=1.0, max_tokens=48, audit_consent=number % 4 != 3
                )
            await client.wait_for_anchor(answer.bundle(), 60)
        cast(MemoryLedger, devnet.ledger).mine(DRAW_DELAY_BLOCKS)
        yield Audited(devnet, bench)


async def test_honest_node_gets_the_honest_statement_from_both_auditors(bench: Bench, tmp_path: Path) -> None:
    async with audited(tmp_path, bench) as scene:
        one, other = await scene.report(8), await scene.report(8, auditor=1)

        assert standing(one) is Standing.GOOD, one
        assert one.count(Outcome.PASS) == 8
        assert 0 < one.count(Outcome.NO_CONSENT) + 8 == len(one.runs) <= JOBS
        assert one.at_most_millionths == 312_344  # 1 - 0.05 ** (1 / 8)
        assert one.says == (
            "At most 31.24 % of the runs of this model with consent up to entry 11 are bad, at 95 % confidence."
        )
        assert (one.runs, one.says) == (other.runs, other.says)
        assert one.auditor != other.auditor
        check_statement(one)
        await check_draw(one, scene.devnet.ledger)


class OftenForged(EngineCheatingNode):
    """Forges the evidence of every second job."""

    kind = "often-forged"
    about = "cheats on every second job"
    jobs = 0

    def bend(self, generation: Generation) -> Generation:
        self.jobs += 1
        return generation

    def bend_piece(self, piece: Piece) -> Piece:
        return piece if self.jobs % 2 else ForgedSketches.bend_piece(cast(ForgedSketches, self), piece)


async def test_node_that_cheats_on_some_jobs_is_named_with_the_bound(bench: Bench, tmp_path: Path) -> None:
    async with audited(tmp_path, bench, LedgerCheat(OftenForged, honest=0)) as scene:
        one, other = await scene.report(9), await scene.report(9, auditor=1)
        node = prefixed(scene.devnet.nodes[0].address)

        assert standing(one) is Standing.BAD
        bad = one.count(Outcome.FAIL)
        assert {run.index for run in one.runs if run.outcome is Outcome.FAIL} == {1, 5, 9}
        assert one.count(Outcome.PASS) == 9 - bad == 6
        assert one.says.startswith(f"Node {node}: {bad} of 9 runs are bad; at least ")
        assert 0 < one.at_least_millionths < bad * 1_000_000 // 9 < one.at_most_millionths
        assert (one.runs, one.says) == (other.runs, other.says)


async def test_too_few_runs_with_consent_prove_little(bench: Bench, tmp_path: Path) -> None:
    async with audited(tmp_path, bench) as scene:
        report = await scene.report(20)

        assert standing(report) is Standing.OPEN
        assert len(report.runs) == JOBS
        assert report.count(Outcome.PASS) == 9
        assert "Only 9 of 20 runs could be judged." in report.says
        await check_draw(report, scene.devnet.ledger)


# Nodes that keep runs back

Answer = Callable[[SealedOpening], Frame]


def keeping_back(how: Answer) -> LedgerCheat:
    """A node that answers otherwise for every run that it would open."""

    class Desk(OpeningDesk):
        async def answer(self, ask: AskOpening) -> Frame:
            honest = await super().answer(ask)
            return how(honest) if isinstance(honest, SealedOpening) else honest

    class KeepingNode(EngineCheatingNode):
        kind = "keeps-back"
        about = "keeps runs back"

        def __post_init__(self) -> None:
            """The engine is honest."""

        def opening_desk(self, journal: Journal) -> OpeningDesk:
            return Desk(self.config, self.key, self.ledger, journal)

    return LedgerCheat(KeepingNode, honest=0)


def no_longer_kept(honest: SealedOpening) -> Frame:
    return NotKept(0)


def tampered(honest: SealedOpening) -> Frame:
    return SealedOpening(honest.parts, honest.sealed[:-1] + bytes([honest.sealed[-1] ^ 1]))


def without_consent(honest: SealedOpening) -> Frame:
    return NoConsent((bytes(32),) * JOB_WORDS)


def busy(honest: SealedOpening) -> Frame:
    raise Busy("not now", retry_after_ms=1000)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (no_longer_kept, "(1) no longer kept"),
        (tampered, "(1) "),
        (without_consent, "(3) the words shown"),
    ],
)
async def test_run_that_is_kept_back_counts_as_bad(bench: Bench, tmp_path: Path, how: Answer, why: str) -> None:
    async with audited(tmp_path, bench, keeping_back(how)) as scene:
        report = await scene.report(3)

        assert standing(report) is Standing.BAD
        assert report.count(Outcome.WITHHELD) == 3
        assert all(run.says.startswith(why) for run in report.runs if run.outcome is Outcome.WITHHELD)


async def test_node_that_is_busy_is_not_accused_and_not_cleared(bench: Bench, tmp_path: Path) -> None:
    async with audited(tmp_path, bench, keeping_back(busy)) as scene:
        report = await scene.report(3)

        assert standing(report) is Standing.OPEN
        assert report.count(Outcome.UNANSWERED) == 3
        assert (report.at_most_millionths, report.at_least_millionths) == (1_000_000, 0)


# What there is to draw from


async def test_nothing_can_be_sampled_before_the_block_that_draws(bench: Bench, tmp_path: Path) -> None:
    async with open_devnet(tmp_path) as devnet:
        node, ledger = devnet.nodes[0].address, cast(MemoryLedger, devnet.ledger)
        with pytest.raises(Pending, match="anchored nothing"):
            await find_drawn(ledger, node)
        async with devnet.client() as client:
            answer = await client.ask("fake", "Hello?", audit_consent=True)
            await client.wait_for_anchor(answer.bundle(), 60)
        ledger.mine(DRAW_DELAY_BLOCKS - 1)
        with pytest.raises(Pending, match="draws"):
            await find_drawn(ledger, node)
        ledger.mine()

        drawn = await find_drawn(ledger, node)
        assert drawn.block == drawn.anchor.block + DRAW_DELAY_BLOCKS
        assert drawn.draw.indices() == (0,)
        with pytest.raises(Misconfigured, match="never anchored 7"):
            await find_drawn(ledger, node, 7)


@pytest.mark.parametrize(("confidence", "runs"), [(0, 1), (1_000_000, 1), (950_000, 0), (950_000, 1025)])
def test_wish_that_nobody_can_fulfil_is_refused(confidence: int, runs: int) -> None:
    with pytest.raises(Misconfigured):
        Wish(confidence, runs)
