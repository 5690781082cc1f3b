"""(3) A chunk: at most 16 tokens of an answer, signed over the root of everything streamed so far.

A stream that breaks off is still evidence of all that came before. Source: spec chapter 3.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from tallynet.protocol import eip712
from tallynet.protocol.commitment import as_float32, chunk_salt, commit_chunk, hash_evidence
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidChunk, InvalidSignature
from tallynet.protocol.job import Bytes32, Bytes65
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Frontier
from tallynet.protocol.units import Address, Digest, JobId, Signature

MAX_CHUNK_TOKENS = 16
MAX_CHUNK_TEXT = 16 * 1024
MAX_CHUNK_EVIDENCE = 64 * MAX_CHUNK_TOKENS
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127

CHUNK_TYPE = b"Chunk(bytes32 job,uint32 index,uint32 tokens,bytes32 root)"
_CHUNK_HASH = eip712.keccak(CHUNK_TYPE)


class Chunk(Struct, frozen=True, forbid_unknown_fields=True):
    """What the node signs of a chunk."""

    job: Annotated[JobId, Bytes32]
    index: Annotated[int, Meta(ge=0, lt=2**32)]
    """0 for the first chunk of the answer."""
    tokens: Annotated[int, Meta(ge=0, lt=2**32)]
    """Tokens in this chunk and all before it."""
    root: Annotated[Digest, Bytes32]
    """RFC 9162 root over the commitments of chunks 0 … index."""

    def digest(self, domain: Domain) -> Digest:
        return domain.digest(
            eip712.struct(_CHUNK_HASH, self.job, eip712.uint(self.index), eip712.uint(self.tokens), self.root)
        )


class ChunkBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a chunk holds: seen by client and node, and committed to."""

    tokens: Annotated[tuple[Annotated[int, Meta(ge=0, lt=2**32)], ...], Meta(max_length=MAX_CHUNK_TOKENS)]
    text: Annotated[str, Meta(max_length=MAX_CHUNK_TEXT)]
    """The text that became certain with these tokens; may be empty."""
    logprobs: Annotated[tuple[Annotated[float, Meta(ge=-_FLOAT32_MAX, le=0)], ...], Meta(max_length=MAX_CHUNK_TOKENS)]
    """One per token, natural log, each a float32: finite and not above 0."""
    evidence: Annotated[bytes, Meta(max_length=MAX_CHUNK_EVIDENCE)] = b""
    """The engine's own measurements; opaque here."""


class SignedChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """One chunk on its way to the client. Index, count and root follow from what came before."""

    body: ChunkBody
    signature: Annotated[Signature, Bytes65]


class Transcript:
    """The answer so far, as both sides rebuild it: chunk commitments, evidence hashes and their roots."""

    def __init__(self, job: JobId, secret: bytes, prompt_commitment: Digest) -> None:
        """`secret` is the job's 32 bytes; `prompt_commitment` becomes entry 0 of the trace."""
        self.job = job
        self.bodies: list[ChunkBody] = []
        self.token_count = 0
        self._secret = secret
        self._output = Frontier.empty()
        self._trace = Frontier.empty().append(leaf_hash(prompt_commitment))

    def extend(self, body: ChunkBody) -> Chunk:
        """Add the next chunk and return the statement that has to be signed for it."""
        index = len(self.bodies)
        commitment = commit_chunk(chunk_salt(self._secret, index), body.tokens, body.text)
        evidence = hash_evidence(index, body.logprobs, body.evidence)
        self._output = self._output.append(leaf_hash(commitment))
        self._trace = self._trace.append(leaf_hash(evidence))
        self.bodies.append(body)
        self.token_count += len(body.tokens)
        return Chunk(self.job, index, self.token_count, self.output_root)

    @property
    def output_root(self) -> Digest:
        """Leaf field `output`."""
        return self._output.root()

    @property
    def trace_root(self) -> Digest:
        """Leaf field `trace`."""
        return self._trace.root()

    @property
    def ended(self) -> bool:
        """Whether nothing can follow: only the last chunk may be without tokens."""
        return bool(self.bodies) and not self.bodies[-1].tokens

    @property
    def text(self) -> str:
        return "".join(body.text for body in self.bodies)

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for body in self.bodies for token in body.tokens)


def sign_chunk(transcript: Transcript, body: ChunkBody, domain: Domain, key: Key) -> SignedChunk:
    """Add the next chunk, its logprobs rounded to float32, and sign what was streamed so far.

    Raises ValueError for a logprob that is above 0 or not finite: then the engine is broken.
    """
    body = replace(body, logprobs=as_float32(body.logprobs))
    if not all(map(_is_logprob, body.logprobs)):
        raise ValueError(f"the engine measured the logprobs {body.logprobs}")
    return SignedChunk(body, key.sign(transcript.extend(body).digest(domain)))


def accept_chunk(
    transcript: Transcript, signed: SignedChunk, domain: Domain, node: Address, max_tokens: int
) -> ChunkBody:
    """Check the next chunk of a stream and add it to the transcript. Raises `InvalidChunk`.

    After an error the transcript must not be used any further.
    """
    body = signed.body
    # (1) it holds one logprob per token, each a float32, finite and not above 0
    if len(body.logprobs) != len(body.tokens) or not all(map(_is_logprob, body.logprobs)):
        raise InvalidChunk(f"the chunk has {len(body.tokens)} tokens and the logprobs {body.logprobs}", check=1)
    # (2) it holds tokens, or else text, and then it is the last
    if transcript.ended or not body.tokens and not body.text:
        after = "a chunk that ended the answer" if transcript.ended else "what was streamed"
        raise InvalidChunk(f"{len(body.tokens)} tokens and {len(body.text)} characters of text after {after}", check=2)
    # (3) the answer stays within the tokens asked for
    if transcript.token_count + len(body.tokens) > max_tokens:
        raise InvalidChunk(
            f"the answer grows to {transcript.token_count + len(body.tokens)} tokens, {max_tokens} were asked for",
            check=3,
        )
    statement = transcript.extend(body)
    # (4) the node signed exactly this chunk, after exactly those before it
    try:
        check_signed_by(statement.digest(domain), signed.signature, node)
    except InvalidSignature as error:
        raise InvalidChunk(
            f"chunk {statement.index} is not signed by its node over what was streamed: {error.message}",
            check=4,
            evidence=error.evidence,
        ) from error
    return body


def _is_logprob(value: float) -> bool:
    return -_FLOAT32_MAX <= value <= 0 and as_float32((value,)) == (value,)
