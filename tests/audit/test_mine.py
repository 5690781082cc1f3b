"""`tallynet audit mine`: each receipt is looked up where its node promised it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.connection import open_chain
from tallynet.audit.evidence_file import read_evidence
from tallynet.audit.own_receipts import Standing, check_receipts, read_receipts, worst
from tallynet.console.network_file import read_network
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.fault import LateAnchor, TwoPromises, WrongLeaf
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Seconds, Wei
from tests.audit.examples import ANCHOR_BY, DOMAIN, NODE, STRANGER, ExampleNode
from tests.audit.staging import Outcome, Stage
from tests.audit.suspects import NOW, Scene


def standings(found: Outcome) -> list[str]:
    receipts = found.json["receipts"]
    assert isinstance(receipts, list)
    return [receipt["standing"] for receipt in receipts]


async def test_receipts_that_are_anchored_as_promised_exit_0(stage: Stage, made: Scene) -> None:
    stage.keep(made.runs[:7])

    found = await stage.ran("mine")

    assert found.code == 0
    assert "7 receipts: 7 anchored." in found.stdout


async def test_a_receipt_with_its_own_proof_needs_no_node(stage: Stage, made: Scene) -> None:
    stage.nodes.clear()
    stage.keep([made.node.anchored(bundle, 7) for bundle in made.runs[:7]])

    found = await stage.ran("mine")

    assert found.code == 0
    assert "7 receipts: 7 anchored." in found.stdout


async def test_a_proof_to_a_head_that_the_chain_does_not_know_is_not_believed(stage: Stage, made: Scene) -> None:
    stage.nodes.clear()
    stage.keep([made.node.anchored(bundle, 5) for bundle in made.runs[:3]])

    found = await stage.ran("mine", "--json")

    assert found.code == 1
    assert standings(found) == ["unproven"] * 3


async def test_a_receipt_whose_time_is_not_over_exits_3(stage: Stage, made: Scene) -> None:
    stage.keep(made.runs)

    found = await stage.ran("mine", "--json")

    assert found.code == 3
    assert (standings(found), found.json["worst"]) == (["anchored"] * 7 + ["pending"] * 5, "pending")


async def test_a_late_receipt_is_evidence(stage: Stage, made: Scene) -> None:
    made.run(anchor_by=Seconds(NOW + 60))
    stage.keep(made.runs)
    made.time.now += 61
    made.ledger.mine()

    found = await stage.ran("mine", "--json")

    assert (found.code, found.json["worst"], found.json["broken"]) == (1, "late", 1)
    receipts = found.json["receipts"]
    assert isinstance(receipts, list)
    path = Path(receipts[12]["evidence"])
    assert isinstance(read_evidence(path).fault, LateAnchor)
    slashed = await stage.ran("slash", path, "--send", "--keystore", stage.keystore(), "--json")
    assert (slashed.code, slashed.json["kind"]) == (0, "late")


async def test_a_late_receipt_that_the_ring_has_forgotten_is_told_without_evidence(stage: Stage, made: Scene) -> None:
    made.run(anchor_by=Seconds(NOW + 60))
    stage.keep(made.runs[-1:])
    made.time.now += 61
    for _ in range(12):
        await made.node.anchor(made.ledger)
        made.run()

    found = await stage.ran("mine")

    assert found.code == 1
    assert "1 receipts: 1 late." in found.stdout
    assert "too long ago for the contract to judge" in found.words
    assert "tallynet audit slash" not in found.stdout


async def test_another_leaf_than_promised_is_evidence(stage: Stage, made: Scene) -> None:
    promised = replace(Leaf.unpack(made.node.leaves[4]), price=Wei(1))
    bundle = replace(made.runs[4], receipt=sign_receipt(promised, 4, ANCHOR_BY, DOMAIN, NODE))
    folder = stage.folder / "evidence"
    folder.mkdir()
    stage.keep([bundle])

    found = await stage.ran("mine", "--evidence", folder)

    assert found.code == 1
    assert "other leaf" in found.stdout
    (path,) = folder.iterdir()
    assert isinstance(read_evidence(path).fault, WrongLeaf)
    assert str(path) in found.stdout
    assert (await stage.ran("slash", path, "--send", "--keystore", stage.keystore())).code == 0


async def test_two_receipts_that_contradict_each_other_are_evidence(stage: Stage, made: Scene) -> None:
    again = replace(made.runs[9], receipt=sign_receipt(Leaf.unpack(made.node.leaves[9]), 8, ANCHOR_BY, DOMAIN, NODE))
    stage.keep({"a": made.runs[8], "b": again})

    found = await stage.ran("mine", "--json")

    assert (found.code, found.json["worst"]) == (1, "contradicted")
    receipts = found.json["receipts"]
    assert isinstance(receipts, list)
    (path,) = (Path(receipt["evidence"]) for receipt in receipts if receipt["evidence"])
    assert isinstance(read_evidence(path).fault, TwoPromises)


async def test_a_node_that_does_not_show_the_entry_leaves_it_unproven(stage: Stage, made: Scene) -> None:
    made.node.refuses = True
    stage.keep(made.runs[:2])

    found = await stage.ran("mine", "--json")

    assert found.code == 1
    assert standings(found) == ["unproven"] * 2
    assert "evidence" not in {path.name for path in (stage.folder / "state").iterdir()}


async def test_a_receipt_that_the_node_did_not_sign_accuses_nobody(stage: Stage, made: Scene) -> None:
    leaf = Leaf.unpack(made.node.leaves[2])
    forged = replace(made.runs[2], receipt=sign_receipt(leaf, 2, Seconds(1), DOMAIN, STRANGER))
    stage.keep([forged])

    found = await stage.ran("mine", "--json")

    assert (found.code, standings(found), found.json["broken"]) == (1, ["invalid"], 0)


async def test_other_networks_and_other_files_are_passed_over(stage: Stage, made: Scene) -> None:
    folder = stage.keep({"a": made.runs[0], "b": ExampleNode(domain=Domain(5, DOMAIN.contract)).run()})
    (folder / "c.tally").write_text("no bundle\n")
    (folder / "notes.txt").write_text("nothing of ours\n")

    found = await stage.ran("mine", "--json")
    told = await stage.ran("mine")

    assert found.code == 0
    assert (standings(found), found.json["elsewhere"], found.json["unreadable"]) == (["anchored"], 1, ["c.tally"])
    assert "1 more are of other networks." in told.stdout
    assert "No bundle, passed over: c.tally" in told.stdout


async def test_nobody_has_receipts_at_first(stage: Stage) -> None:
    found = await stage.ran("mine")

    assert (found.code, found.stdout) == (0, "0 receipts.\n")


async def test_a_folder_that_is_none_exits_2(stage: Stage) -> None:
    assert (await stage.ran("mine", "--receipts", stage.folder / "none")).code == 2
    stage.keep([])
    assert (await stage.ran("mine", "--evidence", stage.folder / "none")).code == 0  # nothing to write


def test_a_receipt_that_cannot_be_read_is_our_own_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.tally").mkdir()

    with pytest.raises(Misconfigured):
        read_receipts(tmp_path, DOMAIN)


async def test_receipts_of_several_nodes_are_told_apart(stage: Stage, made: Scene) -> None:
    other = ExampleNode(key=STRANGER)
    await other.register(made.ledger)
    mine = [made.runs[0], other.run(), made.runs[1]]

    async with open_chain(read_network(stage.network)) as chain:
        found = await check_receipts(mine, chain)

    assert {kept.bundle.node: kept.standing for kept in found} == {
        NODE.address: Standing.ANCHORED,
        STRANGER.address: Standing.PENDING,
    }
    assert worst(found) is Standing.PENDING
