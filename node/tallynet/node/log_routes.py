"""The log over HTTP: the files of C2SP tlog-tiles, readable with curl, and the same as JSON, piece by piece."""

import re
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response

from tallynet.node.log_desk import LogDesk
from tallynet.protocol.units import JobId, prefixed
from tallynet.protocol.wire import MAX_ENTRIES, AskConsistency, AskInclusion, ProofPath

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""What is under `tile/` never changes, partial tiles included: a wider one has another name."""
NEVER = {"Cache-Control": "no-cache"}
TEXT = "text/plain; charset=utf-8"

_Size = Annotated[int, Query(ge=0, le=2**40)]


def add_log_routes(app: FastAPI, desk: LogDesk) -> None:
    """Everything that is told of the log. Nothing here asks who reads."""
    _add_files(app, desk)
    _add_proofs(app, desk)

    @app.get("/log/checkpoint")
    async def checkpoint() -> dict[str, object]:
        signed = desk.checkpoint()
        return {
            "node": prefixed(desk.key.address),
            "size": signed.checkpoint.size,
            "root": signed.checkpoint.root.hex(),
            "signature": signed.signature.hex(),
        }

    @app.get("/log/entries")
    async def entries(start: _Size = 0, count: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 256) -> dict[str, object]:
        leaves = await desk.journal.leaves(start, count)
        return {"start": start, "leaves": [leaf.hex() for leaf in leaves]}

    @app.get("/log/receipt/{job}")
    async def receipt(job: str) -> dict[str, object]:
        digits = job.removeprefix("0x")
        if not re.fullmatch("[0-9a-fA-F]{64}", digits):
            raise HTTPException(400, "a job id is 64 hexadecimal digits")
        signed = await desk.receipt(JobId(bytes.fromhex(digits)))
        return {
            "leaf": signed.leaf.hex(),
            "index": signed.receipt.index,
            "anchor_by": signed.receipt.anchor_by,
            "signature": signed.signature.hex(),
        }


def _add_files(app: FastAPI, desk: LogDesk) -> None:
    """The C2SP files: the same bytes as over libp2p."""

    @app.get("/checkpoint")
    async def note() -> Response:
        return Response(await desk.file("checkpoint"), headers=NEVER, media_type=TEXT)

    @app.get("/checkpoint/{size}")
    async def past(size: str) -> Response:
        return Response(await desk.file(f"checkpoint/{size}"), headers=FOR_EVER, media_type=TEXT)

    @app.get("/vkey")
    async def vkey() -> Response:
        return Response(await desk.file("vkey"), headers=NEVER, media_type=TEXT)

    @app.get("/tile/{name:path}")
    async def tile(name: str) -> Response:
        data = await desk.file(f"tile/{name}")
        return Response(data, headers=FOR_EVER, media_type="application/octet-stream")


def _add_proofs(app: FastAPI, desk: LogDesk) -> None:
    @app.get("/log/inclusion")
    async def inclusion(index: _Size, size: _Size) -> dict[str, object]:
        return _path(await desk.answer(AskInclusion(index, size)))

    @app.get("/log/consistency")
    async def consistency(old: _Size, new: _Size) -> dict[str, object]:
        return _path(await desk.answer(AskConsistency(old, new)))


def _path(answer: object) -> dict[str, object]:
    if not isinstance(answer, ProofPath):
        raise TypeError(f"a proof was expected, not {type(answer).__name__}")
    return {"path": [step.hex() for step in answer.path]}
