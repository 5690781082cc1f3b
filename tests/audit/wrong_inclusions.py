"""Bundles whose leaf is not in the log that the node signed, or that were damaged on their way: checks (9), (10)."""

from base64 import b64encode
from dataclasses import replace

from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import LABELS
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.note import Note, NoteSignature, read_note, write_checkpoint_note
from tallynet.protocol.note_key import log_origin
from tallynet.protocol.units import Digest, Signature
from tests.audit.examples import DOMAIN, NODE, STRANGER, ExampleNode, bundle
from tests.audit.forging import change_head, change_proof, high_s, inclusion, line_of, note
from tests.audit.ways import way

VALID = bundle()
TEXT = write_bundle(VALID).encode()
OTHER = Digest(b"\x99" * 32)
PATH = inclusion(VALID).proof.path
ROOT = inclusion(VALID).anchor.root
NOTE = read_note(inclusion(VALID).proof.checkpoint)
NOTE_KEY_LINE, NODE_LINE = NOTE.signatures
OPENING = tuple(label.encode() + b" " for label in LABELS)


def signed_with(*lines: NoteSignature) -> Bundle:
    """The checkpoint with these signatures."""
    return change_proof(VALID, checkpoint=str(Note(NOTE.text, lines)))


def damaged(old: bytes, new: bytes) -> bytes:
    """The file with the second line left as it was."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


# (9)


@way(9, "the proof is of leaf 3, the receipt promised index 2")
def proof_of_another_index() -> Bundle:
    """The proof is of another place in the log than the receipt promised."""
    return change_proof(VALID, index=3)


@way(9, "the path has 2 hashes, not 3")
def path_too_short() -> Bundle:
    """The last hash of the path is missing."""
    return change_proof(VALID, path=PATH[:-1])


@way(9, "the path has 4 hashes, not 3")
def path_too_long() -> Bundle:
    """The path has a hash too many."""
    return change_proof(VALID, path=(*PATH, OTHER))


@way(9, "the path has 0 hashes, not 3")
def no_path() -> Bundle:
    """The path has no hash."""
    return change_proof(VALID, path=())


@way(9, "leads to")
def first_hash_altered() -> Bundle:
    """A bit of the first hash of the path is flipped."""
    return change_proof(VALID, path=(Digest(bytes([PATH[0][0] ^ 1]) + PATH[0][1:]), *PATH[1:]))


@way(9, "leads to")
def last_hash_altered() -> Bundle:
    """A bit of the last hash of the path is flipped."""
    return change_proof(VALID, path=(*PATH[:-1], Digest(PATH[-1][:-1] + bytes([PATH[-1][-1] ^ 0x80]))))


@way(9, "leads to")
def hashes_exchanged() -> Bundle:
    """Two hashes of the path have changed places."""
    return change_proof(VALID, path=(PATH[1], PATH[0], PATH[2]))


@way(9, "leads to")
def path_of_the_neighbour() -> Bundle:
    """The path is that of the next leaf."""
    node = ExampleNode()
    for _ in range(5):
        node.run()
    return change_proof(VALID, path=tuple(node.tree.inclusion(3, 5)))


@way(9, "leads to")
def leaf_that_is_not_logged() -> Bundle:
    """The node signed a receipt for a leaf, and logged another one at its index."""
    other = ExampleNode()
    runs = [other.run("Something else?" if number == 2 else "What is the capital of Japan?") for number in range(5)]
    return replace(VALID, inclusion=other.anchored(runs[2]).inclusion)


@way(9, "outside a tree of 2")
def anchor_that_does_not_cover_the_run() -> Bundle:
    """The node's checkpoint is of a log too short to hold the leaf."""
    return change_head(VALID, size=2)


@way(9, "hashes, not 5")
def checkpoint_of_another_size() -> Bundle:
    """The node's checkpoint is of a log of another size than the path is for."""
    return change_head(VALID, size=17)


@way(9, "leads to")
def checkpoint_of_another_root() -> Bundle:
    """The node's checkpoint is of a log with another root."""
    return change_head(VALID, root=OTHER)


@way(9, "the note is signed by nobody known here")
def checkpoint_signed_by_a_stranger() -> Bundle:
    """Not the node signed the checkpoint."""
    return change_head(VALID, key=STRANGER)


