"""(5) An inclusion proof as text that tools of other logs read too: C2SP `tlog-proof`.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKy…PlQ=                       one base64 hash a line, from the leaf's sibling up to below the root

    tallynet/1337/0x…/0x…           from here on the node's signed checkpoint, verbatim: origin, size, root,
    109482                          a blank line, and one line for each signature
    sFod…08=

    — tallynet/1337/0x…/0x… hI2D…

A reader of this module takes one form only, and no `extra` line: nothing would authenticate it. Signatures are
checked by `note.read_checkpoint_note`. Source: C2SP tlog-proof, tlog-checkpoint, signed-note.
"""

import re
from dataclasses import dataclass

from tallynet.protocol.errors import InvalidCheckpoint, InvalidProof
from tallynet.protocol.merkle import MAX_PATH, MAX_SIZE
from tallynet.protocol.note import read_note
from tallynet.protocol.note_key import decode_base64, encode_base64
from tallynet.protocol.units import Digest, printable

MAGIC = "c2sp.org/tlog-proof@v1"
"""The first line."""

MAX_PROOF_BYTES = 32 * 1024
"""Longest text of a proof: the longest path, and a checkpoint with dozens of signatures."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,12}")


@dataclass(frozen=True, slots=True)
class Head:
    """The body of a checkpoint: what the log's key signs. Nothing in it has been checked."""

    origin: str
    """Which log."""
    size: int
    root: Digest


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That an entry is in the log that a checkpoint tells of; nothing in it has been checked."""

    index: int
    path: tuple[Digest, ...]
    """RFC 9162 inclusion proof, from the leaf up, at most 63 hashes."""
    checkpoint: str
    """The whole signed note, with its last line's end."""

    @property
    def head(self) -> Head:
        """What the checkpoint says. Raises `InvalidProof` (6) for a text that is no signed checkpoint."""
        return _read_head(self.checkpoint)


def write_proof(proof: TlogProof) -> str:
    """The text of a proof; ends with the checkpoint."""
    path = "".join(encode_base64(digest) + "\n" for digest in proof.path)
    return f"{MAGIC}\nindex {proof.index}\n{path}\n{proof.checkpoint}"


def read_proof(data: bytes) -> TlogProof:
    """Read the text of a proof. Raises `InvalidProof` for any other form than `write_proof` writes."""
    # (1) it is UTF-8 of bounded length
    if len(data) > MAX_PROOF_BYTES:
        raise _malformed(1, f"it has {len(data)} bytes, over {MAX_PROOF_BYTES}")
    try:
        head, blank, checkpoint = data.decode().partition("\n\n")
    except UnicodeDecodeError as error:
        raise _malformed(1, f"it is not UTF-8: {error}") from error
    magic, *lines = head.split("\n")
    # (2) it begins with the name of the format, and a blank line parts it from the checkpoint
    if magic != MAGIC or not blank or not lines:
        raise _malformed(2, f"it begins with {printable(magic, 40)!r}, not {MAGIC!r}, or holds no checkpoint")
    # (5) there are at most 63 hashes
    if len(lines) - 1 > MAX_PATH:
        raise _malformed(5, f"it has {len(lines) - 1} hashes, over {MAX_PATH}")
    proof = TlogProof(_read_index(lines[0]), tuple(map(_read_hash, lines[1:])), checkpoint)
    _read_head(checkpoint)
    return proof


def _read_index(line: str) -> int:
    label, _, number = line.partition(" ")
    # (3) the index is a decimal number within the bounds of a log
    if label != "index" or not _NUMBER.fullmatch(number) or int(number) >= MAX_SIZE:
        raise _malformed(3, f"its second line is {printable(line, 40)!r}, not an index")
    return int(number)


def _read_hash(line: str) -> Digest:
    data = decode_base64(line)
    # (4) each hash is 32 bytes, in the one base64 form
    if data is None or len(data) != 32:
        raise _malformed(4, f"{printable(line, 50)!r} is not 32 bytes in the one base64 form")
    return Digest(data)


def _read_head(checkpoint: str) -> Head:
    # (6) the checkpoint is a signed note of three lines: origin, size and root
    try:
        lines = read_note(checkpoint).text.split("\n")
    except InvalidCheckpoint as error:
        raise _malformed(6, f"its checkpoint cannot be read: {error.message}") from error
    origin, size, root, end = lines if len(lines) == 4 else ("", "", "", "more")
    if end or not origin or not _NUMBER.fullmatch(size) or int(size) >= MAX_SIZE:
        raise _malformed(6, f"its checkpoint begins with {printable(checkpoint, 60)!r}")
    return Head(origin, int(size), _read_hash(root))


def _malformed(check: int, why: str) -> InvalidProof:
    return InvalidProof(f"the proof is not a tlog-proof: {why}", check=check)
