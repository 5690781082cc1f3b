"""(6) A bundle: everything about one run in one text file, so that anybody can check it later, also offline.

    tallynet-bundle@v2
    sha256 …                        of every byte below this line
    chain 1337                      numbers are decimal, addresses 0x and lower-case hex, all else base64
    contract 0x…
    node 0x…
    leaf …                          the 352 bytes of the log's entry
    job …                           what the leaf does not repeat of the `SignedJob` (`bundle_forms`)
    receipt …                       what the leaf does not repeat of the `SignedReceipt`
    anchor 12 1767225600 … …        block, its time, its hash, transaction; only once the run is anchored
    secret …                        from here on what the file opens, if anything (`bundle_openings`)
    request …
    prompt …
    chunk …                         one line each

    c2sp.org/tlog-proof@v1          only once the run is anchored: the C2SP proof, verbatim to the end of the file
    index 7                         (`tlog_proof`), whose checkpoint is the anchored head, signed by the node
    …

There is one way to write a bundle, and nothing else is read. The second line finds damage to what nothing else binds
(time, block and transaction of the anchor); it is no protection against somebody who forges an anchor and writes the
line anew: only the chain settles that. Whoever holds a bundle can read what it opens, and no more.

Source: spec chapter 6.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tallynet.protocol import merkle
from tallynet.protocol.bundle_forms import pack_job, pack_receipt, read_leaf, unpack_job, unpack_receipt
from tallynet.protocol.bundle_lines import Lines, malformed
from tallynet.protocol.bundle_openings import LABELS, Opening, opening_values, read_opening
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidProof
from tallynet.protocol.job import SignedJob
from tallynet.protocol.note import read_checkpoint_note
from tallynet.protocol.note_key import log_origin
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.tlog_proof import TlogProof, read_proof, write_proof
from tallynet.protocol.units import Address, Digest, Seconds, prefixed, short

SUFFIX = ".tally"

MAGIC = b"tallynet-bundle@v2"
"""The first line."""
MAX_BUNDLE_BYTES = 4 * 1024 * 1024
"""Largest bundle: room for the longest request, prompt and answer, with their evidence."""
MAX_CORE_BYTES = 64 * 1024
"""Largest bundle without its openings."""

_OPENINGS = tuple(label.encode() + b" " for label in LABELS)


@dataclass(frozen=True, slots=True)
class AnchorRef:
    """Where on the chain a log head stands."""

    size: int
    """Leaves under the root, 1 ≤ size < 2**40."""
    root: Digest
    time: Seconds
    """Time of the block."""
    block: int
    block_hash: Digest
    transaction: Digest


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That the leaf is under an anchored root."""

    anchor: AnchorRef
    proof: TlogProof
    """Leads to the checkpoint that has the anchor's size and root."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One run with all that it takes to check it. Nothing in it has been checked: see `bundle_checks`."""

    domain: Domain
    node: Address
    job: SignedJob
    receipt: SignedReceipt
    opening: Opening | None = None
    """What was said, as far as the file opens it."""
    inclusion: Inclusion | None = None
    """None until the run is anchored."""

    def closed(self) -> "Bundle":
        """The same without any text: it shows that the run took place, and not what was said."""
        return replace(self, opening=None)


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A bundle as it was written, with its second line not yet compared."""

    bundle: Bundle
    computed: Digest
    """SHA-256 of everything below the second line."""
    stated: Digest
    """What the second line says."""

    def check_unchanged(self) -> None:
        """Check (10): the file is as it was written. Raises `InvalidBundle`."""
        # (10) the second line is the SHA-256 of all below it
        if self.stated != self.computed:
            raise InvalidBundle(
                f"the file was changed after it was written: its bytes hash to {short(self.computed)}, "
                f"its second line says {short(self.stated)}",
                check=10,
                evidence={"computed": self.computed, "stated": self.stated},
            )


def write_bundle(bundle: Bundle) -> str:
    """The one text of a bundle. Raises `InvalidBundle` for one over its caps, or whose parts contradict each other."""
    _check_agreement(bundle)
    body = _body(bundle)
    data = _sealed(Digest(hashlib.sha256(body).digest()), body)
    _check_size(data)
    return data.decode()


def read_bundle(text: str | bytes) -> Bundle:
    """Read a bundle that is whole and unchanged: checks (1) and (10). Raises `InvalidBundle`."""
    file = parse_bundle(text)
    file.check_unchanged()
    return file.bundle


def parse_bundle(text: str | bytes) -> BundleFile:
    """Check (1): the file is a bundle in its one form. Raises `InvalidBundle`.

    Leaves the second line to `check_unchanged`, so that the checks of the content can first name what changed.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    # (1) it has at most 4 MiB, and besides its openings at most 64 KiB
    _check_size(data)
    header, blank, proof = data.partition(b"\n\n")
    magic, *lines = header.removesuffix(b"\n").split(b"\n")
    if magic != MAGIC:
        raise malformed(f"its first line is {magic[:40]!r}, not {MAGIC.decode()!r}")
    if not data.endswith(b"\n"):
        raise malformed("its last line has no end")
    reader = Lines(lines, first=2)
    # (1) its lines stand in their order, each value in its form, and the checkpoint is of this node's log
    stated = reader.digest("sha256")
    bundle = _bundle(reader, proof if blank else None)
    body = data.split(b"\n", 2)[2]
    # (1) whoever writes this bundle again writes the same bytes
    if (again := _sealed(stated, _body(bundle))) != data:
        raise malformed(f"{_first_difference(data, again)} is not in the one form it can have")
    return BundleFile(bundle, Digest(hashlib.sha256(body).digest()), stated)


