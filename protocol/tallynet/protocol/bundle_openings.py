"""What a bundle opens of a conversation: all of it, chosen parts, or nothing.

The log holds salted commitments. Whole: the job's secret, from which every salt follows, with all that was said. In
part: the salt of each opened piece alone, and of every other chunk its commitment, so that the place of what is opened
and the number of chunks are as sure as in the whole. Source: spec chapter 6, "Openings".
"""

import base64
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from tallynet.protocol.bundle_lines import Lines, malformed
from tallynet.protocol.chunk import MAX_CHUNK_TOKENS, ChunkBody
from tallynet.protocol.commitment import chunk_salt, commit_chunk, pack_tokens, request_salt
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import MAX_TOKENS
from tallynet.protocol.units import Digest, TokenIds

MAX_PROMPT_TOKENS = 65536
LABELS = ("secret", "request", "prompt", "chunk", "opened-request", "opened-chunk", "closed-chunk")
"""Of the lines of openings."""

MAX_CHUNKS = MAX_TOKENS + 1
"""Only the last chunk can be without tokens."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole conversation."""

    secret: bytes
    """32 bytes: every salt follows from it."""
    request: bytes
    """As the job commits to it (`request.encode_request`)."""
    prompt: TokenIds
    chunks: tuple[ChunkBody, ...]


