"""Vectors of sampling: which entries a block draws, and openings sealed to an auditor."""

from typing import Any

from tallynet.protocol.draw import Draw
from tallynet.protocol.opening import seal_part
from tallynet.protocol.sealing import SealKey
from tests.protocol.examples import DOMAIN, NODE, STRANGER, digest, valid_job, valid_opening_request
from tests.protocol.json_form import write

COUNT = 12
TEXT = b"tallynet-bundle@v2"


def draws() -> dict[str, Any]:
    request, key = valid_opening_request(), SealKey(digest("seal"))
    sealed = seal_part(TEXT, 0, request, DOMAIN, digest("ephemeral"))
    other = SealKey(digest("another seal"))
    refusing = valid_job(audit_consent=False)
    return {
        "domain": {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)},
        "draws": [drawn(size, block) for size in (1, 2, 7, 1000, 2**40 - 1) for block in ("block", "another block")],
        "request": {**write(request), "digest": write(request.digest(DOMAIN))},
        "seal_secret": write(digest("seal")),
        "valid": [{"sealed": [write(sealed)], "opened": write(TEXT)}],
        "invalid": [
            {"secret": write(secret), "sealed": [write(data)], "error": "invalid-opening", "check": 1, "reason": reason}
            for secret, data, reason in (
                (digest("another seal"), sealed, "sealed to another key"),
                (digest("seal"), sealed[:-1] + bytes([sealed[-1] ^ 1]), "one bit is changed"),
                (digest("seal"), sealed[:40], "cut short"),
                (digest("seal"), bytes(32) + sealed[32:], "a key with which everybody knows the secret"),
                (digest("seal"), seal_part(TEXT, 0, valid_opening_request(index=6), DOMAIN, digest("ephemeral")),
                 "the answer to another question"),
                (digest("seal"), seal_part(TEXT, 0, valid_opening_request(seal_key=other.public), DOMAIN,
                 digest("ephemeral")), "for another auditor"),
            )
        ],
        "no_consent": {"words": [write(word) for word in refusing.words], "job": write(refusing.id(DOMAIN))},
        "auditor": write(STRANGER.address),
        "seal_key": write(key.public),
    }  # fmt: skip


def drawn(size: int, block: str) -> dict[str, Any]:
    draw = Draw(NODE.address, size, digest(block))
    return {
        "node": write(draw.node),
        "size": size,
        "block_hash": write(draw.block_hash),
        "seed": write(draw.seed),
        "indices": list(draw.indices(COUNT)),
    }
