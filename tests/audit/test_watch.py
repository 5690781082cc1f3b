"""A watch: what nodes do is seen, told once, remembered and, on demand, slashed."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.anchoring import Chain
from tallynet.audit.evidence_file import read_evidence
from tallynet.audit.findings import Finding, Weight
from tallynet.audit.watch import Watch
from tallynet.audit.watch_memory import Memory, read_memory, write_memory
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.fault import FaultKind, Fork, NotAPrefix
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Address, Digest, Seconds, prefixed
from tests.audit.examples import ANCHOR_BY, DOMAIN, NODE, STRANGER
from tests.audit.suspects import NOW, Scene, reading, scene, signed

ADDRESS = prefixed(NODE.address)
OTHER_ROOT = Digest(b"\x99" * 32)


class Watching:
    """A watch of one scene, round by round."""

    def __init__(self, made: Scene, folder: Path, slasher: Key | None = None, receipts: Path | None = None) -> None:
        self.made = made
        self.memory = Memory(DOMAIN.chain_id, prefixed(DOMAIN.contract))
        self.folder = folder
        self.slasher = slasher
        self.receipts = receipts

    async def round(self, *, shown: SignedCheckpoint | None = None) -> list[Finding]:
        """One round, in which the node may show a checkpoint that is not that of its log."""
        self.made.node.head = shown
        async with reading(self.made.node) as log:

            async def find(node: Address) -> LogReader:
                if node != NODE.address:
                    raise NodeUnreachable("nobody knows it")
                return log

            chain = Chain(self.made.ledger, find)
            watch = Watch(
                chain, self.memory, (NODE.address,), self.folder, self.receipts, self.slasher, random.Random(1)
            )
            return await watch.round()

    async def kinds(self, *, shown: SignedCheckpoint | None = None) -> list[str]:
        return [finding.kind for finding in await self.round(shown=shown)]


async def test_an_honest_node_is_only_told_of(tmp_path: Path) -> None:
    made = await scene(3, 7)
    watching = Watching(made, tmp_path)

    (first,) = await watching.round()
    assert (first.kind, first.weight) == ("anchor", Weight.NOTE)
    assert first.says == f"Node {ADDRESS} anchored its log of 7 entries"
    assert await watching.round() == []
    made.run()
    await made.node.anchor(made.ledger)
    made.run()
    await made.node.anchor(made.ledger)
    assert await watching.kinds() == ["anchor", "anchor"]
    assert watching.memory.of(NODE.address).checkpoints == []
    assert list(tmp_path.iterdir()) == []


async def test_checkpoints_are_remembered_until_they_are_anchored(tmp_path: Path) -> None:
    made = await scene(3)
    watching = Watching(made, tmp_path)
    for expected in (1, 2, 3):
        await watching.round()
        assert len(watching.memory.of(NODE.address).checkpoints) == expected
        made.run()
    await made.node.anchor(made.ledger)

    assert await watching.kinds() == ["anchor"]
    assert watching.memory.of(NODE.address).checkpoints == []


async def test_a_fork_is_seen_at_once(tmp_path: Path) -> None:
    made = await scene(3)
    watching = Watching(made, tmp_path)
    await watching.round()

    (found,) = await watching.round(shown=signed(8, OTHER_ROOT))

    assert (found.kind, found.weight) == ("fork", Weight.FAULT)
    assert isinstance(read_evidence(Path(found.evidence)).fault, Fork)
    assert found.next == f"tallynet audit slash {found.evidence}"
    assert await watching.kinds(shown=signed(8, OTHER_ROOT)) == []  # told once


async def test_a_checkpoint_seen_earlier_convicts_once_another_log_is_anchored(tmp_path: Path) -> None:
    made = await scene(3)
    watching = Watching(made, tmp_path)
    await watching.round(shown=signed(6, OTHER_ROOT))
    assert await watching.kinds() == ["rewritten"]  # it cannot show how the larger log grew from that one

    await made.node.anchor(made.ledger)
    anchored, found = await watching.round()

    assert (anchored.kind, found.kind) == ("anchor", "prefix")
    assert isinstance(read_evidence(Path(found.evidence)).fault, NotAPrefix)
    assert watching.memory.of(NODE.address).checkpoints == []


async def test_a_checkpoint_that_contradicts_the_anchored_head_convicts(tmp_path: Path) -> None:
    made = await scene(3, 7)
    watching = Watching(made, tmp_path)

    found = await watching.round(shown=signed(7, OTHER_ROOT))

    assert [finding.kind for finding in found] == ["anchor", "prefix"]


async def test_a_log_that_shrinks_is_warned_of(tmp_path: Path) -> None:
    made = await scene(3, 7)
    watching = Watching(made, tmp_path)
    await watching.round()

    older = signed(5, made.node.tree.root(5))
    behind, rewritten = await watching.round(shown=older)

    assert (behind.kind, rewritten.kind) == ("behind", "rewritten")
    assert "shows 5 entries and has anchored 7: an older copy of its log?" in behind.says
    assert "shows 5 entries, and has signed 12 before" in rewritten.says
    assert await watching.kinds(shown=older) == []
    assert await watching.kinds() == []
    assert await watching.kinds(shown=older) == ["behind", "rewritten"]  # news again, after it was well


async def test_entries_that_are_not_shown_can_be_challenged(tmp_path: Path) -> None:
    made = await scene(3, 7)
    watching = Watching(made, tmp_path)
    await watching.round()
    made.node.shown = []

    (found,) = await watching.round()

    assert (found.kind, found.weight) == ("withheld", Weight.WARNING)
    assert found.next.startswith(f"tallynet audit challenge {ADDRESS} ")
    assert int(found.next.rsplit(" ", 1)[1]) < 7


async def test_a_node_that_shows_nothing_is_unreachable(tmp_path: Path) -> None:
    made = await scene(3)
    memory = Watching(made, tmp_path).memory

    found = await Watch(Chain(made.ledger, _unreachable), memory, (), tmp_path).round()

    assert [finding.kind for finding in found] == ["anchor", "unreachable"]


async def _unreachable(node: Address) -> LogReader:
    raise NodeUnreachable("no route")


async def test_what_is_proven_is_slashed_once(tmp_path: Path) -> None:
    made = await scene(3)
    watching = Watching(made, tmp_path, slasher=STRANGER)
    await watching.round()

    found = await watching.round(shown=signed(8, OTHER_ROOT))

    assert [finding.kind for finding in found] == ["fork", "slashed"]
    assert "lost its stake for the fault fork" in found[1].says
    (slashing,) = await made.ledger.slashings()
    assert (slashing.reporter, slashing.kind) == (STRANGER.address, FaultKind.FORK)
    assert await watching.kinds(shown=signed(9, OTHER_ROOT)) == ["rewritten"]


async def test_what_the_contract_refuses_is_told(tmp_path: Path) -> None:
    made = await scene(3)
    once = signed(3, OTHER_ROOT)
    watch = Watch(Chain(made.ledger, _unreachable), Watching(made, tmp_path).memory, (), tmp_path, slasher=STRANGER)

    (refused,) = await watch._slash([Fork(node=NODE.address, first=once, second=once)], Seconds(NOW))

    assert (refused.kind, refused.says) == ("refused", "not slashed: checkpoints do not contradict each other")


async def test_slashings_by_others_are_told_once(tmp_path: Path) -> None:
    made = await scene(3)
    watching = Watching(made, tmp_path)
    await watching.round()
    fault = Fork(node=NODE.address, first=signed(3, OTHER_ROOT), second=signed(3, made.node.tree.root(3)))
    await made.ledger.slash(STRANGER, fault)

    assert await watching.kinds() == ["slashed"]
    assert await watching.kinds() == []


async def test_own_receipts_are_looked_up(tmp_path: Path) -> None:
    made = await scene(3)
    made.run(anchor_by=Seconds(NOW + 60))
    receipts = tmp_path / "receipts"
    receipts.mkdir()
    keep(receipts, made)
    watching = Watching(made, tmp_path, slasher=STRANGER, receipts=receipts)
    assert await watching.kinds() == ["anchor"]

    made.time.now += 61
    made.ledger.mine()

    assert await watching.kinds() == ["late", "slashed"]
    assert await watching.kinds() == []


def keep(folder: Path, made: Scene) -> None:
    for bundle in made.runs:
        (folder / f"{bundle.receipt.receipt.job.hex()}.tally").write_text(write_bundle(bundle))


async def test_two_own_receipts_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    made = await scene(3)
    leaf = Leaf.unpack(made.node.leaves[5])
    made.runs.append(replace(made.runs[5], receipt=sign_receipt(leaf, 4, ANCHOR_BY, DOMAIN, NODE)))
    made.runs.pop(5)
    receipts = tmp_path / "receipts"
    receipts.mkdir()
    keep(receipts, made)

    assert await Watching(made, tmp_path, receipts=receipts).kinds() == ["anchor", "pair"]


async def test_memory_outlives_the_program(tmp_path: Path) -> None:
    made = await scene(3)
    path = tmp_path / "watch.json"
    watching = Watching(made, tmp_path)
    await watching.round(shown=signed(6, OTHER_ROOT))
    write_memory(path, watching.memory)
    watching.memory = read_memory(path, DOMAIN)
    await made.node.anchor(made.ledger)

    assert "prefix" in await watching.kinds()


@pytest.mark.parametrize("content", ["{}", "[]", '{"chain_id": 5, "contract": "0x00"}', "\xff"])
def test_a_memory_that_is_something_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    path.write_text(content, encoding="latin-1")

    with pytest.raises(Misconfigured, match="is not what a watch of this network remembers"):
        read_memory(path, DOMAIN)


def test_memory_is_bounded() -> None:
    memory = Memory(DOMAIN.chain_id, prefixed(DOMAIN.contract)).of(NODE.address)
    for size in range(1, 1100):
        memory.add(
            SignedCheckpoint(signed(1, OTHER_ROOT).checkpoint.__class__(size, OTHER_ROOT), NODE.sign(OTHER_ROOT))
        )

    assert len(memory.checkpoints) == 1024
    assert memory.checkpoints[-1].checkpoint.size == 1099
    assert all(memory.tell(f"late-{number}") for number in range(5000))
    assert len(memory.said) == 4096
