"""(5) Signed notes: the checkpoint as every reader of transparency logs knows it, signed twice.

    tallynet/1337/0x5fbd…0aa3/0x1c4e…9b07       the log's name: chain, contract, node
    1094820                                      its size
    wM1Zq…=                                      its root

    — tallynet/1337/… <Ed25519, type 01>         for witnesses and tools of other logs
    — tallynet/1337/… <secp256k1, type ff>       the node's own, the one that the contract judges

The secp256k1 line signs no text but the EIP-712 statement that the text is: `Checkpoint`, or `NoteKey` in the note
that publishes the Ed25519 key. Formats: C2SP signed-note and tlog-checkpoint. Source: spec chapter 5, "Tile log".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidCheckpoint, InvalidSignature
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.note_key import (
    Ed25519Verifier,
    NoteKey,
    NoteKeyStatement,
    NoteVerifier,
    decode_base64,
    encode_base64,
    key_id,
    log_origin,
)
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.units import Address, Digest, Signature, prefixed

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
"""Lines read; C2SP asks for 16 at least."""
SECP256K1 = b"\xfftallynet-secp256k1-eip712-v1"
"""C2SP signature type ff and its longer name; the public key after it is the node's address, 20 bytes."""

_DASH = "\N{EM DASH} "
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line under a note."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, its line end included, and who signed it. Nothing is checked yet: see `verify_note`."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))


@dataclass(frozen=True, slots=True)
class NodeVerifier:
    """A node's secp256k1 key as a verifier of notes: known by its address alone."""

    domain: Domain
    node: Address

    @property
    def name(self) -> str:
        return log_origin(self.domain, self.node)

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, SECP256K1 + self.node)

    def check(self, text: bytes, signature: bytes) -> None:
        check_signed_by(_read_statement(text.decode(), self.name).digest(self.domain), signature, self.node)


def read_note(data: bytes | str) -> Note:
    """Take a note apart. Raises `InvalidCheckpoint` for every form but the one form."""
    raw = data.encode(errors="replace") if isinstance(data, str) else data
    # (1) it has at most 65536 bytes of UTF-8, without control characters but line ends
    if len(raw) > MAX_NOTE_BYTES:
        raise InvalidCheckpoint(f"the note has {len(raw)} bytes, over {MAX_NOTE_BYTES}", check=1)
    try:
        note = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise InvalidCheckpoint(f"the note is not UTF-8 at byte {error.start}", check=1) from error
    if _CONTROLS.search(note):
        raise InvalidCheckpoint("the note has a control character", check=1)
    # (2) its text ends in a line end, then comes an empty line, then 1 to 64 signatures
    end = note.rfind("\n\n")
    lines = note[end + 2 :].split("\n")
    if end < 0 or lines.pop() or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise InvalidCheckpoint(f"the note has no 1 to {MAX_SIGNATURES} signature lines after an empty line", check=2)
    return Note(note[: end + 1], tuple(map(_read_signature, lines)))


def verify_note(note: Note, known: Sequence[NoteVerifier]) -> list[NoteVerifier]:
    """Check every signature by a known key; returns the keys that signed. Raises `InvalidCheckpoint`."""
    text, signed = note.text.encode(), []
    for line in note.signatures:
        for verifier in known:
            if (line.name, line.key_id) == (verifier.name, verifier.key_id):
                # (4) every signature by a known key holds; those by other keys are passed over
                try:
                    verifier.check(text, line.signature)
                except InvalidSignature as error:
                    raise InvalidCheckpoint(
                        f"a known key did not sign the note: {error.message}", check=4, evidence=error.evidence
                    ) from error
                signed.append(verifier)
    # (5) a known key signed it
    if not signed:
        raise InvalidCheckpoint("the note is signed by nobody known here", check=5)
    return signed


def write_checkpoint_note(checkpoint: Checkpoint, domain: Domain, key: Key) -> str:
    """Sign a head as a note. Call only for a head that the log's guard row has let through."""
    return write_signed_note(sign_checkpoint(checkpoint, domain, key), domain, key)


def write_signed_note(signed: SignedCheckpoint, domain: Domain, key: Key) -> str:
    """A checkpoint that `key` has signed, as a note that the note key signs too."""
    return _write(checkpoint_text(signed.checkpoint, domain, key.address), signed.signature, domain, key)


