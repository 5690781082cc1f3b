"""The node over HTTP: health, status, metrics, and the log for whoever has no libp2p. Read-only.

No authentication: bound to loopback by default. Nothing here tells prompts, answers or keys.
"""

import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import trio
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from hypercorn.config import Config
from hypercorn.trio import serve

from tallynet.engine import Engine
from tallynet.node.anchoring import Anchoring
from tallynet.node.config import NodeConfig
from tallynet.node.desk import Desk
from tallynet.node.journal import Journal
from tallynet.node.log_desk import LogDesk
from tallynet.protocol.errors import InvalidProof, Misconfigured, Refused, TallyError
from tallynet.protocol.keys import Key
from tallynet.protocol.units import JobId, Milliseconds, prefixed
from tallynet.protocol.wire import MAX_ENTRIES, AskConsistency, AskInclusion, ProofPath

log = logging.getLogger(__name__)

_Size = Annotated[int, Query(ge=0, le=2**40)]


@dataclass
class Status:
    """What a node tells of itself."""

    config: NodeConfig
    key: Key
    engine: Engine
    journal: Journal
    anchoring: Anchoring
    desk: Desk
    clock: Callable[[], Milliseconds]

    def report(self) -> dict[str, object]:
        info, load = self.engine.info, self.engine.load()
        return {
            "node": prefixed(self.key.address),
            "peer": self.key.peer_id,
            "model": {"name": info.name, "id": prefixed(info.model), "context_length": info.context_length},
            "engine": {
                "environment": info.environment,
                "slots": info.slots,
                "running": load.running,
                "waiting": load.waiting,
                "tokens_per_second": round(load.tokens_per_second, 1),
            },
            "jobs": {"open": len(self.desk.runs), "stopping": self.desk.closed},
            "log": {"size": self.journal.size, "root": self.journal.tree.root().hex()},
            "anchor": {"size": self.anchoring.anchored, "last_error": self.anchoring.last_error},
            "time": self.clock(),
        }

    def metrics(self) -> bytes:
        registry = self.desk.metrics
        registry.log_size.set(self.journal.size)
        registry.running.set(len(self.desk.runs))
        registry.speed.set(self.engine.load().tokens_per_second)
        return registry.text()


def build_app(status: Status, desk: LogDesk) -> FastAPI:
    """All routes."""
    app = FastAPI(title="Tallynet node", version="1", docs_url=None, redoc_url=None)
    app.exception_handler(TallyError)(_tell_error)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        if status.desk.closed:
            raise HTTPException(503, "stopping")
        return {"status": "ok"}

    @app.get("/status")
    async def report() -> dict[str, object]:
        return status.report()

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(status.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    _add_log_routes(app, status, desk)
    return app


def _add_log_routes(app: FastAPI, status: Status, desk: LogDesk) -> None:
    @app.get("/checkpoint")
    async def checkpoint() -> dict[str, object]:
        signed = desk.checkpoint()
        return {
            "node": prefixed(status.key.address),
            "size": signed.checkpoint.size,
            "root": signed.checkpoint.root.hex(),
            "signature": signed.signature.hex(),
        }

    @app.get("/log/entries")
    async def entries(start: _Size = 0, count: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 256) -> dict[str, object]:
        leaves = await desk.journal.leaves(start, count)
        return {"start": start, "leaves": [leaf.hex() for leaf in leaves]}

    @app.get("/log/inclusion")
    async def inclusion(index: _Size, size: _Size) -> dict[str, object]:
        return _path(await desk.answer(AskInclusion(index, size)))

    @app.get("/log/consistency")
    async def consistency(old: _Size, new: _Size) -> dict[str, object]:
        return _path(await desk.answer(AskConsistency(old, new)))

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


def _path(answer: object) -> dict[str, object]:
    if not isinstance(answer, ProofPath):
        raise TypeError(f"a proof was expected, not {type(answer).__name__}")
    return {"path": [step.hex() for step in answer.path]}


async def _tell_error(request: Request, error: Exception) -> JSONResponse:
    code = 404 if isinstance(error, Refused) else 400 if isinstance(error, InvalidProof) else 503
    name = error.code if isinstance(error, TallyError) else "error"
    return JSONResponse({"error": {"code": name, "message": str(error)}}, status_code=code)


async def serve_http(
    bind: str, status: Status, desk: LogDesk, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; reports the URL, or an empty text when `bind` is empty.

    Raises `Misconfigured` when the address cannot be taken.
    """
    if not bind:
        task_status.started("")
        return
    config = Config()
    config.bind = [f"fd://{_listen(bind)}"]
    config.accesslog = None
    config.errorlog = log
    config.graceful_timeout = 1
    app: Any = build_app(status, desk)
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(serve, app, config, shutdown_trigger=trio.sleep_forever))
        task_status.started(url)


def _listen(bind: str) -> int:
    """The descriptor of a socket that listens, for hypercorn to own: its own way leaks the socket when it fails."""
    host, _, port = bind.rpartition(":")
    try:
        if not host or not 0 <= int(port) < 2**16:
            raise ValueError("it is not host:port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host.strip("[]"), int(port)), family=family)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"The HTTP address {bind} cannot be used: {error}.",
            remedy='Choose another with `http = "host:port"`, or port 0 for any free one.',
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener.detach()
