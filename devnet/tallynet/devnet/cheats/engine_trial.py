"""Every cheat of the engine layer on one model: how often it is caught, by what, and after how many tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tallynet.audit.calibration import ATTENTION, Cell, tokens_needed
from tallynet.audit.judgement import Judgement, Verdict, judge, judge_together
from tallynet.audit.scores import Scores
from tallynet.audit.thresholds import ThresholdFile
from tallynet.devnet.cheats.engine_cheat import EngineCheat, Ground
from tallynet.devnet.cheats.engine_jobs import run_jobs, short_jobs
from tallynet.devnet.cheats.engine_kinds import NULL_FORGERS
from tallynet.devnet.cheats.engine_report import EngineResult, HonestResult, NullResult
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import GROUP_TOKENS
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.observation import Claim, Observation
from tallynet.engine.rehearsal import rehearse_with
from tallynet.engine.replay import Replayer

NODE, AUDITOR = "bfloat16", "float32"
"""What cheats claim to run on, since its honest noise is the largest, and what the auditor has."""
WIDTHS = (1, 4, 16, 64)
Say = Callable[[str], None]


@dataclass
class EngineTrial:
    """One model with its auditor."""

    name: str
    directory: Path
    thresholds: ThresholdFile
    say: Say

    def __post_init__(self) -> None:
        self.replayer = Replayer(self.directory, choose_hardware("cpu", AUDITOR))
        self._ground = Ground(self.replayer)
        _, self._limits = self.thresholds.of(NODE, AUDITOR)

    def try_cheat(self, cheat: EngineCheat, runs: int, max_tokens: int) -> EngineResult:
        """`runs` runs of up to `max_tokens`, each judged alone; then all together, until it is caught."""
        self.say(f"{self.name}, {cheat.kind}: {cheat.about}…")
        asked = run_jobs(self.replayer, runs, max_tokens, cheat.heat, cheat.top_p)
        made = cheat.claims(self._ground, asked)
        seen = [self.replayer.observe(claim, slack=self._limits.slack) for claim in made]
        verdicts = [
            judge(claim, one, self._limits, cheat.says(self._ground, claim))
            for claim, one in zip(made, seen, strict=True)
        ]
        failed = [one for one in verdicts if one.verdict is Verdict.FAIL]
        reason = failed[0].reason if failed else max(verdicts, key=_suspicion).reason
        rows = [Scores.of(cheat.kind, at, claim, one) for at, (claim, one) in enumerate(zip(made, seen, strict=True))]
        return EngineResult(
            self.name,
            cheat.kind,
            cheat.must,
            len(made),
            len(failed),
            sum(one.verdict is Verdict.SUSPECT for one in verdicts),
            sum(len(claim.tokens) for claim in made) // len(made),
            self._tokens_until_caught(made, seen, verdicts),
            _fewest(tokens_needed(rows, self._limits)),
            reason,
        )

    def try_honest(self, runs: int) -> HonestResult:
        """Short runs in every number format, kernel and width, each judged by the thresholds of its pair."""
        verdicts: list[Judgement] = []
        pairs: set[str] = set()
        dtypes = ("float32", "bfloat16")
        auditors = {name: Replayer(self.directory, choose_hardware("cpu", name)) for name in dtypes}
        cells = [Cell(dtype, kernel, width, 1) for dtype in dtypes for kernel in ATTENTION for width in WIDTHS]
        each = -(-runs // (len(cells) * len(auditors)))
        for number, cell in enumerate(cells):
            self.say(f"{self.name}, honest runs: {cell.name}…")
            node = Replayer(self.directory, choose_hardware("cpu", cell.dtype), attention=cell.attention)
            asked = short_jobs(node, each, number * each)
            for claim in rehearse_with(node, asked, slots=cell.slots):
                for name, auditor in auditors.items():
                    pair, limits = self.thresholds.of(cell.dtype, name)
                    ending = Ground(auditor).ending(claim)
                    verdicts.append(judge(claim, auditor.observe(claim, slack=limits.slack), limits, ending))
                    pairs.add(pair)
        found = [one.verdict for one in verdicts]
        reasons = [one.reason for one in verdicts if one.verdict is Verdict.FAIL]
        return HonestResult(
            self.name,
            len(found),
            found.count(Verdict.SUSPECT),
            found.count(Verdict.FAIL),
            sum(one.tokens for one in verdicts),
            tuple(sorted(pairs)),
            reasons[0] if reasons else "",
        )

    def try_null(self, groups: int) -> list[NullResult]:
        """Forged sketches of single groups: what part of them passes for honest."""
        asked = short_jobs(self.replayer, groups, 0, sampled=True)
        return [self._try_forger(cheat, asked) for cheat in NULL_FORGERS]

    def _try_forger(self, cheat: EngineCheat, asked: Sequence[Generation]) -> NullResult:
        self.say(f"{self.name}, {cheat.kind} on {len(asked)} groups…")
        distances = [
            distance
            for claim in cheat.claims(self._ground, asked)
            for distance in self.replayer.observe(claim, slack=self._limits.slack).distances
        ]
        most = self._limits.sketch.limits(1)[1]
        return NullResult(self.name, cheat.kind, len(distances), sum(distance <= most for distance in distances))

    def _tokens_until_caught(
        self, made: Sequence[Claim], seen: Sequence[Observation], verdicts: Sequence[Judgement]
    ) -> int | None:
        """The fewest tokens, group by group and run by run, whose accumulated scores FAIL; None when all do not."""
        runs, before = list[tuple[Claim, Observation]](), 0
        for claim, one, alone in zip(made, seen, verdicts, strict=True):
            for first in range(GROUP_TOKENS, len(claim.tokens), GROUP_TOKENS):
                part = self.replayer.observe(claim, slack=self._limits.slack, first=first)
                if judge_together([*runs, (claim, part)], self._limits).verdict is Verdict.FAIL:
                    return before + first
            runs.append((claim, one))
            before += len(claim.tokens)
            if Verdict.FAIL in (alone.verdict, judge_together(runs, self._limits).verdict):
                return before
        return None


def _suspicion(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.SUSPECT


def _fewest(needed: dict[str, int | None]) -> int | None:
    known = [count for count in needed.values() if count is not None]
    return min(known, default=None)
