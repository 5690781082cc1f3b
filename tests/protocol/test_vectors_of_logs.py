"""Vectors of trees, notes, tiles, bundles and faults: what is proven of a log."""

from typing import Any

import pytest

from tallynet.protocol import bundle as tally
from tallynet.protocol import merkle
from tallynet.protocol.bundle_checks import verify_bundle
from tallynet.protocol.bundle_link import read_link
from tallynet.protocol.bundle_openings import opened_request, opened_text
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.errors import InvalidEvidence
from tallynet.protocol.fault import KINDS, AnchoredAt, FaultKind, Witness, check_fault
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.note import (
    NodeVerifier,
    read_checkpoint_note,
    read_key_note,
    write_checkpoint_note,
    write_key_note,
)
from tallynet.protocol.note_key import Ed25519Verifier, NoteKey, NoteKeyStatement, log_origin
from tallynet.protocol.tiles import Tile, read_bundle, tiles, write_bundle, write_tile
from tallynet.protocol.units import Digest
from tests.protocol.json_form import read, write
from tests.protocol.vector_cases import VECTORS, cases, domain, hexed, hexes, refuses


def check_inclusion(case: Any) -> None:
    leaf, path, root = hexed(case["leaf_hash"]), hexes(case["path"]), hexed(case["root"])
    merkle.verify_inclusion(leaf, case["index"], case["size"], path, root)


def check_consistency(case: Any) -> None:
    old_root, root, path = hexed(case["old_root"]), hexed(case["root"]), hexes(case["path"])
    merkle.verify_consistency(case["old_size"], old_root, case["size"], root, path)


def test_a_tree_has_its_roots() -> None:
    file = VECTORS["merkle.json"]
    leaves = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1000)]

    assert leaves[:8] == list(hexes(file["leaf_hashes"]))
    for case in file["roots"]:
        assert merkle.root(leaves[: case["size"]]) == hexed(case["root"])


def test_every_proof_holds() -> None:
    for case in VECTORS["merkle.json"]["inclusion"]:
        check_inclusion(case)
    for case in VECTORS["merkle.json"]["consistency"]:
        check_consistency(case)


@cases("merkle.json", "invalid_inclusion")
def test_an_inclusion_proof_is_refused(case: Any) -> None:
    with refuses(case):
        check_inclusion(case)


@cases("merkle.json", "invalid_consistency")
def test_a_consistency_proof_is_refused(case: Any) -> None:
    with refuses(case):
        check_consistency(case)


# Notes and tiles


def test_a_node_has_its_note_key() -> None:
    file = VECTORS["notes.json"]
    where, node, key = domain(file["domain"]), hexed(file["node"]), Key(hexed(file["secret"]))
    note_key = NoteKey.of(key).public

    assert (key.address, note_key, log_origin(where, node)) == (node, hexed(file["note_key"]), file["origin"])
    assert Ed25519Verifier(file["origin"], note_key).vkey == file["vkey"]
    assert NodeVerifier(where, node).key_id == hexed(file["node_key_id"])
    assert NoteKeyStatement(note_key).digest(where) == hexed(file["note_key_digest"])
    assert write_key_note(where, key) == file["key_note"]
    assert read_key_note(file["key_note"], where, node) == note_key


@cases("notes.json", "valid")
def test_a_note_states_a_checkpoint(case: Any) -> None:
    file = VECTORS["notes.json"]
    where, key = domain(file["domain"]), Key(hexed(file["secret"]))
    checkpoint = Checkpoint(case["size"], Digest(hexed(case["root"])))

    assert write_checkpoint_note(checkpoint, where, key) == case["note"]
    read = read_checkpoint_note(case["note"], where, key.address, hexed(file["note_key"]))
    assert read.checkpoint == checkpoint


@cases("notes.json", "invalid")
def test_a_note_is_refused(case: Any) -> None:
    file = VECTORS["notes.json"]
    with refuses(case):
        read_checkpoint_note(case["note"], domain(file["domain"]), hexed(file["node"]), hexed(file["note_key"]))


def test_tiles_have_their_names_and_bytes() -> None:
    file = VECTORS["tiles.json"]
    tree = Tree(merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1000))
    leaves, bundle = list(hexes(file["bundle"]["leaves"])), hexed(file["bundle"]["data"])

    assert [str(tile) for tile in tiles(1000)] == file["paths"]
    for case in file["tiles"]:
        assert write_tile(tree, Tile.parse(case["path"])) == hexed(case["data"])
    assert write_bundle(leaves) == bundle
    assert read_bundle(bundle, Tile(None, 0, len(leaves))) == leaves


@cases("tiles.json", "invalid_paths")
def test_a_path_is_refused(case: Any) -> None:
    with refuses(case):
        Tile.parse(case["path"])


# Bundles


@cases("bundles.json", "valid")
def test_a_bundle_says_what_it_says(case: Any) -> None:
    found = tally.read_bundle(case["text"])
    receipt, inclusion = found.receipt.receipt, found.inclusion

    assert tally.write_bundle(found) == case["text"]
    results = verify_bundle(found, domain(VECTORS["bundles.json"]["domain"]))
    assert {str(result.number): result.state for result in results} == case["checks"]
    assert (write(found.node), write(receipt.job), write(receipt.leaf)) == (
        case["node"], case["job"], case["leaf_hash"]
    )  # fmt: skip
    assert (receipt.index, receipt.anchor_by) == (case["index"], case["anchor_by"])
    assert (write(opened_request(found.opening)), opened_text(found.opening)) == (case["request"], case["answer"])
    if inclusion is None:
        assert case["size"] is case["root"] is case["path"] is case["block"] is None
    else:
        anchor = inclusion.anchor
        assert (anchor.size, write(anchor.root), anchor.block) == (case["size"], case["root"], case["block"])
        assert write(inclusion.proof.path) == case["path"]


@cases("bundles.json", "invalid")
def test_a_bundle_is_refused(case: Any) -> None:
    with refuses(case):
        file = tally.parse_bundle(case["text"])
        verify_bundle(file.bundle)
        file.check_unchanged()


@cases("bundles.json", "links")
def test_a_link_holds_a_bundle(case: Any) -> None:
    assert read_link(case["link"]).decode() == case["text"]


# Faults

FAULTS = {struct.__struct_config__.tag: struct for struct in KINDS}


def judge(case: Any) -> FaultKind:
    fields, known = dict(case["fault"]), case["witness"]
    fault = read(FAULTS[fields.pop("kind")], fields)
    ring = tuple(read(AnchoredAt, anchor) for anchor in known["ring"])
    witness = Witness(known["size"], hexed(known["root"]), known["now"], ring, known["complete"])
    return check_fault(fault, domain(VECTORS["faults.json"]["domain"]), witness)


@cases("faults.json", "valid")
def test_a_fault_convicts(case: Any) -> None:
    assert judge(case) == case["kind"]


@cases("faults.json", "invalid")
def test_evidence_is_refused(case: Any) -> None:
    with refuses(case):
        judge(case)
    with pytest.raises(InvalidEvidence) as refusal:
        judge(case)
    assert refusal.value.reason == case["says"]
