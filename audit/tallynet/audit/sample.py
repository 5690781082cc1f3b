"""(6) The sampling audit: runs drawn after they were anchored, opened by their node, made again, and a bound.

Two auditors of the same anchor look at the same runs in the same order.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from tallynet.audit.judgement import Verdict, judge_together
from tallynet.audit.opened_run import Asking, Unopened
from tallynet.audit.replay import Bench, Replayed, Weighed
from tallynet.audit.sample_draw import AnchoredEntries, DrawnLog
from tallynet.audit.sample_file import MAX_SAYS, Outcome, SampledRun, SampleReport
from tallynet.audit.sample_statement import sentence, state
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.draw import MAX_DRAWN
from tallynet.protocol.errors import Invalid, Misconfigured
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import prefixed, printable

Heard = Callable[[int, int], None]
"""Hears (runs judged, runs wanted)."""
Say = Callable[[str], None]
WORST = (Verdict.FAIL, Verdict.SUSPECT, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Wish:
    """How sure one wants to be."""

    confidence_millionths: int
    runs: int

    def __post_init__(self) -> None:
        """Raises `Misconfigured`."""
        if not 500_000 <= self.confidence_millionths < 1_000_000:
            raise Misconfigured(f"A confidence of {self.confidence_millionths / 10_000:g} % is not within 50 to 100.")
        if not 1 <= self.runs <= MAX_DRAWN:
            raise Misconfigured(f"{self.runs} runs are wanted, not within 1 to {MAX_DRAWN}: no block draws more.")


class Sample:
    """One audit of one node."""

    def __init__(self, asking: Asking, bench: Bench, wish: Wish) -> None:
        self._asking = asking
        self._bench = bench
        self._wish = wish
        self._replayed: list[Replayed] = []

    async def take(self, heard: Heard, say: Say) -> SampleReport:
        """Go through what was drawn until enough runs are judged. The report is not signed yet.

        Raises `InvalidProof` when the node does not show its log, `NodeUnreachable`, `ChainUnreachable`.
        """
        drawn = self._asking.drawn
        entries, runs, judged = AnchoredEntries(self._asking.reader, drawn.anchor), list[SampledRun](), 0
        heard(0, self._wish.runs)
        for index in drawn.draw.indices():
            leaf = await entries.entry(index)
            runs.append(await self._look(index, leaf, say))
            judged += runs[-1].outcome.judged
            heard(judged, self._wish.runs)
            if judged == self._wish.runs:
                break
        return self._report(drawn, runs, await self._asking.ledger.now())

    async def _look(self, index: int, leaf: Leaf, say: Say) -> SampledRun:
        outcome, says = await self._judge(index, leaf, say)
        return SampledRun(index, prefixed(leaf.job), outcome, printable(says, MAX_SAYS))

    async def _judge(self, index: int, leaf: Leaf, say: Say) -> tuple[Outcome, str]:
        if leaf.model != self._bench.model:
            return Outcome.OTHER_MODEL, ""
        if not self._has_answer(leaf):
            return Outcome.NOTHING, ""
        opened = await self._asking.open(index, leaf)
        if isinstance(opened, Unopened):
            return opened.outcome, opened.says
        return await self._replay(opened, say)

    def _has_answer(self, leaf: Leaf) -> bool:
        """A vector has no tokens: there is one where the run was not cut short."""
        return leaf.status.finished if self._bench.task is Task.EMBED else bool(leaf.completion_tokens)

    async def _replay(self, bundle: Bundle, say: Say) -> tuple[Outcome, str]:
        # (5) the replay does not FAIL
        try:
            replayed = await trio.to_thread.run_sync(self._bench.replay, bundle, say, abandon_on_cancel=True)
        except Invalid as error:
            return Outcome.FAIL, str(error)
        judgement = replayed.judgement
        if judgement.verdict is not Verdict.FAIL:
            self._replayed.append(replayed)
        return Outcome(judgement.verdict.value), "" if judgement.verdict is Verdict.PASS else judgement.reason

    def _report(self, drawn: DrawnLog, runs: Sequence[SampledRun], now: int) -> SampleReport:
        wish, draw, domain = self._wish, drawn.draw, self._asking.ledger.domain
        stated, together = state(runs, wish.confidence_millionths), _together(self._replayed)
        node = prefixed(draw.node)
        return SampleReport(
            says=sentence(
                stated, together, node=node, size=draw.size, wanted=wish.runs,
                confidence_millionths=wish.confidence_millionths,
            ),
            chain_id=domain.chain_id,
            contract=prefixed(domain.contract),
            node=node,
            model=prefixed(self._bench.model),
            auditor=prefixed(self._asking.key.address),
            at=now,
            size=draw.size,
            root=prefixed(drawn.anchor.root),
            anchor_block=drawn.anchor.block,
            draw_block=drawn.block,
            block_hash=prefixed(draw.block_hash),
            confidence_millionths=wish.confidence_millionths,
            wanted=wish.runs,
            runs=tuple(runs),
            together=together,
            at_most_millionths=stated.at_most,
            at_least_millionths=stated.at_least,
        )  # fmt: skip


def _together(replayed: Sequence[Replayed]) -> Verdict:
    """The worst verdict on all runs of one pair of number formats as if they were one."""
    pairs: dict[str, list[Weighed]] = defaultdict(list)
    for one in replayed:
        if one.weighed is not None:
            pairs[one.pair].append(one.weighed)
    found = {
        judge_together([(one.claim, one.seen) for one in runs], runs[0].thresholds).verdict for runs in pairs.values()
    }
    return next((verdict for verdict in WORST if verdict in found), Verdict.PASS)
