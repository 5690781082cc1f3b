"""Thresholds from honest runs: how they follow from scores, and a small calibration from end to end."""

from pathlib import Path

import msgspec
import pytest

from tallynet.audit.calibration import Plan, calibrate, jobs, tokens_needed, try_held_out
from tallynet.audit.scores import Scores, area, fit, power, quantile, split
from tallynet.audit.thresholds import ANY, Bound, ThresholdFile, loosest, read_thresholds
from tallynet.engine.manifest import read_manifest
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import prefixed
from tests.engine.checkpoints import make_checkpoint

HONEST = [
    Scores("cell", number, 100, number % 2, 0.01 * number, 0.001, 0.002, 0.01 + 0.0001 * number, 7, -3.0)
    for number in range(20)
]


def test_nothing_honest_fails_its_own_thresholds() -> None:
    found = fit(HONEST, {}, both_float32=True)

    for one in HONEST:
        assert one.worst <= found.slack / 3
        for mean, count, bound in (
            (one.margin, one.tokens, found.margin),
            (one.logprob, one.tokens, found.logprob),
            (one.sketch, one.groups, found.sketch),
        ):
            assert mean <= bound.limits(count)[1]


def test_rate_of_mismatches_is_well_above_what_was_seen() -> None:
    assert fit(HONEST, {}, both_float32=True).mismatches > 3 * 10 / 2000


def test_bound_narrows_with_the_number() -> None:
    assert Bound(0.1, 0.2, 0.4).limits(4) == pytest.approx((0.2, 0.3))
    assert Bound(0.1, 0.2, 0.4).limits(400) == pytest.approx((0.11, 0.12))


def test_split_puts_no_prompt_on_both_sides() -> None:
    used, held = split(HONEST)

    assert len(used) == len(held) == 10
    assert not {one.prompt for one in used} & {one.prompt for one in held}


def test_roc_of_known_scores() -> None:
    assert area([0, 1, 2], [3, 4]) == 1
    assert area([0, 1], [0, 1]) == 0.5
    assert power([0, 1, 2, 3], [2.5, 3.5], 0.25) == 1
    assert quantile([5, 1, 3], 0.5) == 3


def test_attack_that_scores_like_an_honest_node_is_never_found() -> None:
    needed = tokens_needed(HONEST[:1], fit(HONEST, {}, both_float32=True))

    assert needed["tokens_by_margin"] is None and needed["tokens_by_sketch"] is None


def test_stronger_attack_needs_fewer_tokens() -> None:
    limits = fit(HONEST, {}, both_float32=True)
    weak, strong = ([Scores("attack", 0, 100, 20, 1.0, margin, margin, margin, 7, 0.0)] for margin in (0.1, 0.4))

    for name, count in tokens_needed(strong, limits).items():
        assert (count or 0) <= (tokens_needed(weak, limits)[name] or 0)


def test_jobs_are_the_same_every_time(small: tuple[Path, ThresholdFile]) -> None:
    from tallynet.engine.hardware import choose_hardware
    from tallynet.engine.replay import Replayer

    replayer = Replayer(small[0], choose_hardware("cpu", "float32"))
    assert jobs(replayer, 30, 8) == jobs(replayer, 30, 8)
    assert len({job.sampling for job in jobs(replayer, 30, 8)}) == 6


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ThresholdFile]:
    directory = make_checkpoint("llama", tmp_path_factory.mktemp("models") / "llama")
    return directory, calibrate(directory, Plan(("float32",), 4, 16), lambda text: None, prompts=("one", "two", "six"))


def test_calibration_keeps_every_score(small: tuple[Path, ThresholdFile]) -> None:
    directory, found = small

    assert found.evidence["model"] == prefixed(read_manifest(directory).model_id)
    assert len(found.evidence["scores"]["float32/float32"]) == 4 * 6
    assert found.evidence["held_out"]["float32/float32"]["fail"] == 0


def test_calibration_reads_as_it_was_written(small: tuple[Path, ThresholdFile], tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_bytes(msgspec.json.encode(small[1]))

    assert read_thresholds(path).pairs == small[1].pairs


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other", "pairs": {}, "evidence": {}}'])
def test_what_is_no_calibration_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(text)

    with pytest.raises(Misconfigured):
        read_thresholds(path)


def test_shipped_thresholds_have_their_evidence() -> None:
    """Each pair's thresholds follow again from the scores beside them."""
    shipped = read_thresholds()

    for pair, rows in shipped.evidence["scores"].items():
        used, held = split(Scores(*row) for row in rows)
        pairings = {name: (alone, claim) for name, (alone, claim) in shipped.evidence["pairings"][pair].items()}
        assert fit(used, pairings, both_float32=pair == "float32/float32") == shipped.pairs[pair]
        assert try_held_out(held, shipped.pairs[pair]) == shipped.evidence["held_out"][pair]
        assert shipped.evidence["held_out"][pair]["fail"] == 0


def test_unknown_pair_gets_the_loosest_thresholds() -> None:
    shipped = read_thresholds()

    name, limits = shipped.of(None, "float16")
    assert name == ANY and limits == loosest(shipped.pairs.values())
    assert all(limits.slack >= one.slack for one in shipped.pairs.values())
