"""(6) An evaluation made again from its own file: all of its runs, or some that the block of its anchor drew.

Source: spec chapter 8, "Replays".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tallynet.audit.judgement import Verdict
from tallynet.audit.replay import Bench
from tallynet.evaluation.questions import Question
from tallynet.evaluation.report_checks import Opened
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.draw import MAX_DRAWN, Draw
from tallynet.protocol.errors import Invalid, Misconfigured

Heard = Callable[[int, int], None]
"""Hears (runs judged, runs wanted)."""
WORST = (Verdict.FAIL, Verdict.SUSPECT, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class ReplayedRun:
    """What came of one run."""

    question: Question
    verdict: Verdict
    says: str
    """Why; for a run that passed what a pass means."""


@dataclass(frozen=True, slots=True)
class ReplayedEvaluation:
    """What came of all that were made again."""

    runs: tuple[ReplayedRun, ...]
    of: int
    """How many the report has."""

    @property
    def verdict(self) -> Verdict:
        found = {run.verdict for run in self.runs}
        return next(verdict for verdict in WORST if verdict in found)

    def count(self, verdict: Verdict) -> int:
        return sum(run.verdict is verdict for run in self.runs)


def draw_runs(opened: Opened, count: int | None) -> Sequence[tuple[Question, Bundle]]:
    """`count` runs that the block of the closing run's anchor draws, or all for None.

    Nobody knew that block when the report was closed. Raises `Misconfigured` for a report without an anchor.
    """
    if count is None or count >= len(opened.runs):
        return opened.runs
    inclusion = opened.closing.inclusion
    if inclusion is None:
        raise Misconfigured(
            "The report has no anchor yet, and so no block that draws runs.",
            remedy="Leave out --runs to make all of them again, or run `tallynet audit verify` on it first.",
        )
    if not 1 <= count <= MAX_DRAWN:
        raise Misconfigured(f"{count} runs cannot be drawn, only 1 to {MAX_DRAWN}.")
    draw = Draw(opened.closing.node, len(opened.runs), inclusion.anchor.block_hash)
    return [opened.runs[index] for index in draw.indices(count)]


def replay_runs(runs: Sequence[tuple[Question, Bundle]], of: int, bench: Bench, heard: Heard) -> ReplayedEvaluation:
    """Make each run again. Raises `Misconfigured` when `bench` has the files of another model."""
    return ReplayedEvaluation(tuple(_replay_each(runs, bench, heard)), of)


def _replay_each(runs: Sequence[tuple[Question, Bundle]], bench: Bench, heard: Heard) -> Iterator[ReplayedRun]:
    for done, (question, bundle) in enumerate(runs):
        heard(done, len(runs))
        try:
            judgement = bench.replay(bundle, lambda _: None).judgement
        except Invalid as error:
            yield ReplayedRun(question, Verdict.FAIL, str(error))
        else:
            yield ReplayedRun(question, judgement.verdict, judgement.reason)
    heard(len(runs), len(runs))
