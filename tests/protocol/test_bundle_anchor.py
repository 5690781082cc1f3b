"""An anchor is attached to a bundle that was saved before it, if it covers the run."""

import pytest

from tallynet.protocol.bundle import (
    AnchorRef,
    Inclusion,
    attach_anchor,
)
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.errors import InvalidCheckpoint, InvalidProof
from tallynet.protocol.tlog_proof import TlogProof
from tallynet.protocol.units import Digest, Seconds
from tests.audit.examples import STRANGER, ExampleNode

OTHER = Digest(b"\x99" * 32)


def _reference(node: ExampleNode, size: int) -> AnchorRef:
    return AnchorRef(size, node.tree.root(size), Seconds(7), 3, OTHER, OTHER)


def test_an_anchor_is_attached() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    anchored = attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), node.note(3))

    proof = TlogProof(1, tuple(node.tree.inclusion(1, 3)), node.note(3))
    assert anchored.inclusion == Inclusion(_reference(node, 3), proof)
    assert verify_bundle(anchored)[-1].state is State.OK


def test_an_anchor_that_does_not_cover_the_run_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][2]

    with pytest.raises(InvalidProof, match="covers 2 leaves, the run is leaf 2") as caught:
        attach_anchor(run, _reference(node, 2), (), node.note(2))

    assert caught.value.check == 1


def test_a_path_to_another_root_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    with pytest.raises(InvalidProof, match="leads to"):
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(0, 3), node.note(3))


def test_a_checkpoint_of_another_head_is_refused() -> None:
    node = ExampleNode()
    run = [node.run() for _ in range(3)][1]

    with pytest.raises(InvalidProof, match="signed a log of size 2") as caught:
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), node.note(2))

    assert caught.value.check == 3


def test_a_checkpoint_by_another_node_is_refused() -> None:
    node, other = ExampleNode(), ExampleNode(key=STRANGER)
    run = [node.run() for _ in range(3)][1]
    other.leaves, other.tree = node.leaves, node.tree

    with pytest.raises(InvalidCheckpoint, match="no checkpoint of"):
        attach_anchor(run, _reference(node, 3), node.tree.inclusion(1, 3), other.note(3))
