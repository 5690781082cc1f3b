"""What a sample of its node adds to one run, and the ways in which it adds nothing."""

from pathlib import Path

import msgspec
import pytest

from tallynet.audit.sample_file import Outcome, SampleReport, sign_report, write_report
from tallynet.audit.sampled import Sampled, check_sampled, find_sampled
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.errors import InvalidReport
from tallynet.protocol.units import prefixed
from tests.audit.examples import MODEL, STRANGER
from tests.audit.samples import SIZE, valid_report
from tests.audit.staging import Stage
from tests.audit.suspects import Scene

PASSED = (Outcome.PASS,) * 20


@pytest.fixture
async def made() -> Scene:
    """SIZE runs with consent, anchored, and one more."""
    scene = Scene()
    await scene.node.register(scene.ledger)
    scene.runs += [scene.node.run(consent=True) for _ in range(SIZE)]
    await scene.node.anchor(scene.ledger)
    scene.runs.append(scene.node.run(consent=True))
    scene.ledger.mine(DRAW_DELAY_BLOCKS)
    return scene


async def report_of(made: Scene, outcomes: tuple[Outcome, ...] = PASSED) -> SampleReport:
    """A sample of the scene's own runs."""
    report = await valid_report(made.ledger, outcomes)
    jobs = [prefixed(bundle.receipt.receipt.job) for bundle in made.runs]
    runs = tuple(msgspec.structs.replace(run, job=jobs[run.index]) for run in report.runs)
    return msgspec.structs.replace(report, runs=runs)


def drawn(made: Scene, report: SampleReport) -> Bundle:
    """The run that was drawn last: with one bad outcome it is the bad one."""
    return made.runs[report.runs[-1].index]


def left_out(made: Scene, report: SampleReport) -> Bundle:
    indices = {run.index for run in report.runs}
    return next(made.runs[index] for index in range(SIZE) if index not in indices)


async def test_a_run_that_was_drawn_counts_as_replayed(made: Scene) -> None:
    report = await report_of(made)

    assert await find_sampled(drawn(made, report), report, made.ledger) == Sampled(report, report.runs[-1])


async def test_a_run_that_was_not_drawn_counts_as_sampled(made: Scene) -> None:
    report = await report_of(made)
    found = await find_sampled(left_out(made, report), report, made.ledger)

    assert found == Sampled(report, None)
    assert report.says in found.words and report.auditor in found.words


@pytest.mark.parametrize("member", ["node", "model"])
async def test_9_a_report_on_another_node_or_model_says_nothing(made: Scene, member: str) -> None:
    report = await report_of(made)
    other = msgspec.structs.replace(report, **{member: prefixed(bytes(20 if member == "node" else 32))})

    with pytest.raises(InvalidReport, match=prefixed(MODEL)) as refusal:
        check_sampled(made.runs[0], other)
    assert refusal.value.check == 9


async def test_10_a_run_behind_the_sampled_log_could_not_be_drawn(made: Scene) -> None:
    with pytest.raises(InvalidReport, match=f"is entry {SIZE}") as refusal:
        check_sampled(made.runs[SIZE], await report_of(made))
    assert refusal.value.check == 10


async def test_10_a_run_without_consent_could_not_be_drawn(made: Scene) -> None:
    report = await report_of(made)
    bundle = made.node.run()
    early = msgspec.structs.replace(report, size=SIZE + 10)

    with pytest.raises(InvalidReport, match="no consent") as refusal:
        check_sampled(bundle, early)
    assert refusal.value.check == 10


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.SUSPECT, Outcome.UNANSWERED])
async def test_11_a_drawn_run_that_did_not_pass_is_told(made: Scene, outcome: Outcome) -> None:
    report = await report_of(made, (*PASSED[1:], outcome))

    with pytest.raises(InvalidReport, match=outcome) as refusal:
        check_sampled(drawn(made, report), report)
    assert refusal.value.check == 11


async def test_11_another_job_at_its_entry_is_told(made: Scene) -> None:
    report = await report_of(made)
    *rest, last = report.runs
    moved = msgspec.structs.replace(report, runs=(*rest, msgspec.structs.replace(last, job=prefixed(bytes(32)))))

    with pytest.raises(InvalidReport, match="the run is job") as refusal:
        check_sampled(drawn(made, report), moved)
    assert refusal.value.check == 11


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.SUSPECT])
async def test_12_a_node_that_came_out_badly_vouches_for_no_run(made: Scene, outcome: Outcome) -> None:
    report = await report_of(made, (*PASSED[1:], outcome))

    with pytest.raises(InvalidReport, match="came out of it as") as refusal:
        check_sampled(left_out(made, report), report)
    assert refusal.value.check == 12


async def test_a_report_that_does_not_hold_is_refused_first(made: Scene) -> None:
    report = await report_of(made)

    with pytest.raises(InvalidReport) as refusal:
        await find_sampled(made.runs[0], msgspec.structs.replace(report, at_most_millionths=1), made.ledger)
    assert refusal.value.check == 3
    with pytest.raises(InvalidReport) as refusal:
        await find_sampled(made.runs[0], msgspec.structs.replace(report, root=prefixed(bytes(32))), made.ledger)
    assert refusal.value.check == 6


async def test_the_command_names_the_level_and_whose_word_it_is(
    made: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, made.ledger, monkeypatch)
    stage.nodes.append(made.node)
    report = await report_of(made)
    sample = tmp_path / "sample.json"
    write_report(sample, sign_report(report, STRANGER))
    for bundle, level in ((drawn(made, report), "replayed"), (left_out(made, report), "sampled")):
        path = stage.save("a.tally", bundle)
        plain = await stage.ran("verify", path, "--json")
        found = await stage.ran("verify", path, "--sample", sample, "--json")
        shown = await stage.ran("verify", path, "--sample", sample)

        assert (plain.code, plain.json["level"], plain.json["sample"]) == (0, "anchored", None)
        assert (found.code, found.json["level"]) == (0, level)
        assert f"Evidence level: {level}." in shown.words and f"Auditor {report.auditor}" in shown.words


async def test_the_command_takes_no_sample_offline(
    made: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, made.ledger, monkeypatch)
    sample = tmp_path / "sample.json"
    write_report(sample, sign_report(await report_of(made), STRANGER))
    found = await stage.ran("verify", stage.save("a.tally", made.runs[0]), "--sample", sample, "--offline")

    assert found.code == 2 and "is on the chain" in found.stderr