def checkpoint_text(checkpoint: Checkpoint, domain: Domain, node: Address) -> str:
    """The three lines that are signed."""
    return f"{log_origin(domain, node)}\n{checkpoint.size}\n{encode_base64(checkpoint.root)}\n"


def read_checkpoint_note(
    data: bytes | str, domain: Domain, node: Address, note_key: bytes | None = None
) -> SignedCheckpoint:
    """The checkpoint in a note, its node's signature checked, and the Ed25519 one when its key is known.

    Raises `InvalidCheckpoint`.
    """
    note, verifier = read_note(data), NodeVerifier(domain, node)
    checkpoint = _read_checkpoint(note.text, verifier.name)
    signature = _verify_node(note, verifier, note_key)
    return SignedCheckpoint(checkpoint, Signature(signature))


def write_key_note(domain: Domain, key: Key) -> str:
    """The node's note key as it is published at `/vkey`: its text is one line, the C2SP verifier key."""
    vkey = Ed25519Verifier(log_origin(domain, key.address), NoteKey.of(key).public)
    signature = key.sign(NoteKeyStatement(vkey.public).digest(domain))
    return _write(vkey.vkey + "\n", signature, domain, key)


def read_key_note(data: bytes | str, domain: Domain, node: Address) -> bytes:
    """The note key that `node` published, 32 bytes; signed by the node and by itself. Raises `InvalidCheckpoint`."""
    note, verifier = read_note(data), NodeVerifier(domain, node)
    public = _read_vkey(note.text, verifier.name)
    _verify_node(note, verifier, public)
    return public


def _write(text: str, signature: bytes, domain: Domain, key: Key) -> str:
    node, note_key = NodeVerifier(domain, key.address), NoteKey.of(key)
    vkey = Ed25519Verifier(node.name, note_key.public)
    lines = (
        NoteSignature(node.name, vkey.key_id, note_key.sign(text.encode())),
        NoteSignature(node.name, node.key_id, signature),
    )
    return str(Note(text, lines))


def _verify_node(note: Note, node: NodeVerifier, note_key: bytes | None) -> bytes:
    """The node's own signature of a note, everything known being checked."""
    known: list[NoteVerifier] = [node]
    if note_key is not None:
        known.append(Ed25519Verifier(node.name, note_key))
    signed = verify_note(note, known)
    # (8) the node's own key signed it once, and its note key where that is known
    if any(signed.count(verifier) != 1 for verifier in known):
        raise InvalidCheckpoint(f"the note is not signed once by each key of {prefixed(node.node)}", check=8)
    return next(line.signature for line in note.signatures if line.key_id == node.key_id and line.name == node.name)


def _read_signature(line: str) -> NoteSignature:
    # (3) each is a dash, a name without spaces and plus, and base64 of a key id and a signature
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = decode_base64(encoded) or b""
    named = line.startswith(_DASH) and name and "+" not in name and not any(map(str.isspace, name))
    if not named or len(data) < 5:
        raise InvalidCheckpoint("a signature line of the note has another form", check=3)
    return NoteSignature(name, data[:4], data[4:])


def _read_statement(text: str, origin: str) -> Checkpoint | NoteKeyStatement:
    """What a note says, as the EIP-712 statement that the node signs."""
    if text.count("\n") == 1:
        return NoteKeyStatement(_read_vkey(text, origin))
    return _read_checkpoint(text, origin)


def _read_checkpoint(text: str, origin: str) -> Checkpoint:
    name, *rest = text.split("\n")
    # (6) a checkpoint is three lines: this log's name, a size without leading zeros, 32 bytes of root in base64
    size, root, *end = rest if len(rest) == 3 else ("", "", "more")
    digest = decode_base64(root) or b""
    plain = size.isascii() and size.isdecimal() and size == str(int(size[:20])) and int(size) < MAX_LOG_SIZE
    if name != origin or end != [""] or not plain or len(digest) != 32:
        raise InvalidCheckpoint(f"the note is no checkpoint of {origin}", check=6, evidence={"text": text})
    return Checkpoint(int(size), Digest(digest))


def _read_vkey(text: str, origin: str) -> bytes:
    # (7) a note key is one line, the Ed25519 verifier key by this log's name
    try:
        published = Ed25519Verifier.parse(text.removesuffix("\n"))
    except InvalidCheckpoint as error:
        raise InvalidCheckpoint(error.message, check=7) from error
    if published.name != origin:
        raise InvalidCheckpoint(f"the note key is not that of {origin}", check=7, evidence={"text": text})
    return published.public