def attach_anchor(bundle: Bundle, anchor: AnchorRef, path: Sequence[Digest], checkpoint: str) -> Bundle:
    """The bundle with its place under an anchored root, in place of any it had.

    `checkpoint` is the note in which the node signed the anchored head. Raises `InvalidProof` when the anchor does not
    cover the run or the path does not lead to its root, `InvalidCheckpoint` when the note is not the node's.
    """
    receipt = bundle.receipt.receipt
    # (1) the anchored log is long enough to hold the leaf
    if anchor.size <= receipt.index:
        raise InvalidProof(
            f"the anchor covers {anchor.size} leaves, the run is leaf {receipt.index}",
            check=1,
            evidence={"size": anchor.size, "index": receipt.index},
        )
    # (2) the leaf is under the anchored root
    merkle.verify_inclusion(receipt.leaf, receipt.index, anchor.size, path, anchor.root)
    # (3) the node signed a checkpoint of that size and root
    signed = read_checkpoint_note(checkpoint, bundle.domain, bundle.node).checkpoint
    if (signed.size, signed.root) != (anchor.size, anchor.root):
        raise InvalidProof(
            f"the node signed a log of size {signed.size}, root {short(signed.root)}; anchored is size "
            f"{anchor.size}, root {short(anchor.root)}",
            check=3,
            evidence={"checkpoint": checkpoint, "size": anchor.size, "root": anchor.root},
        )
    return replace(bundle, inclusion=Inclusion(anchor, TlogProof(receipt.index, tuple(path), checkpoint)))


# --- writing ---------------------------------------------------------------------------------------------


def _check_agreement(bundle: Bundle) -> None:
    """Job, receipt and anchor are written without what leaf and checkpoint repeat: it must be the same there."""
    receipt, leaf = bundle.receipt, read_leaf(bundle.receipt.leaf)
    if unpack_job(pack_job(bundle.job), leaf) != bundle.job:
        raise malformed("the leaf tells of another job")
    if unpack_receipt(pack_receipt(receipt), leaf) != receipt:
        raise malformed("the receipt is about another leaf")
    if bundle.inclusion is not None:
        anchor, head = bundle.inclusion.anchor, bundle.inclusion.proof.head
        if (head.size, head.root) != (anchor.size, anchor.root):
            raise malformed("the checkpoint is not of the anchored head")


def _sealed(digest: Digest, body: bytes) -> bytes:
    """The file: its first two lines, and all below them."""
    return MAGIC + b"\nsha256 " + base64.b64encode(digest) + b"\n" + body


def _body(bundle: Bundle) -> bytes:
    """Everything below the second line."""
    header = b"".join(label.encode() + b" " + value + b"\n" for label, value in _values(bundle))
    proof = b"\n" + write_proof(bundle.inclusion.proof).encode() if bundle.inclusion is not None else b""
    return header + proof


def _values(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    yield "chain", b"%d" % bundle.domain.chain_id
    yield "contract", prefixed(bundle.domain.contract).encode()
    yield "node", prefixed(bundle.node).encode()
    yield "leaf", base64.b64encode(bundle.receipt.leaf)
    yield "job", base64.b64encode(pack_job(bundle.job))
    yield "receipt", base64.b64encode(pack_receipt(bundle.receipt))
    if bundle.inclusion is not None:
        anchor = bundle.inclusion.anchor
        hashes = base64.b64encode(anchor.block_hash) + b" " + base64.b64encode(anchor.transaction)
        yield "anchor", b"%d %d %s" % (anchor.block, anchor.time, hashes)
    yield from opening_values(bundle.opening)


# --- reading ---------------------------------------------------------------------------------------------


def _bundle(lines: Lines, proof: bytes | None) -> Bundle:
    domain = Domain(lines.number("chain", least=1, below=2**64), lines.address("contract"))
    node = lines.address("node")
    leaf = read_leaf(lines.binary("leaf"))
    job, receipt = unpack_job(lines.binary("job"), leaf), unpack_receipt(lines.binary("receipt"), leaf)
    anchor = lines.anchor("anchor") if lines.next_is("anchor") else None
    opening = read_opening(lines)
    lines.end()
    if (anchor is None) != (proof is None):
        raise malformed("it has an anchor and no proof" if proof is None else "it has a proof and no anchor")
    inclusion = None if anchor is None or proof is None else _inclusion(anchor, proof, log_origin(domain, node))
    return Bundle(domain, node, job, receipt, opening, inclusion)


def _inclusion(anchor: tuple[int, int, Digest, Digest], text: bytes, origin: str) -> Inclusion:
    try:
        proof = read_proof(text)
        head = proof.head
    except InvalidProof as error:
        raise malformed(error.message) from error
    if head.origin != origin:
        raise malformed(f"its checkpoint is of another log than {origin}")
    block, time, block_hash, transaction = anchor
    return Inclusion(AnchorRef(head.size, head.root, Seconds(time), block, block_hash, transaction), proof)


def _check_size(data: bytes) -> None:
    """Before anything is decoded: the caps of the whole file, and of all but its openings."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise malformed(f"it has {len(data)} bytes, more than {MAX_BUNDLE_BYTES}")
    openings = sum(len(line) + 1 for line in data.split(b"\n") if line.startswith(_OPENINGS))
    if len(data) - openings > MAX_CORE_BYTES:
        raise malformed(f"it has {len(data) - openings} bytes besides its openings, more than {MAX_CORE_BYTES}")


def _first_difference(data: bytes, again: bytes) -> str:
    pairs = zip(data.split(b"\n"), again.split(b"\n"), strict=False)
    return next((f"line {at}" for at, (one, other) in enumerate(pairs, 1) if one != other), "its end")
