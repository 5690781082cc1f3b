"""`tallynet audit upgrade`: a pending file gets its anchor, or stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.bundle import read_bundle, write_bundle
from tallynet.protocol.bundle_link import write_link
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.units import Seconds
from tests.audit.examples import ExampleNode
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene


@pytest.fixture
async def made() -> Scene:
    """A node that has anchored 3 entries, and has 5 more."""
    return await scene(3)


async def test_a_pending_file_becomes_an_anchored_one(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1])
    path.chmod(0o640)

    found = await stage.ran("upgrade", path)

    assert found.code == 0
    assert found.words == ("UPGRADED a.tally was written: leaf 1 of 3, anchored in block 2 at 2027-01-15 08:00:00 UTC.")
    upgraded = read_bundle(path.read_bytes())
    assert upgraded.inclusion is not None and upgraded.inclusion.anchor.size == 3
    assert replace(upgraded, inclusion=None) == made.runs[1]
    assert path.stat().st_mode & 0o777 == 0o640
    assert (await stage.ran("verify", path, "--offline")).code == 0


async def test_json_tells_the_anchor(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1])

    told = (await stage.ran("upgrade", path, "--json")).json

    assert (told["verdict"], told["upgraded"], told["failed_check"], told["file"]) == ("ok", True, None, str(path))
    assert isinstance(told["anchor"], dict) and (told["anchor"]["size"], told["anchor"]["block"]) == (3, 2)


async def test_closed_and_partly_opened_files_are_upgraded_as_they_are(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1].closed())

    assert (await stage.ran("upgrade", path)).code == 0

    upgraded = read_bundle(path.read_bytes())
    assert upgraded.opening is None and upgraded.inclusion is not None


async def test_a_run_that_is_not_anchored_yet_exits_3_and_leaves_the_file(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[5])
    before = path.read_bytes()

    found, told = await stage.ran("upgrade", path), await stage.ran("upgrade", path, "--json")

    assert found.code == told.code == 3
    assert found.words.startswith("PENDING Nothing is wrong so far. The run is not anchored in this file;")
    assert (told.json["verdict"], told.json["upgraded"], told.json["anchor"]) == ("pending", False, None)
    assert path.read_bytes() == before


async def test_an_anchor_in_a_young_block_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, ledger = ExampleNode(), MemoryLedger(confirmations=3)
    run = node.run()
    await node.register(ledger)
    await node.anchor(ledger)
    stage = Stage(tmp_path, ledger, monkeypatch)
    stage.nodes.append(node)
    path = stage.save("a.tally", run)

    young = await stage.ran("upgrade", path)
    ledger.mine(3)
    old = await stage.ran("upgrade", path)

    assert (young.code, old.code) == (3, 0)
    assert "its block is not yet confirmed" in young.words
    assert read_bundle(path.read_bytes()).inclusion is not None


async def test_an_anchored_file_is_checked_and_left_alone(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1])
    await stage.ran("upgrade", path)
    before = path.read_bytes()

    found = await stage.ran("upgrade", path)

    assert found.code == 0
    assert found.words.startswith("ANCHORED a.tally held its anchor before: leaf 1 of 3,")
    assert path.read_bytes() == before


async def test_a_broken_promise_exits_1(stage: Stage, made: Scene) -> None:
    run = made.node.run(anchor_by=Seconds(int(made.time.now)))
    made.time.now += 10
    made.ledger.mine()
    path = stage.save("a.tally", run)

    found = await stage.ran("upgrade", path, "--json")

    assert found.code == 1
    assert (found.json["failed_check"], found.json["upgraded"]) == (12, False)
    assert read_bundle(path.read_bytes()) == run


async def test_a_node_that_shows_another_log_exits_1_and_leaves_the_file(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1])
    made.node.tree = Tree(leaf_hash(b"another log %d" % number) for number in range(8))

    found = await stage.ran("upgrade", path)

    assert found.code == 1
    assert found.words.startswith("FAILED at check (9) ")
    assert read_bundle(path.read_bytes()) == made.runs[1]


async def test_a_damaged_file_is_not_upgraded(stage: Stage, made: Scene) -> None:
    path = stage.save("a.tally", made.runs[1])
    damaged = path.read_bytes().replace(b"sha256 ", b"sha256 A", 1)
    path.write_bytes(damaged)

    assert (await stage.ran("upgrade", path)).code == 1
    assert path.read_bytes() == damaged


async def test_another_file_is_written_and_the_first_is_left(stage: Stage, made: Scene) -> None:
    path, target = stage.save("a.tally", made.runs[1]), stage.folder / "b.tally"

    found = await stage.ran("upgrade", path, "-o", target)

    assert found.code == 0
    assert read_bundle(path.read_bytes()) == made.runs[1]
    assert read_bundle(target.read_bytes()).inclusion is not None
    assert target.stat().st_mode & 0o777 == 0o600


async def test_a_link_is_upgraded_into_a_file(stage: Stage, made: Scene) -> None:
    link, target = write_link(write_bundle(made.runs[1]).encode()), stage.folder / "b.tally"

    alone, found = await stage.ran("upgrade", link), await stage.ran("upgrade", link, "-o", target)

    assert (alone.code, found.code) == (2, 0)
    assert read_bundle(target.read_bytes()).inclusion is not None


async def test_verify_completes_a_link_and_says_how_to_keep_it(stage: Stage, made: Scene) -> None:
    kept = stage.folder / "link.txt"
    kept.write_text(write_link(write_bundle(made.runs[1]).encode()))
    before = kept.read_bytes()

    for named in (before.decode(), kept):
        found = await stage.ran("verify", named)

        assert found.code == 0
        assert "A link stays as it is: `tallynet audit upgrade -o F.tally` keeps it." in found.words
    assert kept.read_bytes() == before


async def test_without_a_network_file_it_exits_2(stage: Stage, made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALLYNET_NETWORK")

    assert (await stage.ran("upgrade", stage.save("a.tally", made.runs[1]))).code == 2
