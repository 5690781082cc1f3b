"""Bundles that are written properly and are not true: start from a valid one and change one thing.

Of the text: `swap` and `seal`. Of what it says: `change_*`, each with fields to falsify; where the node is at fault, it
signs the falsehood itself.
"""

from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256

import msgspec

from tallynet.protocol.bundle import Bundle, Inclusion
from tallynet.protocol.bundle_forms import pack_job, unpack_job
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.job import SignedJob
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.receipt import SignedReceipt, sign_receipt
from tallynet.protocol.units import Digest, Signature, prefixed
from tests.audit.examples import DOMAIN, NODE

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1."""


def seal(body: bytes) -> bytes:
    """A file with the first two lines that belong above `body`."""
    return b"tallynet-bundle@v2\nsha256 " + b64encode(sha256(body).digest()) + b"\n" + body


def body_of(text: bytes) -> bytes:
    """All below the second line."""
    return text.split(b"\n", 2)[2]


def line_of(text: bytes, label: str) -> bytes:
    """The first line with that label, with its end."""
    return next(line for line in text.splitlines(keepends=True) if line.startswith(label.encode() + b" "))


def value_of(text: bytes, label: str) -> bytes:
    return line_of(text, label)[len(label) + 1 : -1]


def packed_of(text: bytes, label: str) -> bytes:
    """What the base64 of a line holds."""
    return b64decode(value_of(text, label))


def swap(text: bytes, label: str, value: bytes) -> bytes:
    """The text with the first line of that label saying something else, and the second line made anew."""
    return seal(body_of(text).replace(line_of(text, label), label.encode() + b" " + value + b"\n", 1))


def swap_packed(text: bytes, label: str, data: bytes) -> bytes:
    return swap(text, label, b64encode(data))


def whole(of: Bundle) -> Whole:
    assert isinstance(of.opening, Whole)
    return of.opening


def inclusion(of: Bundle) -> Inclusion:
    assert of.inclusion is not None
    return of.inclusion


def change_job(of: Bundle, **changes: object) -> Bundle:
    """Under the signature of the job as it was."""
    return replace(of, job=SignedJob(msgspec.structs.replace(of.job.job, **changes), of.job.signature))


def change_leaf(of: Bundle, key: Key = NODE, **changes: object) -> Bundle:
    """`key` signs a receipt for a leaf that is not true; the file tells of the job as that leaf does."""
    leaf = replace(Leaf.unpack(of.receipt.leaf), **changes)  # type: ignore[arg-type]
    receipt = of.receipt.receipt
    job = unpack_job(pack_job(of.job), leaf)
    return replace(of, job=job, receipt=sign_receipt(leaf, receipt.index, receipt.anchor_by, DOMAIN, key))


def change_receipt(of: Bundle, **changes: object) -> Bundle:
    """Under the signature of the receipt as it was."""
    receipt = msgspec.structs.replace(of.receipt.receipt, **changes)
    return replace(of, receipt=SignedReceipt(receipt, of.receipt.leaf, of.receipt.signature))


def change_opening(of: Bundle, **changes: object) -> Bundle:
    return replace(of, opening=replace(whole(of), **changes))  # type: ignore[arg-type]


def change_chunk(of: Bundle, **changes: object) -> Bundle:
    """The first chunk."""
    first, *rest = whole(of).chunks
    return change_opening(of, chunks=(msgspec.structs.replace(first, **changes), *rest))


def change_anchor(of: Bundle, **changes: object) -> Bundle:
    anchor = replace(inclusion(of).anchor, **changes)  # type: ignore[arg-type]
    return replace(of, inclusion=replace(inclusion(of), anchor=anchor))


def change_proof(of: Bundle, **changes: object) -> Bundle:
    proof = replace(inclusion(of).proof, **changes)  # type: ignore[arg-type]
    return replace(of, inclusion=replace(inclusion(of), proof=proof))


def note(size: int, root: Digest, key: Key = NODE) -> str:
    """A checkpoint of NODE's log, whoever signs it."""
    written = write_checkpoint_note(Checkpoint(size, root), DOMAIN, key)
    return written.replace(prefixed(key.address), prefixed(NODE.address))


def change_head(of: Bundle, size: int = 5, root: Digest | None = None, key: Key = NODE) -> Bundle:
    """The node anchors another log than the one that the path is from, and `key` signs it."""
    root = root or inclusion(of).anchor.root
    return change_anchor(change_proof(of, checkpoint=note(size, root, key)), size=size, root=root)


def other_bits(base64: bytes) -> bytes:
    """The same bytes in base64 that ends in one `=`, with an unused bit set."""
    return base64[:-2] + bytes([base64[-2] + 1]) + b"="


def high_s(signature: Signature) -> Signature:
    """The other form of the same signature, which nobody may use."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return Signature(signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]]))