@dataclass(frozen=True, slots=True)
class OpenedChunk:
    """One chunk with its own salt."""

    salt: bytes
    tokens: TokenIds
    text: str

    @property
    def commitment(self) -> Digest:
        return commit_chunk(self.salt, self.tokens, self.text)


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    salt: bytes
    request: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the conversation; at least one piece is opened."""

    request: OpenedRequest | None
    chunks: tuple[OpenedChunk | Digest, ...]
    """All chunks of the answer in order, a commitment in place of each closed one; empty when none is opened."""

    @property
    def opened(self) -> tuple[int, ...]:
        """Which chunks are opened."""
        return tuple(index for index, chunk in enumerate(self.chunks) if isinstance(chunk, OpenedChunk))


Opening = Whole | Part


def open_part(opening: Opening | None, chunks: Collection[int], *, request: bool = False) -> Part:
    """Only these chunks of what is open, by number, and the request if `request`. Raises `Misconfigured`."""
    everything = _in_parts(opening)
    for index in chunks:
        if index not in everything.opened:
            raise Misconfigured(
                f"Chunk {index} is not open in this file; open are: {_listed(everything.opened)}.",
                remedy="Choose among those, or take the file that the client saved itself.",
            )
    if request and everything.request is None:
        raise Misconfigured("The request is not open in this file.", remedy="Take the file that the client saved.")
    if not chunks and not request:
        raise Misconfigured("Nothing is chosen to be opened.", remedy="Name chunks (--chunk 0 --chunk 3) or --request.")
    kept = tuple(_kept(chunk, index in chunks) for index, chunk in enumerate(everything.chunks))
    return Part(everything.request if request else None, kept if chunks else ())


def opened_text(opening: Opening | None) -> str | None:
    """The answer as far as it is open, `[…]` in place of what is not; None when nothing is."""
    if isinstance(opening, Whole):
        return "".join(body.text for body in opening.chunks)
    if opening is None or not opening.chunks:
        return None
    text, gap = "", False
    for chunk in opening.chunks:
        text += chunk.text if isinstance(chunk, OpenedChunk) else "" if gap else "[…]"
        gap = not isinstance(chunk, OpenedChunk)
    return text


def opened_request(opening: Opening | None) -> bytes | None:
    """The encoded request, where it is open."""
    if isinstance(opening, Whole):
        return opening.request
    return opening.request.request if opening is not None and opening.request is not None else None


def _in_parts(opening: Opening | None) -> Part:
    """The same, each piece with its own salt."""
    if opening is None:
        return Part(None, ())
    if isinstance(opening, Part):
        return opening
    chunks = (
        OpenedChunk(chunk_salt(opening.secret, index), body.tokens, body.text)
        for index, body in enumerate(opening.chunks)
    )
    return Part(OpenedRequest(request_salt(opening.secret), opening.request), tuple(chunks))


def _kept(chunk: OpenedChunk | Digest, wanted: bool) -> OpenedChunk | Digest:
    return chunk.commitment if isinstance(chunk, OpenedChunk) and not wanted else chunk


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:20])) + (", …" if len(numbers) > 20 else "") or "none"


# --- writing ---------------------------------------------------------------------------------------------


def opening_values(opening: Opening | None) -> Iterator[tuple[str, bytes]]:
    """The lines of an opening: label and value."""
    for label, data in _packed(opening):
        yield label, base64.b64encode(data)


def _packed(opening: Opening | None) -> Iterator[tuple[str, bytes]]:
    if isinstance(opening, Whole):
        yield "secret", opening.secret
        yield "request", opening.request
        yield "prompt", pack_tokens(opening.prompt)
        for body in opening.chunks:
            yield "chunk", _pack_chunk(body)
    elif opening is not None:
        if opening.request is not None:
            yield "opened-request", opening.request.salt + opening.request.request
        for chunk in opening.chunks:
            if isinstance(chunk, OpenedChunk):
                yield "opened-chunk", chunk.salt + pack_tokens(chunk.tokens) + chunk.text.encode()
            else:
                yield "closed-chunk", chunk


def _pack_chunk(body: ChunkBody) -> bytes:
    """Logprobs as float32, the form in which they were committed to. ValueError unless one per token."""
    if len(body.logprobs) != len(body.tokens):
        raise ValueError(f"a chunk of {len(body.tokens)} tokens has {len(body.logprobs)} logprobs")
    logprobs = struct.pack(f">{len(body.logprobs)}f", *body.logprobs)
    evidence = struct.pack(">I", len(body.evidence)) + body.evidence
    return pack_tokens(body.tokens) + logprobs + evidence + body.text.encode()


# --- reading ---------------------------------------------------------------------------------------------


def read_opening(lines: Lines) -> Opening | None:
    """The lines of an opening, if that is what comes next. Raises `InvalidBundle`, check 1."""
    if lines.next_is("secret"):
        secret, request = lines.digest("secret"), lines.binary("request")
        return Whole(secret, request, _prompt(lines.binary("prompt")), tuple(_chunks(lines)))
    request_opened = _opened_request(lines.binary("opened-request")) if lines.next_is("opened-request") else None
    part = Part(request_opened, tuple(_parts(lines)))
    if part.chunks and not part.opened:
        raise malformed("it lists closed chunks and opens none")
    return part if part.request or part.chunks else None


def _opened_request(data: bytes) -> OpenedRequest:
    if len(data) < 32:
        raise malformed(f"'opened-request' of {len(data)} bytes has no salt")
    return OpenedRequest(data[:32], data[32:])


def _parts(lines: Lines) -> Iterator[OpenedChunk | Digest]:
    for _ in range(MAX_CHUNKS):
        if lines.next_is("closed-chunk"):
            yield lines.digest("closed-chunk")
        elif lines.next_is("opened-chunk"):
            yield _opened_chunk(lines.binary("opened-chunk"))
        else:
            return


def _opened_chunk(data: bytes) -> OpenedChunk:
    tokens, text = _take_tokens(data[32:], "opened-chunk", MAX_CHUNK_TOKENS)
    body = _convert(tokens, text, (0.0,) * len(tokens), b"")
    return OpenedChunk(data[:32], body.tokens, body.text)


def _prompt(data: bytes) -> TokenIds:
    tokens, rest = _take_tokens(data, "prompt", MAX_PROMPT_TOKENS)
    if rest:
        raise malformed(f"'prompt' has {len(rest)} bytes after its tokens")
    return tokens


def _chunks(lines: Lines) -> Iterator[ChunkBody]:
    for _ in range(MAX_CHUNKS):
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
    return _convert(tokens, rest[end:], logprobs, rest[split + 4 : end])


def _convert(tokens: TokenIds, text: bytes, logprobs: tuple[float, ...], evidence: bytes) -> ChunkBody:
    try:
        fields = {"tokens": tokens, "text": text.decode(), "logprobs": logprobs, "evidence": evidence}
        return msgspec.convert(fields, ChunkBody)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise malformed(f"a chunk breaks its bounds: {error}") from error


def _take_tokens(data: bytes, what: str, most: int) -> tuple[TokenIds, bytes]:
    """The tokens at the beginning of `data`, and what comes after them."""
    count = int.from_bytes(data[:4], "big")
    if len(data) < 4 or count > most or len(data) < 4 + 4 * count:
        raise malformed(f"{what!r} of {len(data)} bytes announces {count} tokens")
    return struct.unpack_from(f">{count}I", data, 4), data[4 + 4 * count :]
