"""Vectors of embeddings: numbers and the text that carries them."""

import base64
import struct
from typing import Any

from tallynet.protocol.embedding import MAX_DIMENSIONS, encode_embedding

VALUES = ((1.0,), (3.0, -4.0), (0.1, 0.2, -0.3, 0.4), (1e-9, 1.0), (1e30, 1e30))


def embeddings() -> dict[str, Any]:
    whole = encode_embedding((3.0, -4.0))
    invalid = (
        ("!" + whole[1:], 2, "a letter that is none of base64"),
        (whole.rstrip("="), 2, "without its padding"),
        (whole + "\n", 2, "with a line end"),
        ("zTi/uR==", 2, "bits that belong to no byte"),
        ("", 3, "no number at all"),
        (base64.b64encode(b"\x00\x3c\x00").decode(), 3, "half a number at the end"),
        (written(0.5, 0.5), 4, "not of length 1"),
        (written(0.0, 0.0), 4, "no direction"),
        (written(float("nan"), 1.0), 4, "not a number"),
        (written(float("inf"), 0.0), 4, "not finite"),
    )
    return {
        "valid": [{"values": list(values), "text": encode_embedding(values)} for values in VALUES],
        "invalid": [
            {"text": text, "error": "invalid-chunk", "check": check, "reason": reason}
            for text, check, reason in invalid
        ],
    }


def written(*values: float) -> str:
    """Numbers as they would travel, whatever they are."""
    assert len(values) <= MAX_DIMENSIONS
    return base64.b64encode(struct.pack(f"<{len(values)}e", *values)).decode()
