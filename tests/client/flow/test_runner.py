"""Running flows in a network in memory: concurrency, failures, and going on where one ended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from tallynet.client import AsyncClient
from tallynet.client.flow import FinishedFlow, Flow, Kind, Map, Reduce, Step, StepProgress, StepState, Vote, run_flow
from tallynet.client.flow.anchors import anchor_flow, anchored_runs
from tallynet.client.flow.journal import open_journal
from tallynet.network.memory import MemoryTransport
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidFlow, Misconfigured, NoNodes, Refused, StepFailed
from tallynet.protocol.flow_checks import verify_flow
from tallynet.protocol.flow_file import parse_flow, write_flow
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import Digest, ModelId
from tests.client.scripted_node import TEXT, leaf_with
from tests.client.test_resume import gone_at
from tests.client.world import World, clock
from tests.protocol.examples import STRANGER

OTHER = ModelId(bytes(31) + b"\x09")
INPUT = {"country": "Japan"}


def five_steps() -> Flow:
    """Two models, a fan-out and its join."""
    return Flow(
        "capitals",
        {
            "capital": Step("tally-tiny", "The capital of {{ country }}?"),
            "french": Step("tally-tiny", "In French: {{ capital }}"),
            "river": Step("other", "A river of {{ capital }}?"),
            "merge": Step("other", "{{ french }} {{ river }}"),
            "title": Step("tally-tiny", "{{ merge }}"),
        },
        {"country": Kind.TEXT},
    )


@pytest.fixture
async def both(world: World) -> World:
    """A node of each model."""
    await world.node()
    await world.node(model=OTHER, name="other")
    return world


async def run(world: World, folder: Path, flow: Flow | None = None, **options: Any) -> FinishedFlow:
    async with world.client() as client:
        return await run_flow(client, flow or five_steps(), INPUT, state=folder, **options)


def submits(world: World) -> int:
    return sum(len(node.submits) for node in world.nodes)


async def test_a_flow_runs_and_its_file_holds(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    told: list[StepProgress] = []
    finished = await run(both, tmp_path, tell=told.append)

    found = verify_flow(parse_flow(write_flow(finished.file)), both.ledger.domain)
    assert finished.value == found.result.value == TEXT
    assert finished.price == 5 * (2 * 5 + 3 * 5)
    assert [len(step.runs[0].bundle.job.job.parents) for step in found.steps] == [0, 1, 1, 2, 1]
    assert submits(both) == 5
    assert [step.step for step in told if step.state is StepState.DONE][0] == "capital"
    assert told[-1] == StepProgress("title", StepState.DONE, 1, 1)


async def test_the_branches_of_a_fan_out_run_together(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    for node in both.nodes:
        node.pause = 1.0
    began = trio.current_time()
    await run(both, tmp_path / "together")
    together = trio.current_time() - began
    began = trio.current_time()
    await run(both, tmp_path / "one by one", at_once=1)

    assert together == pytest.approx(4 * 3, abs=1)
    assert trio.current_time() - began == pytest.approx(5 * 3, abs=1)


async def test_map_reduce_and_vote(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    both.nodes[0].pieces = (ChunkBody((1,), "a\nb\nc", (-1.0,)),)
    flow = Flow(
        "shapes",
        {
            "list": Step("tally-tiny", "List: {{ country }}"),
            "each": Step("other", "{{ item }}", map=Map("list")),
            "sum": Step("other", "{{ items|join(', ') }}", reduce=Reduce("each", width=2)),
            "best": Step("tally-tiny", "{{ sum }}", vote=Vote(3, also=("other",))),
        },
        {"country": Kind.TEXT},
    )
    finished = await run(both, tmp_path, flow)

    assert submits(both) == 1 + 3 + 3 + 3
    assert finished.results["each"].value == (TEXT, TEXT, TEXT)
    assert finished.results["best"].said == "ballot 1 wins, 2 of 3 say so"
    assert verify_flow(parse_flow(write_flow(finished.file)), both.ledger.domain).result.value == "a\nb\nc"


async def test_a_failed_step_is_named_and_the_other_branch_goes_on(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    both.nodes[1].refusals = [Refused("no", reason="not today")]
    with pytest.raises(StepFailed, match="step 'river': run 0 on other: .*refuses") as caught:
        await run(both, tmp_path)

    assert caught.value.step == "river"
    assert "--resume" in caught.value.remedy
    assert len(both.nodes[0].submits) == 2

    finished = await run(both, tmp_path, resume=True)
    assert finished.value == TEXT
    assert len(both.nodes[0].submits) == 3


async def test_a_crash_runs_no_finished_step_again(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    """Cancelled in the middle of the fan-out, as by Ctrl-C: what is finished stays."""
    both.nodes[1].pause = 5.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, both, tmp_path)
        await trio.sleep(7)
        nursery.cancel_scope.cancel()
    assert [node.log.size for node in both.nodes] == [2, 0]

    both.nodes[1].pause = 0.0
    finished = await run(both, tmp_path, resume=True)

    assert finished.value == TEXT
    assert [node.log.size for node in both.nodes] == [3, 2]

    assert len({submit.signed.signature for submit in both.nodes[1].submits}) == 2


async def test_a_job_whose_answer_was_lost_is_sent_again_as_it_is(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """The node did the job and the client never heard: the same job again, nothing run or paid twice."""
    both.nodes[1].disturb = gone_at(4)
    with pytest.raises(StepFailed, match="step 'river'") as caught:
        await run(both, tmp_path)
    assert "--ask-others" in caught.value.remedy
    both.nodes[1].disturb = gone_at(99)
    sent = both.nodes[1].submits[0]

    finished = await run(both, tmp_path, resume=True)

    assert {submit.signed.signature for submit in both.nodes[1].submits[:9]} == {sent.signed.signature}
    assert both.nodes[1].log.size == 2
    assert len({run.step for run in finished.file.runs}) == 5


async def test_only_the_node_that_had_the_job_is_asked(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    lost = both.nodes[1]
    lost.disturb = gone_at(4)
    with pytest.raises(StepFailed):
        await run(both, tmp_path)
    other = await both.node(model=OTHER, name="other", tokens_per_second=10_000)
    lost.disturb = gone_at(0)

    with pytest.raises(StepFailed, match="step 'river'"):
        await run(both, tmp_path, resume=True)
    assert other.submits == []

    finished = await run(both, tmp_path, resume=True, ask_others=True)
    assert finished.value == TEXT
    assert other.log.size == 2


async def test_a_job_that_its_node_refuses_to_take_up_is_signed_anew(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    both.nodes[1].disturb = gone_at(4)
    with pytest.raises(StepFailed):
        await run(both, tmp_path)
    both.nodes[1].disturb = gone_at(99)
    both.nodes[1].refusals = [Refused("the node lost power in the middle of this job", reason="interrupted")]
    finished = await run(both, tmp_path, resume=True)

    assert finished.value == TEXT
    signed = {submit.signed.signature for submit in both.nodes[1].submits}
    assert len(signed) == 3
    assert verify_flow(parse_flow(write_flow(finished.file)), both.ledger.domain)


async def test_a_job_whose_deadline_is_over_is_signed_anew(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    both.nodes[1].disturb = gone_at(4)
    with pytest.raises(StepFailed):
        await run(both, tmp_path, deadline_seconds=60)
    both.nodes[1].disturb = gone_at(99)
    await trio.sleep(120)

    finished = await run(both, tmp_path, resume=True)
    assert finished.value == TEXT


async def test_an_answer_that_was_cut_short_is_asked_for_anew(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """As by a node that noticed that the client was gone, and logged the part that it had done."""
    ended = [Status.CANCELLED]
    both.nodes[1].change_leaf = lambda leaf: replace(leaf, status=ended.pop()) if ended else leaf
    finished = await run(both, tmp_path)

    assert finished.value == TEXT
    assert both.nodes[1].log.size == 3
    assert verify_flow(parse_flow(write_flow(finished.file)), both.ledger.domain)


async def test_an_answer_that_is_cut_short_again_and_again_fails_its_step(
    both: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    both.nodes[1].change_leaf = leaf_with(status=Status.DEADLINE)
    with pytest.raises(StepFailed, match="step 'river': run 0 on other: 3 jobs and no whole answer, at last: deadline"):
        await run(both, tmp_path)


async def test_a_node_that_cheats_is_asked_no_more(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    both.nodes[1].change_leaf = leaf_with(output=Digest(bytes(32)))
    with pytest.raises(StepFailed, match="step 'river': run 0 on other: .*has sent something invalid|sent something"):
        await run(both, tmp_path)
    assert len(both.nodes[1].submits) == 1

    honest = await both.node(model=OTHER, name="other")
    finished = await run(both, tmp_path, resume=True)
    assert finished.value == TEXT
    assert honest.log.size == 2


async def test_too_many_items_end_the_flow_at_its_step(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    both.nodes[0].pieces = (ChunkBody((1,), "a\nb\nc", (-1.0,)),)
    flow = Flow(
        "few", {"list": Step("tally-tiny", "?"), "each": Step("tally-tiny", "{{ item }}", map=Map("list", most=2))}
    )
    async with both.client() as client:
        with pytest.raises(InvalidFlow, match="step 'each': 'list' has 3 items"):
            await run_flow(client, flow, {}, state=tmp_path)


# --- the folder ------------------------------------------------------------------------------------------


async def test_a_folder_is_for_one_run(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No flow was begun"):
        await run(both, tmp_path, resume=True)
    await run(both, tmp_path)
    with pytest.raises(Misconfigured, match="begun in this folder already"):
        await run(both, tmp_path)
    again = await run(both, tmp_path, resume=True)

    assert submits(both) == 5
    assert again.value == TEXT


async def test_a_changed_definition_or_input_is_refused(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    await run(both, tmp_path)
    async with both.client() as client:
        with pytest.raises(Misconfigured, match="inputs are others"):
            await run_flow(client, five_steps(), {"country": "China"}, state=tmp_path, resume=True)
        with pytest.raises(Misconfigured, match="definition is another"):
            changed = msgspec.structs.replace(five_steps(), name="other")
            await run_flow(client, changed, INPUT, state=tmp_path, resume=True)


async def test_another_key_or_network_is_refused(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    """One client signs all jobs of a flow, for one chain: a file of two would prove nothing."""
    await run(both, tmp_path)
    network = msgspec.structs.replace(both.network(), chain_id=7)
    stranger = MemoryTransport(both.net, STRANGER, listen=False)
    async with both.client(network) as client:
        with pytest.raises(Misconfigured, match="another key, or on another network"):
            await run_flow(client, five_steps(), INPUT, state=tmp_path, resume=True)
    async with AsyncClient(
        both.network(), key=STRANGER, transport=stranger, ledger=both.ledger, clock=clock, keep=False
    ) as client:
        with pytest.raises(Misconfigured, match="another key, or on another network"):
            await run_flow(client, five_steps(), INPUT, state=tmp_path, resume=True)


async def test_two_at_once_in_one_folder_are_refused(both: World, tmp_path: Path) -> None:
    with open_journal(tmp_path), pytest.raises(Misconfigured, match="running in"):
        await run(both, tmp_path)


async def test_the_folder_is_for_the_user_alone(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    await run(both, tmp_path / "new")

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "flow.sqlite").stat().st_mode & 0o777 == 0o600


async def test_a_damaged_journal_is_named(both: World, tmp_path: Path) -> None:
    (tmp_path / "flow.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(Misconfigured, match="cannot be read"):
        await run(both, tmp_path)


@pytest.mark.parametrize("inputs", [{}, {"country": ("a", "b")}, {"country": "x", "more": "y"}], ids=range(3))
async def test_inputs_that_do_not_fit_are_refused(
    both: World, autojump_clock: MockClock, tmp_path: Path, inputs: dict[str, Any]
) -> None:
    async with both.client() as client:
        with pytest.raises(InvalidFlow) as caught:
            await run_flow(client, five_steps(), inputs, state=tmp_path)

    assert caught.value.check == 3
    assert submits(both) == 0


async def test_nothing_is_asked_while_a_model_is_missing(
    world: World, autojump_clock: MockClock, tmp_path: Path
) -> None:
    await world.node()
    with pytest.raises(NoNodes, match="other"):
        await run(world, tmp_path)

    assert submits(world) == 0


# --- the file --------------------------------------------------------------------------------------------


async def test_anchors_are_put_into_the_file(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    async with both.client() as client:
        finished = await run_flow(client, five_steps(), INPUT, state=tmp_path)
        for node in both.nodes[:1]:
            await node.anchor(both.ledger)
        file = await anchor_flow(client, finished.file, 1)

    assert anchored_runs(finished.file) == 0
    assert anchored_runs(file) == 3
    assert verify_flow(parse_flow(write_flow(file)), both.ledger.domain)


async def test_a_saved_file_can_keep_an_input_to_itself(both: World, autojump_clock: MockClock, tmp_path: Path) -> None:
    finished = await run(both, tmp_path / "state")
    path = finished.save(tmp_path / "f.flow.tally", close=["country"])

    assert path.stat().st_mode & 0o777 == 0o600
    found = verify_flow(parse_flow(path.read_bytes()), both.ledger.domain)
    assert [step.name for step in found.steps if step.prompts == "skipped"] == ["capital"]
    assert read_bundle(found.file.runs[0].bundle).opening != read_bundle(finished.file.runs[0].bundle).opening
    with pytest.raises(Misconfigured, match="no input 'x'"):
        finished.save(path, close=["x"])
