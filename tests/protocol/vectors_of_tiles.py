"""Vectors of the tile log: signed notes, note keys, names of tiles, and what no reader may take."""

from collections.abc import Iterator
from typing import Any

from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.note import NodeVerifier, write_checkpoint_note, write_key_note
from tallynet.protocol.note_key import Ed25519Verifier, NoteKey, NoteKeyStatement, log_origin
from tallynet.protocol.tiles import Tile, tiles, write_bundle, write_tile
from tests.protocol.examples import DOMAIN, NODE, STRANGER, digest, valid_checkpoint, valid_leaf
from tests.protocol.json_form import write
from tests.protocol.vectors_of_trees import TREE

DOMAIN_JSON = {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)}
NOTE = write_checkpoint_note(valid_checkpoint(), DOMAIN, NODE)
EMPTY = Checkpoint(0, digest("empty"))


def notes() -> dict[str, Any]:
    """A node's note key and its checkpoints; all refusals are told from NODE's point of view, its note key known."""
    note_key, origin = NoteKey.of(NODE), log_origin(DOMAIN, NODE.address)
    return {
        "domain": DOMAIN_JSON,
        "secret": write(NODE.secret),
        "node": write(NODE.address),
        "note_key": write(note_key.public),
        "origin": origin,
        "vkey": Ed25519Verifier(origin, note_key.public).vkey,
        "node_key_id": write(NodeVerifier(DOMAIN, NODE.address).key_id),
        "note_key_digest": write(NoteKeyStatement(note_key.public).digest(DOMAIN)),
        "key_note": write_key_note(DOMAIN, NODE),
        "valid": [
            {"size": head.size, "root": write(head.root), "note": write_checkpoint_note(head, DOMAIN, NODE)}
            for head in (valid_checkpoint(), EMPTY)
        ],
        "invalid": [
            {"note": note, "error": "invalid-checkpoint", "check": check, "reason": reason}
            for check, note, reason in bad_notes()
        ],
    }


def bad_notes() -> Iterator[tuple[int, str, str]]:
    text, _, lines = NOTE.partition("\n\n")
    ed25519, secp256k1, _ = lines.split("\n")
    other = write_checkpoint_note(Checkpoint(valid_checkpoint().size + 1, digest("root")), DOMAIN, NODE)
    yield 1, NOTE.replace("\n", "\r\n"), "line ends of two characters"
    yield 2, text + "\n", "no signature"
    yield 2, NOTE + "\n", "an empty line at the end"
    yield 2, NOTE[:-1], "no line end at the end"
    yield 3, NOTE.replace("\N{EM DASH}", "-"), "a hyphen for the dash"
    yield 3, NOTE + "\N{EM DASH} witness+1 AAAAAAA=\n", "a plus in the name of a key"
    yield 4, f"{text}\n\n{ed25519}\n{other.splitlines()[-1]}\n", "the node signed another checkpoint"
    yield 4, f"{text}\n\n{other.splitlines()[-2]}\n{secp256k1}\n", "the note key signed another checkpoint"
    yield 5, f"{text}\n\n\N{EM DASH} witness AAAAAAA=\n", "signed by nobody known"
    yield 6, NOTE.replace("\n1094820\n", "\n01094820\n"), "a size with a zero before it"
    yield 6, NOTE.replace("\n\n", "\nmore\n\n"), "a fourth line"
    yield 6, write_checkpoint_note(valid_checkpoint(), DOMAIN, STRANGER), "of another log"
    yield 8, f"{text}\n\n{ed25519}\n", "not signed by the node"
    yield 8, f"{text}\n\n{secp256k1}\n", "not signed by the note key"


def tile_cases() -> dict[str, Any]:
    leaves = [valid_leaf(prompt_tokens=number).pack() for number in range(2)]
    return {
        "tree": "the tree of merkle.json, 1000 leaves",
        "paths": [str(tile) for tile in tiles(1000)],
        "tiles": [{"path": str(tile), "data": write(write_tile(TREE, tile))} for tile in SHOWN],
        "bundle": {"leaves": [write(leaf) for leaf in leaves], "data": write(write_bundle(leaves))},
        "invalid_paths": [
            {"path": path, "error": "invalid-frame", "check": check, "reason": reason}
            for check, path, reason in BAD_PATHS
        ],
    }


SHOWN = (Tile(0, 0, 3), Tile(1, 0, 3))
BAD_PATHS = (
    (1, "tile/0/0", "an index of one digit"),
    (1, "tile/0/001/000", "a group without its x"),
    (1, "tile/0/000.p/0", "a width of 0"),
    (1, "tile/5/000", "a level that no log has"),
    (1, "tile/4/001.p/1", "beyond 2**40 leaves"),
    (1, "/tile/0/000", "a slash before it"),
    (2, "tile/0/x000/001", "a group of zeros"),
    (2, "tile/00/001", "a level of two digits"),
    (2, "tile/0/000.p/256", "a full tile with its width"),
)
