"""(3) An embedding as an answer: one vector of length 1, written as the text of one chunk without tokens.

The numbers travel as float16: half the size of float32, and finer than what two honest machines differ by in any
number format but float32. Rounding changes a component by at most 2**-12, and the
whole vector by at most 2**-11 of its length. Source: spec chapter 3, "Embeddings".
"""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.protocol.chunk import MAX_CHUNK_TEXT, ChunkBody
from tallynet.protocol.errors import InvalidChunk
from tallynet.protocol.job import Sampling

MAX_DIMENSIONS = MAX_CHUNK_TEXT * 3 // 4 // 2
"""Float16 numbers in base64 that fit one chunk."""

LENGTH_TOLERANCE = 2**-10
"""Rounding every component to 11 bits changes the length by less than one part in 2**11."""

EMBED_SAMPLING = Sampling(max_tokens=1)
"""What an embedding job carries, since it samples nothing."""

Vector = tuple[float, ...]
"""Of length 1, each component exact in float16."""

TOLERANCES = {"float32": 2**-10 + 1e-4, "float16": 0.008, "bfloat16": 0.06}
"""Longest difference between two honest vectors of length 1, by the coarser number format of the two machines.

float32: rounding to 11 bits moves each of the two by at most 2**-11, and sums in another order by less than 1e-4.
float16 and bfloat16: against float32 the largest difference was 0.0040 and 0.0298, in 40 prompts on each of two
untrained models of two layers; two machines may err to opposite sides, so the bounds are twice that. A test measures
it again. Deeper models may need a wider bound: outside of it a second look is due, inside it a vector that was made
from coarser weights may pass.
"""


@dataclass(frozen=True, slots=True)
class EmbeddingDistance:
    """How far a claimed vector is from the replayed one."""

    cosine: float
    """1 - cosine of the angle between them, 0 to 2. For two vectors of length 1 it is half their squared difference."""
    largest: float
    """Largest difference of a component: tells an error that is everywhere from one that is in one place."""
    tolerance: float
    """Length of the difference that is still honest: one of `TOLERANCES`."""

    @property
    def difference(self) -> float:
        """Length of the difference, 0 to 2, after both were brought to length 1."""
        return math.sqrt(2 * self.cosine)

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance


def encode_embedding(values: Sequence[float]) -> str:
    """The chunk's text: base64 of the values, normalised to length 1, as little-endian float16.

    Raises ValueError for no direction at all, numbers that are not finite, or more than MAX_DIMENSIONS.
    """
    length = math.sqrt(math.fsum(value * value for value in values))
    if not 1 <= len(values) <= MAX_DIMENSIONS or not math.isfinite(length) or length == 0:
        raise ValueError(f"{len(values)} numbers of length {length} are no embedding")
    return base64.b64encode(struct.pack(f"<{len(values)}e", *(value / length for value in values))).decode()


def decode_embedding(chunks: Sequence[ChunkBody]) -> Vector:
    """The vector that an embedding job's chunks hold. Raises `InvalidChunk`."""
    # (1) the answer is one chunk without tokens
    if len(chunks) != 1 or chunks[0].tokens:
        raise InvalidChunk(f"an embedding came in {len(chunks)} chunks, or with tokens", check=1)
    return read_embedding(chunks[0].text)


def read_embedding(text: str) -> Vector:
    """The vector that is written in `text`. Raises `InvalidChunk`."""
    data = _from_base64(text)
    # (3) it holds float16 numbers, 1 to MAX_DIMENSIONS of them
    if len(data) % 2 or not 1 <= len(data) // 2 <= MAX_DIMENSIONS:
        raise InvalidChunk(f"an embedding has {len(data)} bytes, not 2 for each of 1 to {MAX_DIMENSIONS}", check=3)
    vector: Vector = struct.unpack(f"<{len(data) // 2}e", data)
    length = math.sqrt(math.fsum(value * value for value in vector))
    # (4) it is finite and of length 1
    if not abs(length - 1) <= LENGTH_TOLERANCE:
        raise InvalidChunk(f"an embedding has length {length}, not 1 within {LENGTH_TOLERANCE}", check=4)
    return vector


def compare_embeddings(claimed: Vector, replayed: Vector, *number_formats: str) -> EmbeddingDistance:
    """How far the vector of an answer is from that of a replay, both as they are read from a text.

    `number_formats` are those of the two runs: float32, float16 or bfloat16; another raises KeyError. Raises
    `InvalidChunk` for a vector with another number of dimensions than the replay's: another model made it.
    """
    tolerance = max(TOLERANCES[name] for name in number_formats)
    # (5) it has as many dimensions as the model gives
    if len(claimed) != len(replayed):
        raise InvalidChunk(f"the embedding has {len(claimed)} dimensions, the replay {len(replayed)}", check=5)
    lengths = math.sqrt(math.fsum(a * a for a in claimed) * math.fsum(b * b for b in replayed))
    product = math.fsum(a * b for a, b in zip(claimed, replayed, strict=True))
    largest = max(abs(a - b) for a, b in zip(claimed, replayed, strict=True))
    return EmbeddingDistance(max(0.0, 1 - product / lengths), largest, tolerance)


def _from_base64(text: str) -> bytes:
    # (2) its text is base64, in the one way to write it
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidChunk(f"an embedding is no base64: {error}", check=2) from error
    if base64.b64encode(data).decode() != text:
        raise InvalidChunk("an embedding is not in canonical base64", check=2)
    return data
