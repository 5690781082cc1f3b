"""(6) A bundle: everything about one run in one text file, so that anybody can check it later, also offline.

    tallynet-bundle@v1
    chain 1337                      numbers are decimal, addresses 0x and lower-case hex, all else base64
    contract 0x…
    node 0x…
    job …                           msgpack of the `SignedJob`, as it travels
    receipt …                       msgpack of the `SignedReceipt`
    secret …                        32 bytes: opens every commitment of the job
    request …                       the encoded request
    prompt …                        u32 count ‖ u32 token …
    chunk …                         one line each: tokens as above ‖ f32 logprob … ‖ u32 length ‖ evidence ‖ text
    anchor-size 32                  these lines only once the run is anchored
    anchor-root …
    anchor-time 1767225600
    anchor-block 12
    anchor-block-hash …
    anchor-transaction …
    path …                          one line each, from the leaf up
    sha256 …                        hex, of every byte above this line

There is one way to write a bundle, and nothing else is read. The last line finds damage to what nothing else
binds (size, time, block and transaction of the anchor); it is no protection against somebody who forges an anchor
and writes the line anew: only the chain settles that. Whoever holds a bundle can read the whole conversation.

Source: spec chapter 6.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from tallynet.protocol import merkle
from tallynet.protocol.bundle_lines import MAGIC, Lines, malformed
from tallynet.protocol.chunk import MAX_CHUNK_TOKENS, ChunkBody
from tallynet.protocol.commitment import pack_tokens
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidProof
from tallynet.protocol.job import MAX_TOKENS, SignedJob
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.units import Address, Digest, Seconds, TokenIds, prefixed

SUFFIX = ".tally"

MAX_BUNDLE_BYTES = 4 * 1024 * 1024
"""Largest bundle: room for the longest request, prompt and answer, with their evidence."""
MAX_PROMPT_TOKENS = 65536


_JOB = msgspec.msgpack.Decoder(SignedJob)
_RECEIPT = msgspec.msgpack.Decoder(SignedReceipt)
_ENCODER = msgspec.msgpack.Encoder()


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
    path: tuple[Digest, ...]
    """RFC 9162 inclusion proof, from the leaf up, at most 63 hashes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One run with all that it takes to check it. Nothing in it has been checked: see `bundle_checks`."""

    domain: Domain
    node: Address
    job: SignedJob
    receipt: SignedReceipt
    secret: bytes
    """32 bytes."""
    request: bytes
    """As the job commits to it (`request.encode_request`)."""
    prompt: TokenIds
    chunks: tuple[ChunkBody, ...]
    inclusion: Inclusion | None = None
    """None until the run is anchored."""


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A bundle as it was written, with its last line not yet compared."""

    bundle: Bundle
    computed: str
    """SHA-256 of everything above the last line, hex."""
    stated: str
    """What the last line says."""

    def check_unchanged(self) -> None:
        """Check (10): the file is as it was written. Raises `InvalidBundle`."""
        # (10) the last line is the SHA-256 of all above it
        if self.stated != self.computed:
            raise InvalidBundle(
                f"the file was changed after it was written: its bytes hash to {self.computed}, "
                f"its last line says {self.stated}",
                check=10,
                evidence={"computed": self.computed, "stated": self.stated},
            )


def write_bundle(bundle: Bundle) -> str:
    """The one text of a bundle, ASCII. Raises `InvalidBundle` when it would be over MAX_BUNDLE_BYTES."""
    body = _body(bundle)
    text = body + b"sha256 " + hashlib.sha256(body).hexdigest().encode() + b"\n"
    _check_size(text)
    return text.decode("ascii")


def read_bundle(text: str | bytes) -> Bundle:
    """Read a bundle that is whole and unchanged: checks (1) and (10). Raises `InvalidBundle`."""
    file = parse_bundle(text)
    file.check_unchanged()
    return file.bundle


def parse_bundle(text: str | bytes) -> BundleFile:
    """Check (1): the file is a bundle in its one form. Raises `InvalidBundle`.

    Leaves the last line to `check_unchanged`, so that the checks of the content can first name what changed.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    _check_size(data)
    lines = Lines(data)
    bundle = _bundle(lines)
    stated = lines.hex32("sha256")
    lines.end()
    body = data[: data.rindex(b"sha256 ")]
    # (1) whoever writes this bundle again writes the same bytes
    if (again := _body(bundle)) != body:
        raise malformed(f"{_first_difference(body, again)} is not in the one form it can have")
    return BundleFile(bundle, hashlib.sha256(body).hexdigest(), stated)


def attach_anchor(bundle: Bundle, anchor: AnchorRef, path: Sequence[Digest]) -> Bundle:
    """The bundle with its place under an anchored root, in place of any it had.

    Raises `InvalidProof` when the anchor does not cover the run or the path does not lead to its root.
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
    return replace(bundle, inclusion=Inclusion(anchor, tuple(path)))


# --- writing ---------------------------------------------------------------------------------------------


def _body(bundle: Bundle) -> bytes:
    lines = (label.encode() + b" " + value for label, value in _values(bundle))
    return b"\n".join((MAGIC, *lines)) + b"\n"


