"""The seam to numpy: which of many vectors are most like one. All are compared, so that nothing likely is missed:
a hundred thousand of 384 numbers take a few hundredths of a second."""

from collections.abc import Sequence

from tallynet.protocol.embedding import Vector


def pack_vector(vector: Vector) -> bytes:
    """As float16, little-endian: what it travelled as."""
    import numpy as np

    return np.asarray(vector, dtype="<f2").tobytes()


def rank_vectors(wanted: Vector, packed: Sequence[bytes], count: int) -> list[tuple[int, float]]:
    """The places of the `count` vectors most like `wanted`, best first, each with its likeness, -1 to 1.

    Raises ValueError when one of them has another length.
    """
    import numpy as np

    if not packed:
        return []
    if {len(vector) for vector in packed} != {2 * len(wanted)}:
        raise ValueError(f"not all vectors have {len(wanted)} numbers")
    matrix = np.frombuffer(b"".join(packed), dtype="<f2").reshape(len(packed), -1).astype(np.float32)  # (count, width)
    likeness = matrix @ np.asarray(wanted, dtype=np.float32)
    best = np.argsort(-likeness, kind="stable")[:count]
    return [(int(place), float(likeness[place])) for place in best]
