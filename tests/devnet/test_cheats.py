"""Every cheat of the ledger layer is caught by its name; an honest node that does the same work is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tallynet.devnet.cheats.cheat import CheatingNode, LedgerCheat
from tallynet.devnet.cheats.kinds import ALL, KINDS, LAYERS, LEDGER, read_casting, read_cheat
from tallynet.devnet.cheats.report import HONEST, MUST_BE, Result
from tallynet.devnet.cheats.trial import try_one
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import Plan
from tallynet.devnet.tampering import CHEATS
from tallynet.devnet.world import MovableClock, memory_world
from tallynet.protocol.errors import InvalidChunk, Misconfigured


async def try_in_memory(cheat: LedgerCheat | None, folder: Path) -> Result:
    clock = MovableClock()
    async with memory_world(clock) as world:
        return await try_one(cheat, world, clock, folder)


@pytest.mark.slow
@pytest.mark.parametrize("node", LEDGER, ids=lambda node: node.kind)
async def test_a_cheat_is_caught_by_its_name(node: type[CheatingNode], tmp_path: Path) -> None:
    result = await try_in_memory(LedgerCheat(node), tmp_path)

    assert result.caught
    assert result.good, result
    assert result.words


async def test_an_honest_node_is_not_caught(tmp_path: Path) -> None:
    result = await try_in_memory(None, tmp_path)

    assert result.good
    assert result.describe() == {"kind": HONEST, "caught": False, "reason": "", "slashed": False, "gas": 0}


async def test_a_cheat_that_never_begins_is_not_caught(tmp_path: Path) -> None:
    result = await try_in_memory(LedgerCheat(KINDS["altered-leaf"], honest=100), tmp_path)

    assert not result.caught
    assert not result.good  # and the command would say so


async def test_an_altered_answer_is_a_node_like_the_others(tmp_path: Path) -> None:
    cheats = {0: LedgerCheat(KINDS["altered-answer"])}
    async with open_devnet(tmp_path, cheats=cheats) as devnet, devnet.client() as client:
        with pytest.raises(InvalidChunk):
            await client.ask("fake", "Hello", node=devnet.nodes[0].address)


def test_every_kind_has_a_verdict_and_a_name_of_its_own() -> None:
    assert MUST_BE.keys() == {HONEST, *(node.kind for node in LEDGER)}
    assert len(KINDS) == len(ALL)
    assert CHEATS.keys() < KINDS.keys()
    assert all(node.about for node in ALL)


@pytest.mark.parametrize(
    "result",
    [
        Result(HONEST, "late", "…", True),
        Result("late-anchor"),
        Result("late-anchor", "late", "…", False),
        Result("late-anchor", "pair", "…", True),
        Result("stale-backup", "pair", "…", True),
    ],
    ids=["honest but slashed", "not found", "not slashed", "another name", "not stopped"],
)
def test_anything_else_than_what_must_be_is_not_good(result: Result) -> None:
    assert not result.good


@pytest.mark.slow
def test_the_command_tells_all_with_gas() -> None:
    code, told, said = run_cheats("--layer", "ledger", "--json")

    assert code == 0, said
    assert (told["layer"], told["good"]) == ("ledger", True)
    results = [told["honest"], *told["cheats"]]
    assert [result["kind"] for result in results] == list(MUST_BE)
    for result in results:
        name, slashed = MUST_BE[result["kind"]]
        assert result.keys() == {"kind", "caught", "reason", "slashed", "gas"}
        assert (result["caught"], result["slashed"]) == (bool(name), slashed)
        assert result["reason"].partition(":")[0] == name
        assert 0 < result["gas"] <= 75_000 if slashed else result["gas"] == 0
    assert max(map(len, said.splitlines())) <= 80


def test_a_layer_that_is_not_there_is_named() -> None:
    code, told, _ = run_cheats("--layer", "kitchen", "--json")

    assert code == 2
    assert "'kitchen'" in told["error"]["message"]
    assert list(LAYERS) == ["ledger"]


def run_cheats(*arguments: str):  # type: ignore[no-untyped-def]
    """Exit code, the JSON on stdout, and everything else that was said."""
    command = [sys.executable, "-m", "tallynet.devnet.command", "devnet", "cheats", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.stdout.count("\n") == 1, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


# On the command line of `devnet up`


def test_a_cheat_is_read_with_the_number_of_honest_jobs() -> None:
    assert read_cheat("late-anchor") == LedgerCheat(KINDS["late-anchor"])
    assert read_cheat("late-anchor:7") == LedgerCheat(KINDS["late-anchor"], 7)
    assert read_cheat(read_cheat("double-index:7").text) == LedgerCheat(KINDS["double-index"], 7)


@pytest.mark.parametrize("text", ["", "nothing", "late-anchor:", "late-anchor:0", "late-anchor:-1", "late-anchor:²"])
def test_a_cheat_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        read_cheat(text)


def test_a_node_is_given_its_cheat() -> None:
    assert read_casting("node-2=dropped-leaf:3", 2) == (1, LedgerCheat(KINDS["dropped-leaf"], 3))


@pytest.mark.parametrize("text", ["node-3=late-anchor", "node-0=late-anchor", "late-anchor", "node-1", "node-1="])
def test_a_cheat_for_nobody_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        read_casting(text, 2)


def test_a_node_cannot_have_two_cheats(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        Plan(tmp_path, nodes=2, model="fake", cheats=("node-1=late-anchor", "node-1=double-index"))
