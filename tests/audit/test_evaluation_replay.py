"""Which runs of an evaluation are made again, and what is said of them. The replay itself is a stand-in here."""

from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tallynet.audit.evaluation_replay import ReplayedEvaluation, draw_runs, replay_runs
from tallynet.audit.evaluation_replay_report import describe_replays, exit_code, print_replays
from tallynet.audit.judgement import Check, Judgement, Verdict
from tallynet.evaluation.report import Report
from tallynet.evaluation.report_checks import Opened, check_report
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.draw import Draw
from tallynet.protocol.errors import InvalidBundle, Misconfigured
from tests.audit.examples import DOMAIN, NODE
from tests.evaluation.examples import EvaluatedNode, anchored, evaluate_small


def opened(report: Report) -> Opened:
    return check_report(report, DOMAIN, lambda _: None)


@pytest.fixture(scope="module")
def dated() -> Opened:
    node = EvaluatedNode()
    return opened(anchored(node, evaluate_small(node)))


@dataclass
class StandInBench:
    """Judges the runs as told, in their order; the rest pass."""

    verdicts: list[Verdict | Exception] = field(default_factory=list)
    asked: int = 0

    def replay(self, bundle: Bundle, say: Any) -> Any:
        told = self.verdicts[self.asked] if self.asked < len(self.verdicts) else Verdict.PASS
        self.asked += 1
        if isinstance(told, Exception):
            raise told
        check = Check(3, "tokens", told, 1.0, 1.0, 1.0, "17 of 20 tokens are others")
        return _Replayed(Judgement((check,), 20, (), "It is the model's."))


@dataclass(frozen=True)
class _Replayed:
    judgement: Judgement


def replay(dated: Opened, *verdicts: Verdict | Exception) -> ReplayedEvaluation:
    bench: Any = StandInBench(list(verdicts))
    return replay_runs(draw_runs(dated, None), len(dated.runs), bench, lambda done, of: None)


def test_all_runs_are_made_again_unless_fewer_are_wanted(dated: Opened) -> None:
    assert draw_runs(dated, None) == draw_runs(dated, 11) == draw_runs(dated, 99) == dated.runs


def test_fewer_are_drawn_by_the_block_of_the_anchor(dated: Opened) -> None:
    assert dated.closing.inclusion is not None
    draw = Draw(NODE.address, 11, dated.closing.inclusion.anchor.block_hash)

    assert draw_runs(dated, 4) == [dated.runs[index] for index in draw.indices(4)]


def test_without_an_anchor_no_block_draws() -> None:
    undated = opened(evaluate_small(EvaluatedNode()))

    assert len(draw_runs(undated, None)) == 11
    with pytest.raises(Misconfigured) as refusal:
        draw_runs(undated, 4)
    assert "audit verify" in refusal.value.remedy


def test_the_worst_run_decides(dated: Opened) -> None:
    assert replay(dated).verdict is Verdict.PASS
    assert replay(dated, Verdict.PASS, Verdict.SUSPECT).verdict is Verdict.SUSPECT
    assert replay(dated, Verdict.SUSPECT, Verdict.FAIL, Verdict.PASS).verdict is Verdict.FAIL
    assert [exit_code(replay(dated, verdict)) for verdict in Verdict] == [0, 3, 1]


def test_a_run_that_no_model_makes_fails_by_name(dated: Opened) -> None:
    found = replay(dated, Verdict.PASS, InvalidBundle("its tokens are not in the vocabulary", check=6))
    written = StringIO()

    print_replays(Console(width=80, file=written), found)
    told = written.getvalue()

    assert told.startswith("FAIL 11 of 11 runs made again: 10 pass, 1 fail.")
    assert "sums 2 fail: (6) its tokens are not in the vocabulary" in told
    runs = describe_replays(found)["runs"]
    assert isinstance(runs, list) and (runs[1]["part"], runs[1]["item"], runs[1]["verdict"]) == ("sums", 1, "fail")
