"""`tallynet audit flow`: what it prints, its JSON, its exit codes, and the anchors that it finds on the way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tallynet.audit.anchoring import Chain
from tallynet.audit.flow_audit import audit_flow_offline, audit_flow_online
from tallynet.audit.verdict import Verdict
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.flow_closing import close_inputs
from tallynet.protocol.flow_file import FlowFile, parse_flow, write_flow
from tests.audit.examples import DOMAIN, ExampleNode
from tests.audit.staging import Stage
from tests.audit.test_verify import nowhere, served
from tests.protocol.flows import Place, capitals, changed, run_flow, with_tasks, with_text


@dataclass(frozen=True)
class Flown:
    """A flow of five runs by a node that is registered; nothing is anchored yet."""

    file: FlowFile
    node: ExampleNode
    ledger: MemoryLedger


@pytest.fixture
async def flown() -> Flown:
    node, ledger = ExampleNode(), MemoryLedger()
    await node.register(ledger)
    return Flown(run_flow(capitals(), where=Place(DOMAIN, node.key, node.append)), node, ledger)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flown: Flown) -> Stage:
    built = Stage(tmp_path, flown.ledger, monkeypatch)
    built.nodes.append(flown.node)
    return built


def save(stage: Stage, file: FlowFile) -> Path:
    path = stage.folder / "f.flow.tally"
    path.write_bytes(write_flow(file))
    path.chmod(0o600)
    return path


async def test_a_flow_holds_offline(stage: Stage, flown: Flown) -> None:
    path = save(stage, flown.file)
    found = await stage.ran("flow", path, "--offline")

    assert found.code == 0
    assert found.words.startswith("✓ capital 1 run <What is the capital of Japan?> ✓ french 1 run <In French: ")
    assert "(9) ✓ each prompt is what the template makes 5 prompts" in found.words
    assert "(12) – the contract knows the anchor of every run offline" in found.words
    assert "NOT proven" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert parse_flow(path.read_bytes()).file == flown.file


async def test_anchors_are_found_and_saved(stage: Stage, flown: Flown) -> None:
    path = save(stage, flown.file)
    pending = await stage.ran("flow", path, "--json")
    assert (pending.code, pending.json["verdict"], pending.json["upgraded"]) == (3, "pending", False)

    await flown.node.anchor(flown.ledger)
    found = await stage.ran("flow", path, "--json")

    assert (found.code, found.json["verdict"], found.json["upgraded"]) == (0, "ok", True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(read_bundle(run.bundle).inclusion for run in parse_flow(path.read_bytes()).file.runs)
    assert (await stage.ran("flow", path, "--json")).json["upgraded"] is False


async def test_a_file_can_be_left_as_it_is(stage: Stage, flown: Flown) -> None:
    path = save(stage, flown.file)
    await flown.node.anchor(flown.ledger)

    assert (await stage.ran("flow", path, "--no-upgrade")).code == 0
    assert parse_flow(path.read_bytes()).file == flown.file


async def test_json_tells_the_graph(stage: Stage, flown: Flown) -> None:
    told: dict[str, Any] = (await stage.ran("flow", save(stage, flown.file), "--offline", "--json")).json

    assert (told["flow"], told["price_wei"], told["failed_step"]) == ("capitals", "100", None)
    outputs = {step["name"]: [run["output"] for run in step["runs"]] for step in told["steps"]}
    parents = {step["name"]: step["runs"][0]["parents"] for step in told["steps"]}
    assert parents["merge"] == outputs["french"] + outputs["river"]
    assert parents["title"] == outputs["merge"]
    assert told["result"] == told["steps"][-1]["result"]


@pytest.mark.parametrize("step", ["river", "title"])
async def test_an_altered_step_fails_by_its_name(stage: Stage, flown: Flown, step: str) -> None:
    path = save(stage, changed(flown.file, step, with_text))
    found = await stage.ran("flow", path, "--offline")
    told = (await stage.ran("flow", path, "--json")).json

    assert found.code == 1
    assert f"FAILED at check (4) step '{step}': run 0: bundle check (7)" in found.words
    assert (told["verdict"], told["failed_step"], told["failed_check"]) == ("failed", step, 4)
    names: Any = told["steps"]
    assert step not in [shown["name"] for shown in names]


async def test_a_closed_input_is_told(stage: Stage, flown: Flown) -> None:
    found = await stage.ran("flow", save(stage, close_inputs(flown.file, ["country"])), "--offline")

    assert found.code == 0
    assert "not of capital, river: an input is closed" in found.words


# --- tasks -----------------------------------------------------------------------------------------------


async def test_the_words_of_a_template_that_does_not_ship_are_told_as_not_checked(stage: Stage) -> None:
    path = save(stage, run_flow(with_tasks(), where=Place(DOMAIN)))
    found = await stage.ran("flow", path, "--offline")
    told: dict[str, Any] = (await stage.ran("flow", path, "--offline", "--json")).json

    assert found.code == 0
    assert "(9) ✓ each prompt is what the template makes 2 prompts" in found.words
    assert "(13) – a task's words are its template's not checked: longest@2" in found.words
    assert "that step 'which' has the words of longest@2: no template with the digest" in found.words
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert [step["template"]["checked"] for step in told["steps"]] == ["ok", "skipped"]
    assert told["steps"][0]["template"]["name"] == "translate@1"
    assert len(told["not_proven"]) == 4


async def test_words_that_are_not_the_template_s_fail_before_the_chain_is_asked(stage: Stage) -> None:
    flow = with_tasks()
    french = structs.replace(flow.steps["french"], prompt="Write something like {{ word }}")
    path = save(stage, run_flow(structs.replace(flow, steps={**flow.steps, "french": french}), where=Place(DOMAIN)))
    found = await stage.ran("flow", path)
    told = (await stage.ran("flow", path, "--json")).json

    assert found.code == 1
    assert "FAILED at check (13) step 'french': its prompt is not what the template translate@1 makes" in found.words
    assert "(12)" not in found.words
    assert (told["failed_step"], told["failed_check"]) == ("french", 13)


async def test_a_flow_without_tasks_says_so(flown: Flown) -> None:
    lines = audit_flow_offline(write_flow(flown.file), DOMAIN).results

    assert [line.number for line in lines] == list(range(1, 14))
    assert lines[-1].detail == "0 tasks"


@pytest.mark.parametrize("text", ["", "tallynet-flow@v1\n", "tallynet-bundle@v2\n", "\x00" * 100], ids=range(4))
async def test_what_is_no_flow_file_fails_at_its_first_check(stage: Stage, text: str) -> None:
    path = stage.folder / "f.flow.tally"
    path.write_text(text)
    told = (await stage.ran("flow", path, "--offline", "--json")).json

    assert (told["verdict"], told["failed_check"]) == ("failed", 1)


async def test_a_missing_file_exits_2(stage: Stage) -> None:
    assert (await stage.ran("flow", stage.folder / "missing.flow.tally", "--offline")).code == 2


# --- the chain -------------------------------------------------------------------------------------------


async def test_a_broken_promise_is_the_step_s_failure(flown: Flown) -> None:
    """The log that was anchored is another one than that of the runs."""
    liar = ExampleNode()
    liar.run()
    liar.run()
    async with served(liar, flown.ledger) as chain:
        await liar.anchor(flown.ledger)
        found = await audit_flow_online(write_flow(flown.file), chain)

    assert found.verdict is Verdict.FAILED
    assert found.failure is not None and (found.failure.step, found.failure.check) == ("capital", 12)


async def test_an_anchored_file_needs_no_node(flown: Flown) -> None:
    await flown.node.anchor(flown.ledger)
    async with served(flown.node, flown.ledger) as chain:
        first = await audit_flow_online(write_flow(flown.file), chain)
    assert first.completed is not None
    again = await audit_flow_online(write_flow(first.completed), Chain(flown.ledger, nowhere))

    assert (again.verdict, again.completed) == (Verdict.OK, None)
    assert audit_flow_offline(write_flow(first.completed), DOMAIN).verdict is Verdict.OK