@way(9, "the note is signed by nobody known here")
def checkpoint_signed_for_another_chain() -> Bundle:
    """The node signed the checkpoint for another chain."""
    elsewhere = Domain(1, DOMAIN.contract)
    other = write_checkpoint_note(Checkpoint(5, ROOT), elsewhere, NODE)
    here, there = log_origin(DOMAIN, NODE.address), log_origin(elsewhere, NODE.address)
    return change_proof(VALID, checkpoint=other.replace(there, here))


@way(9, "the note is signed by nobody known here")
def checkpoint_signed_by_the_note_key_alone() -> Bundle:
    """The line that the contract can judge is missing."""
    return signed_with(NOTE_KEY_LINE)


@way(9, "the note is signed by nobody known here")
def signature_under_another_key_id() -> Bundle:
    """The node's signature stands under the id of another key."""
    return signed_with(NOTE_KEY_LINE, NoteSignature(NODE_LINE.name, bytes(4), NODE_LINE.signature))


@way(9, "the note is signed by nobody known here")
def signature_under_another_name() -> Bundle:
    """The node's signature stands under another name."""
    return signed_with(NOTE_KEY_LINE, NoteSignature("witness", NODE_LINE.key_id, NODE_LINE.signature))


@way(9, "a known key did not sign the note: signed by")
def checkpoint_size_changed() -> Bundle:
    """The node signed a checkpoint of another size than it says."""
    return change_proof(VALID, checkpoint=note(6, ROOT).replace("\n6\n", "\n5\n"))


@way(9, "a known key did not sign the note: the signature has 64 bytes")
def checkpoint_signature_cut_short() -> Bundle:
    """The node's signature lacks its last byte."""
    return signed_with(NOTE_KEY_LINE, NoteSignature(NODE_LINE.name, NODE_LINE.key_id, NODE_LINE.signature[:-1]))


@way(9, "a known key did not sign the note: the signature's s is high")
def checkpoint_signature_with_a_high_s() -> Bundle:
    """The node's signature is written in its second form."""
    return signed_with(
        NOTE_KEY_LINE, NoteSignature(NODE_LINE.name, NODE_LINE.key_id, high_s(Signature(NODE_LINE.signature)))
    )


@way(9, "the note is not signed once by each key")
def checkpoint_signed_twice() -> Bundle:
    """The node's signature stands there twice."""
    return signed_with(NOTE_KEY_LINE, NODE_LINE, NODE_LINE)


# (10)


@way(10, "the file was changed after it was written")
def another_checksum() -> bytes:
    """The second line is that of another file."""
    return damaged(line_of(TEXT, "sha256"), b"sha256 " + b64encode(OTHER) + b"\n")


@way(10, "the file was changed after it was written")
def another_block() -> bytes:
    """A digit of the anchor's block number was changed."""
    return damaged(b"anchor 12 ", b"anchor 13 ")


@way(10, "the file was changed after it was written")
def another_time() -> bytes:
    """A digit of the anchor's time was changed."""
    return damaged(b" 1767229200 ", b" 1767229201 ")


@way(10, "the file was changed after it was written")
def another_block_hash() -> bytes:
    """The hash of the anchor's block was changed."""
    return damaged(b64encode(b"\x77" * 32), b64encode(b"\x78" * 32))


@way(10, "the file was changed after it was written")
def another_transaction() -> bytes:
    """The anchor's transaction was changed."""
    return damaged(b64encode(b"\x88" * 32), b64encode(b"\x89" * 32))


@way(10, "the file was changed after it was written")
def note_key_signature_changed() -> bytes:
    """The signature of the note key, which a reader of bundles does not know, was changed."""
    signature = NOTE_KEY_LINE.signature
    other = NoteSignature(NOTE_KEY_LINE.name, NOTE_KEY_LINE.key_id, signature[:-1] + bytes([signature[-1] ^ 1]))
    return damaged(str(NOTE_KEY_LINE).encode(), str(other).encode())


@way(10, "the file was changed after it was written")
def note_key_signature_left_out() -> bytes:
    """The signature of the note key was taken away."""
    return damaged(str(NOTE_KEY_LINE).encode(), b"")


@way(10, "the file was changed after it was written")
def opening_taken_away() -> bytes:
    """What the file opened was taken away."""
    lines = (line for line in TEXT.splitlines(keepends=True) if not line.startswith(OPENING))
    return b"".join(lines)
