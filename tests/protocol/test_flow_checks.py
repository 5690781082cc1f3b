"""Flow files: start with one that holds, break one thing, and see it named with its step and its number."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from msgspec import structs

from tallynet.protocol.bundle_checks import State
from tallynet.protocol.bundle_openings import opened_request
from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import Critic, Flow, Kind, Map, Step
from tallynet.protocol.flow_checks import FLOW_CHECKS, VerifiedFlow, flow_checks, verify_flow
from tallynet.protocol.flow_file import FlowFile, parse_flow, write_flow
from tallynet.protocol.flow_plan import OpenedInput
from tallynet.protocol.job import Sampling
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import decode_request
from tests.protocol.examples import CLIENT, DOMAIN, STRANGER, digest
from tests.protocol.flows import (
    capitals,
    changed,
    closed,
    everything,
    run_flow,
    scripted,
    with_plan,
    with_tasks,
    with_text,
)


@pytest.fixture(scope="module")
def file() -> FlowFile:
    return run_flow(capitals())


@pytest.fixture(scope="module")
def rich() -> FlowFile:
    return run_flow(everything(), scripted)


def verified(file: FlowFile) -> VerifiedFlow:
    return verify_flow(parse_flow(write_flow(file)), DOMAIN)


def refused(file: FlowFile) -> InvalidFlow:
    with pytest.raises(InvalidFlow) as caught:
        verified(file)
    return caught.value


def test_a_whole_flow_holds(file: FlowFile) -> None:
    told: list[str] = []
    found = verify_flow(parse_flow(write_flow(file)), DOMAIN, lambda step: told.append(step.name))

    assert told == ["capital", "french", "river", "merge", "title"]
    assert found.result.value == "<A title for: <<In French: <What is the capital of Japan?>> / " \
        "<A river near <What is the capital of Japan?>, Japan?>>>"  # fmt: skip
    assert [len(step.runs[0].bundle.job.job.parents) for step in found.steps] == [0, 1, 1, 2, 1]
    assert [(number, state) for number, state, _ in flow_checks(found)] == [(n, State.OK) for n in range(1, 12)]
    assert set(FLOW_CHECKS) == set(range(1, 14))


def test_every_decision_is_made_again(rich: FlowFile) -> None:
    found = {step.name: step for step in verified(rich).steps}

    assert {name: len(step.runs) for name, step in found.items()} == {
        "points": 1, "notes": 3, "short": 3, "sum": 3, "best": 3, "essay": 4,
    }  # fmt: skip
    assert found["notes"].result.value[1] == "<2. second on trees>"
    assert [run.bundle.job.job.parents for run in found["short"].runs] == [
        (run.leaf.output,) for run in found["notes"].runs
    ]
    assert found["sum"].result.said == "3 jobs in 2 rounds"
    assert found["best"].result.said == "ballot 1 wins, 3 of 3 say so"
    assert len({run.leaf.model for run in found["best"].runs}) == 2
    assert found["essay"].result.said == "accepted in round 2"
    assert found["essay"].result.behind == tuple(run.leaf.output for run in found["essay"].runs[2:])


def test_a_task_s_requests_say_what_they_were_made_from() -> None:
    file = run_flow(with_tasks())
    requests = [opened_request(run.bundle.opening) for step in verified(file).steps for run in step.runs]
    french, which = (decode_request(request) for request in requests if request)
    tasks = {name: step.task for name, step in file.plan.flow.steps.items()}

    assert [french.template, which.template] == [task and task.digest for task in tasks.values()]
    assert french.documents == ()
    assert which.documents == tuple(sha256(text.encode()).digest() for text in ("cat", "<Translate into French: cat>"))


def test_critiques_are_in_nobody_s_words() -> None:
    flow = with_tasks()
    critic = Critic(prompt="Good? {{ draft }}", accept="no", revise="{{ draft }}", rounds=1)
    steps = {"french": structs.replace(flow.steps["french"], critic=critic)}
    (step,) = verified(run_flow(structs.replace(flow, steps=steps))).steps
    requests = [opened_request(run.bundle.opening) for run in step.runs]

    assert [decode_request(request).template is None for request in requests if request] == [False, True, True]


def test_another_template_than_the_job_was_asked_with() -> None:
    file = run_flow(with_tasks())
    french = file.plan.flow.steps["french"]
    assert french.task is not None
    other = structs.replace(french, task=structs.replace(french.task, digest=digest("another")))
    error = refused(with_plan(file, steps={**file.plan.flow.steps, "french": other}))

    assert (error.step, error.check) == ("french", 9)


@pytest.mark.parametrize("step", ["capital", "french", "river", "merge", "title"])
def test_an_altered_answer_fails_by_the_name_of_its_step(file: FlowFile, step: str) -> None:
    error = refused(changed(file, step, with_text))

    assert (error.step, error.check) == (step, 4)
    assert f"step '{step}'" in str(error)
    assert "(7)" in str(error)


@pytest.mark.parametrize("step", ["capital", "french", "river", "merge", "title"])
def test_an_altered_template_fails_by_the_name_of_its_step(file: FlowFile, step: str) -> None:
    steps = dict(file.plan.flow.steps)
    steps[step] = msgspec.structs.replace(steps[step], prompt=steps[step].prompt + " ")
    error = refused(with_plan(file, steps=steps))

    assert (error.step, error.check) == (step, 9)


def altered(file: FlowFile, step: str, **changes: Any) -> FlowFile:
    steps = dict(file.plan.flow.steps)
    steps[step] = msgspec.structs.replace(steps[step], **changes)
    return with_plan(file, steps=steps)


def shaped(file: FlowFile, step: str, shape: str, **changes: Any) -> FlowFile:
    old = getattr(file.plan.flow.steps[step], shape)
    return altered(file, step, **{shape: msgspec.structs.replace(old, **changes)})


def test_other_sampling_than_the_step_says(file: FlowFile) -> None:
    error = refused(altered(file, "river", temperature=0.0))

    assert (error.step, error.check) == ("river", 6)


def test_another_model_than_the_plan_names(file: FlowFile) -> None:
    models = {**file.plan.models, "two": file.plan.models["one"]}
    error = refused(replace(file, plan=msgspec.structs.replace(file.plan, models=models)))

    assert (error.step, error.check) == ("river", 6)


@pytest.mark.parametrize(
    ("step", "shape", "changes", "check"),
    [
        ("best", "vote", {"ballots": 2}, 5),
        ("best", "vote", {"ballots": 4}, 5),
        ("best", "vote", {"by": "agreement"}, 10),
        ("essay", "critic", {"accept": "Never"}, 5),
        ("essay", "critic", {"accept": "N"}, 5),
        ("sum", "reduce", {"width": 3}, 8),
        ("notes", "map", {"most": 2}, 5),
    ],
    ids=range(7),
)
def test_an_altered_rule_is_found(rich: FlowFile, step: str, shape: str, changes: dict[str, Any], check: int) -> None:
    error = refused(shaped(rich, step, shape, **changes))

    assert error.check == check
    assert error.step == (step if check != 10 else "points")


def test_a_run_that_is_missing(rich: FlowFile) -> None:
    error = refused(replace(rich, runs=tuple(run for run in rich.runs if (run.step, run.place) != ("best", 2))))

    assert (error.step, error.check) == ("best", 5)


def test_a_run_too_many(file: FlowFile) -> None:
    extra = replace(file.runs[-1], place=1)
    error = refused(replace(file, runs=(*file.runs, extra)))

    assert (error.step, error.check) == ("title", 5)


def test_runs_in_another_order(file: FlowFile, rich: FlowFile) -> None:
    assert refused(replace(file, runs=file.runs[::-1])).check == 5
    assert refused(replace(file, runs=(replace(file.runs[0], step="stranger"), *file.runs[1:]))).check == 5
    swapped = [*rich.runs]
    swapped[1], swapped[2] = replace(swapped[2], place=0), replace(swapped[1], place=1)
    assert refused(replace(rich, runs=tuple(swapped))).step == "notes"


def test_two_steps_swapped(file: FlowFile) -> None:
    runs = list(file.runs)
    runs[1], runs[2] = replace(runs[2], step="french"), replace(runs[1], step="river")
    error = refused(replace(file, runs=tuple(runs)))

    assert (error.step, error.check) == ("french", 6)


def test_an_answer_that_was_cut_short() -> None:
    file = run_flow(capitals(), status=lambda step, place: Status.CANCELLED if step == "river" else Status.EOS)
    error = refused(file)

    assert (error.step, error.check) == ("river", 7)


def test_an_answer_that_is_closed(file: FlowFile) -> None:
    error = refused(changed(file, "merge", lambda bundle: bundle.closed()))

    assert (error.step, error.check) == ("merge", 7)


@pytest.mark.parametrize("parents", [(), (digest("a stranger's output"),)], ids=["none", "another"])
def test_a_job_that_hides_what_it_builds_on(parents: tuple[bytes, ...]) -> None:
    def change(step: str, place: int, job: Any) -> Any:
        return msgspec.structs.replace(job, parents=parents) if step == "merge" else job

    error = refused(run_flow(capitals(), change_job=change))

    assert (error.step, error.check) == ("merge", 8)


def test_a_job_of_another_run_of_the_flow() -> None:
    def change(step: str, place: int, job: Any) -> Any:
        return msgspec.structs.replace(job, nonce=digest("another")) if step == "river" else job

    error = refused(run_flow(capitals(), change_job=change))

    assert (error.step, error.check) == ("river", 10)


def test_a_job_of_another_client() -> None:
    error = refused(run_flow(capitals(), client=lambda step, place: STRANGER if step == "title" else CLIENT))

    assert (error.step, error.check) == ("title", 10)


def test_sampling_that_was_not_asked_for() -> None:
    def change(step: str, place: int, job: Any) -> Any:
        return msgspec.structs.replace(job, sampling=Sampling(7)) if step == "title" else job

    assert refused(run_flow(capitals(), change_job=change)).check == 6


def test_another_network(file: FlowFile) -> None:
    with pytest.raises(InvalidFlow, match="run 0: bundle check \\(2\\)") as caught:
        verify_flow(parse_flow(write_flow(file)), replace(DOMAIN, chain_id=5))

    assert caught.value.check == 4


# --- inputs ----------------------------------------------------------------------------------------------


def test_another_input_than_was_committed_to(file: FlowFile) -> None:
    value = replace(file.opened["country"], value="China")
    error = refused(replace(file, opened={"country": value}))

    assert error.check == 3


def test_another_commitment_fails_at_what_was_signed(file: FlowFile) -> None:
    value = OpenedInput(digest("another salt"), "Japan")
    plan = msgspec.structs.replace(file.plan, inputs={"country": value.commitment})
    error = refused(replace(file, plan=plan, opened={"country": value}))

    assert (error.step, error.check) == ("capital", 10)


def test_a_closed_input_hides_the_prompts_that_name_it(file: FlowFile) -> None:
    shut = closed(file, "country", ["capital", "river"])
    data = write_flow(shut)
    found = verify_flow(parse_flow(data), DOMAIN)

    assert [step.prompts for step in found.steps] == [State.SKIPPED, State.OK, State.SKIPPED, State.OK, State.OK]
    assert {number: state for number, state, _ in flow_checks(found)}[9] is State.SKIPPED
    assert found.steps[0].result.value == "<What is the capital of Japan?>"
    assert b'"Japan"' not in data


def test_a_closed_input_still_leaves_the_parents_proven(file: FlowFile) -> None:
    shut = closed(file, "country", ["capital", "river"])
    runs = [run if run.step != "river" else replace(shut.runs[1], step="river") for run in shut.runs]
    error = refused(replace(shut, runs=tuple(runs)))

    assert (error.step, error.check) == ("river", 6)


def test_an_input_that_a_map_goes_over_cannot_be_closed() -> None:
    flow = Flow("x", {"a": Step("one", "{{ item }}", map=Map("tones"))}, {"tones": Kind.LIST})
    error = refused(closed(run_flow(flow), "tones", ["a"]))

    assert (error.step, error.check) == ("a", 5)
    assert "closed" in str(error)


# --- the file --------------------------------------------------------------------------------------------


def test_a_file_has_one_form(rich: FlowFile) -> None:
    data = write_flow(rich)

    assert parse_flow(data).file == rich
    assert write_flow(parse_flow(data).file) == data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tallynet-flow@v1", b"tallynet-flow@v2"),
        (b"sha256 ", b"sha512 "),
        (b'plan {"flow"', b'plan {"flaw"'),
        (b'plan {"flow"', b'plan { "flow"'),
        (b"secret ", b"secrets "),
        (b"secret ", b"secret A"),
        (b'"Japan"', b'"Jap\\u0061n"'),
        (b'"Japan"', b"7"),
        (b"input country", b"input county"),
        (b"run capital 0", b"run capital 00"),
        (b"run capital 0", b"run capital"),
        (b"run title 0 ", b"run title 0 9"),
    ],
    ids=range(12),
)
def test_a_file_in_another_form_is_refused(file: FlowFile, old: bytes, new: bytes) -> None:
    data = write_flow(file)
    assert old in data

    with pytest.raises(InvalidFlow) as caught:
        parse_flow(data.replace(old, new, 1))
    assert caught.value.check == 1


def test_a_file_cut_anywhere_is_refused(file: FlowFile) -> None:
    data = write_flow(file)
    for end in range(0, len(data), 977):
        with pytest.raises(InvalidFlow):
            verify_flow(parse_flow(data[:end]), DOMAIN)


def test_a_change_that_nothing_else_binds_is_found_by_the_second_line(file: FlowFile) -> None:
    data = write_flow(file)
    line = data.split(b"\n")[1]
    with pytest.raises(InvalidFlow) as caught:
        verify_flow(parse_flow(data.replace(line, b"sha256 " + b"A" * 43 + b"=")), DOMAIN)

    assert caught.value.check == 11


def test_any_changed_byte_is_found(file: FlowFile) -> None:
    data = write_flow(file)
    for at in range(3, len(data), 811):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(InvalidFlow):
            verify_flow(parse_flow(broken), DOMAIN)


def test_too_many_runs_are_refused(file: FlowFile) -> None:
    runs = tuple(replace(file.runs[0], place=place, bundle=b"x\n") for place in range(257))

    with pytest.raises(InvalidFlow, match="more than 256 runs"):
        parse_flow(write_flow(replace(file, runs=runs)))