def _values(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    yield "chain", b"%d" % bundle.domain.chain_id
    yield "contract", prefixed(bundle.domain.contract).encode()
    yield "node", prefixed(bundle.node).encode()
    yield "job", base64.b64encode(_ENCODER.encode(bundle.job))
    yield "receipt", base64.b64encode(_ENCODER.encode(bundle.receipt))
    yield "secret", base64.b64encode(bundle.secret)
    yield "request", base64.b64encode(bundle.request)
    yield "prompt", base64.b64encode(pack_tokens(bundle.prompt))
    for body in bundle.chunks:
        yield "chunk", base64.b64encode(_pack_chunk(body))
    if bundle.inclusion is not None:
        yield from _inclusion_values(bundle.inclusion)


def _inclusion_values(inclusion: Inclusion) -> Iterator[tuple[str, bytes]]:
    anchor = inclusion.anchor
    yield "anchor-size", b"%d" % anchor.size
    yield "anchor-root", base64.b64encode(anchor.root)
    yield "anchor-time", b"%d" % anchor.time
    yield "anchor-block", b"%d" % anchor.block
    yield "anchor-block-hash", base64.b64encode(anchor.block_hash)
    yield "anchor-transaction", base64.b64encode(anchor.transaction)
    for digest in inclusion.path:
        yield "path", base64.b64encode(digest)


def _pack_chunk(body: ChunkBody) -> bytes:
    """Logprobs as float32, the form in which they were committed to. ValueError unless one per token."""
    if len(body.logprobs) != len(body.tokens):
        raise ValueError(f"a chunk of {len(body.tokens)} tokens has {len(body.logprobs)} logprobs")
    logprobs = struct.pack(f">{len(body.logprobs)}f", *body.logprobs)
    evidence = struct.pack(">I", len(body.evidence)) + body.evidence
    return pack_tokens(body.tokens) + logprobs + evidence + body.text.encode()


# --- reading ---------------------------------------------------------------------------------------------


def _bundle(lines: Lines) -> Bundle:
    return Bundle(
        Domain(lines.number("chain", least=1, below=2**64), lines.address("contract")),
        lines.address("node"),
        lines.struct("job", _JOB),
        lines.struct("receipt", _RECEIPT),
        lines.digest("secret"),
        lines.binary("request"),
        _prompt(lines.binary("prompt")),
        tuple(_chunks(lines)),
        _inclusion(lines) if lines.next_is("anchor-size") else None,
    )


def _prompt(data: bytes) -> TokenIds:
    tokens, rest = _take_tokens(data, "prompt", MAX_PROMPT_TOKENS)
    if rest:
        raise malformed(f"'prompt' has {len(rest)} bytes after its tokens")
    return tokens


def _chunks(lines: Lines) -> Iterator[ChunkBody]:
    for _ in range(MAX_TOKENS):
        if not lines.next_is("chunk"):
            return
        yield _unpack_chunk(lines.binary("chunk"))


def _unpack_chunk(data: bytes) -> ChunkBody:
    tokens, rest = _take_tokens(data, "chunk", MAX_CHUNK_TOKENS)
    split = 4 * len(tokens)
    if len(rest) < split + 4:
        raise malformed(f"a chunk of {len(data)} bytes is cut short")
    logprobs = struct.unpack(f">{len(tokens)}f", rest[:split])
    end = split + 4 + int.from_bytes(rest[split : split + 4], "big")
    if len(rest) < end:
        raise malformed(f"a chunk of {len(data)} bytes is cut short in its evidence")
    evidence, text = rest[split + 4 : end], rest[end:]
    try:
        fields = {"tokens": tokens, "text": text.decode(), "logprobs": logprobs, "evidence": evidence}
        return msgspec.convert(fields, ChunkBody)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise malformed(f"a chunk breaks its bounds: {error}") from error


def _take_tokens(data: bytes, what: str, most: int) -> tuple[TokenIds, bytes]:
    """The tokens at the beginning of `data`, and what comes after them."""
    count = int.from_bytes(data[:4], "big")
    if count > most or len(data) < 4 + 4 * count:
        raise malformed(f"{what!r} of {len(data)} bytes announces {count} tokens")
    return struct.unpack_from(f">{count}I", data, 4), data[4 + 4 * count :]


def _inclusion(lines: Lines) -> Inclusion:
    anchor = AnchorRef(
        lines.number("anchor-size", least=1, below=merkle.MAX_SIZE),
        lines.digest("anchor-root"),
        Seconds(lines.number("anchor-time", least=0, below=2**53)),
        lines.number("anchor-block", least=0, below=2**53),
        lines.digest("anchor-block-hash"),
        lines.digest("anchor-transaction"),
    )
    return Inclusion(anchor, tuple(_path(lines)))


def _path(lines: Lines) -> Iterator[Digest]:
    for _ in range(merkle.MAX_PATH):
        if not lines.next_is("path"):
            return
        yield lines.digest("path")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BUNDLE_BYTES:
        raise malformed(f"it has {len(data)} bytes, more than {MAX_BUNDLE_BYTES}")


def _first_difference(body: bytes, again: bytes) -> str:
    pairs = zip(body.split(b"\n"), again.split(b"\n"), strict=False)
    return next((f"line {at}" for at, (one, other) in enumerate(pairs, 1) if one != other), "its end")
