"""`tallynet audit watch` at the terminal: exit codes, wrong usage, its end."""

import signal
from pathlib import Path

import pytest
import trio

from tallynet.audit.findings import Finding
from tallynet.audit.watch import Watch
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.units import Digest, Seconds, prefixed
from tests.audit.examples import DOMAIN, NODE
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene, signed

ADDRESS = prefixed(NODE.address)


async def test_one_look_at_honest_nodes_exits_0(stage: Stage) -> None:
    found = await stage.ran("watch", "--all", "--once", "--json")

    assert found.code == 0
    assert [line["event"] for line in found.lines] == ["anchor", "end"]
    assert found.lines[-1] == {"event": "end", "findings": 1, "worst": "note"}
    assert (await stage.ran("watch", ADDRESS, "--once", "--json")).lines == [
        {"event": "end", "findings": 0, "worst": "note"}
    ]


async def test_a_fault_exits_1_and_is_slashed_on_demand(stage: Stage, made: Scene) -> None:
    await stage.ran("watch", "--all", "--once")
    made.node.head = signed(12, Digest(b"\x99" * 32))

    found = await stage.ran("watch", ADDRESS, "--once", "--slash", "--keystore", stage.keystore(), "--json")

    assert found.code == 1
    assert [line["event"] for line in found.lines] == ["fork", "slashed", "end"]
    assert len(await made.ledger.slashings()) == 1
    assert Path(str(found.lines[0]["evidence"])).parent == stage.folder / "state" / "evidence"


async def test_a_warning_exits_3(stage: Stage) -> None:
    stage.nodes.clear()

    found = await stage.ran("watch", "--all", "--once")

    assert found.code == 3
    assert "unreachable" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say --all"),
        ((ADDRESS, "--all"), "say --all"),
        (("0x12",), "is not an address"),
        (("--all", "--slash"), "--keystore FILE"),
        (("--all", "--webhook", "ftp://example.org"), "begins neither with http://"),
    ],
)
async def test_wrong_usage_exits_2(stage: Stage, arguments: tuple[str, ...], words: str) -> None:
    found = await stage.ran("watch", *arguments, "--once")

    assert found.code == 2
    assert words in " ".join(found.stderr.split())


def test_it_ends_cleanly_when_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trio.run(scene, 3, 7)
    stage = Stage(tmp_path, made.ledger, monkeypatch)
    stage.nodes.append(made.node)
    rounds: list[int] = []

    async def interrupt(watch: Watch) -> list[Finding]:
        rounds.append(1)
        if len(rounds) == 2:
            signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr(Watch, "round", interrupt)

    found = stage.run("watch", "--all", "--every", "1", "--json")

    assert (found.code, len(rounds)) == (0, 2)
    assert found.lines == [{"event": "end", "findings": 0, "worst": "note"}]


class SilentLedger:
    """A chain that does not answer."""

    domain = DOMAIN

    async def now(self) -> Seconds:
        raise ChainUnreachable("no answer")


async def test_a_chain_that_does_not_answer_ends_a_single_look(stage: Stage) -> None:
    stage.ledger = SilentLedger()  # type: ignore[assignment]

    found = await stage.ran("watch", "--all", "--once", "--json")

    assert found.code == 1
    assert found.lines[-1]["error"] == {
        "code": "chain-unreachable",
        "message": "no answer",
        "remedy": ChainUnreachable.remedy_default,
    }
