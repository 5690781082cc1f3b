"""How large the proof of one run is, in a log of a million entries."""

from dataclasses import replace
from hashlib import sha256

from tallynet.devnet.bench.leaves import ANCHOR_BY, DOMAIN, SAMPLING, make_leaf
from tallynet.devnet.bench.report import Row, at_most
from tallynet.protocol.bundle import AnchorRef, Bundle, attach_anchor, read_bundle, write_bundle
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.job import Job, sign_job, verify_job
from tallynet.protocol.keys import Key
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Digest, Milliseconds, Seconds, Wei

MOST_BYTES = 2_500


def measure_bundle(size: int) -> Row:
    """The bundle of one run in the middle of a log of `size` entries, anchored, without its text."""
    text = write_bundle(make_bundle(size))
    read_bundle(text)
    return at_most("bundle_bytes", f"bundle at {size:,} leaves", len(text.encode()), "B", MOST_BYTES)


def make_bundle(size: int) -> Bundle:
    """Of a run that both sides signed; the other entries are noise."""
    client, node, index = Key.generate(), Key.generate(), size // 2
    blank = make_leaf(index)
    job = Job(client.address, blank.model, blank.request, SAMPLING, Milliseconds(2**52), Wei(10**6), Digest(blank.job))
    signed = sign_job(job, DOMAIN, client)
    leaf = replace(
        blank,
        job=verify_job(signed, DOMAIN).id,
        client=client.address,
        params=SAMPLING.digest,
        client_signature=signed.signature,
    )
    tree = Tree(Digest(sha256(number.to_bytes(8)).digest()) if number != index else leaf.hash for number in range(size))
    root = tree.root()
    anchor = AnchorRef(size, root, Seconds(1_767_225_600), 21_000_000, root, root)
    note = write_checkpoint_note(Checkpoint(size, root), DOMAIN, node)
    bundle = Bundle(DOMAIN, node.address, signed, sign_receipt(leaf, index, ANCHOR_BY, DOMAIN, node))
    return attach_anchor(bundle, anchor, tree.inclusion(index), note)
