"""`slash`, `challenge`, `finalize` and `diff`: what they say, what they send, how they end."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.evidence import find_not_a_prefix, find_pair, promise_of
from tallynet.audit.evidence_file import evidence_of, read_evidence, write_evidence
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.fault import Fault, LateAnchor, TwoPromises
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Digest, Seconds, prefixed
from tests.audit.examples import DOMAIN, NODE, STRANGER, ExampleNode
from tests.audit.staging import Stage
from tests.audit.suspects import NOW, SUSPECT, Scene, reading, second_promise, signed

ADDRESS = prefixed(NODE.address)
OTHER_ROOT = Digest(b"\x99" * 32)


def written(stage: Stage, fault: Fault, domain: Domain = DOMAIN) -> Path:
    path = stage.folder / "a.evidence"
    write_evidence(path, evidence_of(fault, domain))
    return path


def pair(made: Scene) -> TwoPromises:
    fault = find_pair(SUSPECT, [made.promise(2), second_promise(made.runs[3], index=2)])
    assert fault is not None
    return fault


# --- slash ----------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_happen_and_sends_nothing(stage: Stage, made: Scene) -> None:
    found = await stage.ran("slash", written(stage, pair(made)))

    assert found.code == 0
    assert "promised entry 2 to two jobs" in found.words
    assert "GUILTY The contract would take its stake." in found.stdout
    assert "reward    100,000,000,000,000,000 wei" in found.stdout
    assert "Nothing was sent" in found.stdout
    assert await made.ledger.node(NODE.address)


async def test_sending_takes_the_stake(stage: Stage, made: Scene) -> None:
    found = await stage.ran("slash", written(stage, pair(made)), "--send", "--keystore", stage.keystore(), "--json")

    assert found.code == 0
    assert (found.json["verdict"], found.json["kind"], found.json["sent"]) == ("slashed", "pair", True)
    (slashing,) = await made.ledger.slashings()
    assert slashing.reporter == STRANGER.address
    assert found.json["transaction"] == prefixed(slashing.transaction)
    assert found.json["reward"] == 10**17


async def test_sending_without_a_key_is_wrong_usage(stage: Stage, made: Scene) -> None:
    found = await stage.ran("slash", written(stage, pair(made)), "--send")

    assert found.code == 2
    assert "--keystore FILE" in found.stderr


async def test_a_refusal_is_told_in_the_contract_s_words(stage: Stage, made: Scene) -> None:
    path = written(stage, LateAnchor(node=NODE.address, promise=made.promise(9)))

    found = await stage.ran("slash", path, "--send", "--keystore", stage.keystore())

    assert found.code == 1
    assert "REFUSED The contract says: receipt is not late." in found.stdout
    assert "Try again once the promised time has passed" in found.stdout
    assert await made.ledger.slashings() == []


async def test_a_node_without_a_stake_cannot_be_slashed_again(stage: Stage, made: Scene) -> None:
    await made.ledger.slash(STRANGER, pair(made))

    found = await stage.ran("slash", written(stage, pair(made)), "--json")

    assert found.code == 1
    assert (found.json["verdict"], found.json["reason"]) == ("refused", "node is not registered")


async def test_a_proof_to_an_older_head_is_renewed(stage: Stage, made: Scene) -> None:
    async with reading(made.node) as log:
        fault = await find_not_a_prefix(SUSPECT, signed(5, OTHER_ROOT), log, await made.ledger.witness(NODE.address))
    assert fault is not None
    await made.node.anchor(made.ledger)

    found = await stage.ran("slash", written(stage, fault), "--send", "--keystore", stage.keystore(), "--json")

    assert found.code == 0
    assert (found.json["verdict"], found.json["renewed"], found.json["kind"]) == ("slashed", True, "prefix")


async def test_a_proof_that_the_node_does_not_renew_is_not_sent(stage: Stage, made: Scene) -> None:
    async with reading(made.node) as log:
        fault = await find_not_a_prefix(SUSPECT, signed(5, OTHER_ROOT), log, await made.ledger.witness(NODE.address))
    assert fault is not None
    await made.node.anchor(made.ledger)
    made.node.refuses = True

    found = await stage.ran("slash", written(stage, fault), "--send", "--keystore", stage.keystore())

    assert found.code == 1
    assert "The contract says: proof does not lead to the head." in found.words
    assert "The node does not renew the proof: The node refuses, refused: not today" in found.words
    assert f"tallynet audit challenge {ADDRESS} 4" in found.words
    assert await made.ledger.slashings() == []


async def test_evidence_of_another_network_is_refused(stage: Stage, made: Scene) -> None:
    found = await stage.ran("slash", written(stage, pair(made), Domain(5, DOMAIN.contract)), "--json")

    assert found.code == 1
    assert "the network is contract" in str(found.json["error"])


async def test_a_file_that_is_no_evidence_is_refused(stage: Stage) -> None:
    path = stage.folder / "a.evidence"
    path.write_bytes(b"{}")

    found = await stage.ran("slash", path)

    assert found.code == 1
    assert "this is no evidence file" in found.stderr
    assert (await stage.ran("slash", stage.folder / "none.evidence")).code == 2


# --- challenge and finalize -------------------------------------------------------------------------------


async def test_an_entry_that_is_shown_is_not_challenged(stage: Stage, made: Scene) -> None:
    found = await stage.ran("challenge", ADDRESS, 4, "--send", "--keystore", stage.keystore())

    assert found.code == 0
    assert "SHOWN entry 4" in found.stdout
    assert await made.ledger.challenges(NODE.address) == ()


async def test_an_entry_that_is_withheld_is_challenged_and_the_node_slashed(stage: Stage, made: Scene) -> None:
    made.node.refuses = True
    send = ("--send", "--keystore", stage.keystore(), "--json")

    dry = await stage.ran("challenge", ADDRESS, 4, "--json")
    assert (dry.code, dry.json["sent"], dry.json["bond"]) == (0, False, 10**16)
    assert "not today" in str(dry.json["withheld"])
    assert await made.ledger.challenges(NODE.address) == ()

    posted = await stage.ran("challenge", ADDRESS, 4, *send)
    assert (posted.code, posted.json["sent"], posted.json["answer_by"]) == (0, True, NOW + 3600)

    again = await stage.ran("challenge", ADDRESS, 4, "--json")
    assert (again.code, again.json["reason"]) == (1, "challenge is open")

    early = await stage.ran("finalize", ADDRESS, 4, *send)
    assert (early.code, early.json["over"], early.json["sent"]) == (3, False, False)

    made.time.now += 3601
    made.ledger.mine()
    waiting = await stage.ran("finalize", ADDRESS, 4)
    assert waiting.code == 0
    assert "was not shown in time." in waiting.words
    assert "Nothing was sent" in waiting.stdout
    assert await made.ledger.node(NODE.address)

    ended = await stage.ran("finalize", ADDRESS, 4, *send)
    assert (ended.code, ended.json["sent"], ended.json["reward"]) == (0, True, 10**17)
    assert await made.ledger.node(NODE.address) is None


async def test_what_the_contract_would_refuse_is_not_challenged(stage: Stage, made: Scene) -> None:
    beyond = await stage.ran("challenge", ADDRESS, 7, "--send", "--keystore", stage.keystore(), "--json")
    assert (beyond.code, beyond.json["reason"], beyond.json["sent"]) == (1, "index is not anchored", False)

    unknown = await stage.ran("challenge", prefixed(STRANGER.address), 0)
    assert unknown.code == 1
    assert "The contract would say: node is not registered." in unknown.stdout


async def test_a_node_that_cannot_be_reached_withholds(stage: Stage) -> None:
    stage.nodes.clear()

    found = await stage.ran("challenge", ADDRESS, 4)

    assert found.code == 0
    assert "WITHHELD entry 4" in found.stdout


async def test_a_challenge_that_nobody_made_cannot_be_ended(stage: Stage) -> None:
    found = await stage.ran("finalize", ADDRESS, 4)

    assert found.code == 1
    assert "No challenge is open for entry 4" in found.stdout


# --- diff -------------------------------------------------------------------------------------------------


def test_two_bundles_that_can_be_true_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, node = Stage(tmp_path, Scene().ledger, monkeypatch), ExampleNode()
    one, other = node.run(), node.run()

    found = stage.run("diff", stage.save("a.tally", one), stage.save("b.tally", other), "--json")
    anchored = stage.run("diff", stage.save("a.tally", node.anchored(one)), stage.save("b.tally", node.anchored(other)))

    assert found.code == 0
    assert (found.json["contradiction"], found.json["evidence"]) == (False, None)
    assert "not both are anchored" in str(found.json["unsettled"])
    assert anchored.code == 0
    assert "NONE Both can be true together." in anchored.stdout
    assert "two checkpoints: of 2 and of 2 entries" in anchored.stdout


def test_two_receipts_for_one_index_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, node = Stage(tmp_path, Scene().ledger, monkeypatch), ExampleNode()
    one, other = node.run(), node.run()
    leaf = Leaf.unpack(other.receipt.leaf)
    again = replace(other, receipt=sign_receipt(leaf, 0, Seconds(4_000_000_000), DOMAIN, NODE))
    output = stage.folder / "pair.evidence"

    found = stage.run("diff", stage.save("a.tally", one), stage.save("b.tally", again), "-o", output, "--json")

    assert found.code == 1
    assert (found.json["contradiction"], found.json["kind"]) == (True, "pair")
    assert read_evidence(output).fault == TwoPromises(
        node=NODE.address, first=promise_of(one.receipt), second=promise_of(again.receipt)
    )


async def test_two_checkpoints_of_one_size_are_found_and_slashed(stage: Stage, made: Scene) -> None:
    honest, forked = ExampleNode(), ExampleNode()
    first, other = honest.run(), forked.run()
    honest.run()
    forked.run("Another question?")
    output = stage.folder / "fork.evidence"

    found = await stage.ran(
        "diff",
        stage.save("a.tally", honest.anchored(first)),
        stage.save("b.tally", forked.anchored(other)),
        "-o",
        output,
    )

    assert found.code == 1
    assert "signed two logs of 2 entries" in found.words
    slashed = await stage.ran("slash", output, "--send", "--keystore", stage.keystore(), "--json")
    assert (slashed.code, slashed.json["kind"]) == (0, "fork")


def test_bundles_of_two_nodes_or_networks_have_nothing_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, Scene().ledger, monkeypatch)
    one, other, elsewhere = ExampleNode(), ExampleNode(key=STRANGER), ExampleNode(domain=Domain(5, DOMAIN.contract))
    path = stage.save("a.tally", one.run())

    nodes = stage.run("diff", path, stage.save("b.tally", other.run()))
    networks = stage.run("diff", path, stage.save("b.tally", elsewhere.run()))

    assert (nodes.code, networks.code) == (0, 0)
    assert "There is nothing to compare." in nodes.stdout
    assert "they are of two chains or contracts" in networks.stdout


def test_a_bundle_that_the_node_did_not_sign_convicts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, node = Stage(tmp_path, Scene().ledger, monkeypatch), ExampleNode()
    one, other = node.run(), node.run()
    forged = replace(
        other, receipt=sign_receipt(Leaf.unpack(other.receipt.leaf), 0, Seconds(4_000_000_000), DOMAIN, STRANGER)
    )

    found = stage.run("diff", stage.save("a.tally", one), stage.save("b.tally", forged))

    assert found.code == 1
    assert "is not signed by node" in found.stderr


@pytest.mark.parametrize("name", ["slash", "challenge", "finalize", "diff", "mine", "watch"])
def test_help_has_an_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Stage(tmp_path, Scene().ledger, monkeypatch).run(name, "--help")

    assert found.code == 0
    assert f"Example: tallynet audit {name}" in found.stdout
