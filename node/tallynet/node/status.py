"""The node over HTTP: health, status, metrics, and the log for whoever has no libp2p. Read-only.

No authentication: bound to loopback by default. Nothing here tells prompts, answers or keys.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import trio
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from tallynet.console.web import serve_app
from tallynet.engine.resident import resident_bytes
from tallynet.node.anchoring import Anchoring
from tallynet.node.config import NodeConfig
from tallynet.node.desk import Desk
from tallynet.node.engines import Engines, Served
from tallynet.node.generation import log_unusable
from tallynet.node.journal import Journal
from tallynet.node.log_desk import LogDesk
from tallynet.node.log_routes import add_log_routes
from tallynet.protocol.errors import InvalidFrame, InvalidProof, Misconfigured, Refused, TallyError
from tallynet.protocol.job import Task
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Milliseconds, prefixed

log = logging.getLogger(__name__)


@dataclass
class Status:
    """What a node tells of itself."""

    config: NodeConfig
    key: Key
    engines: Engines
    journal: Journal
    anchoring: Anchoring
    desk: Desk
    clock: Callable[[], Milliseconds]

    def report(self) -> dict[str, object]:
        return {
            "node": prefixed(self.key.address),
            "peer": self.key.peer_id,
            "models": [self._describe(served) for served in self.engines],
            "memory": {"planned_bytes": self._planned(), "resident_bytes": self._resident()},
            "jobs": {"open": len(self.desk.runs), "stopping": self.desk.closed},
            "log": {"size": self.journal.size, "root": self.journal.tree.root().hex()},
            "anchor": {"size": self.anchoring.anchored, "last_error": self.anchoring.last_error},
            "time": self.clock(),
        }

    def _describe(self, served: Served) -> dict[str, object]:
        info, load = served.engine.info, served.engine.load()
        return {
            "name": served.name,
            "id": prefixed(info.model),
            "task": Task(info.task).name.lower(),
            "evidence": info.evidence,
            "context_length": info.context_length,
            "prompt_price_wei": served.prompt_price,
            "completion_price_wei": served.completion_price,
            "environment": info.environment,
            "slots": info.slots,
            "running": load.running,
            "waiting": load.waiting,
            "open_jobs": self.desk.taken[served.model],
            "tokens_per_second": round(load.tokens_per_second, 1),
            "memory": {"planned_bytes": info.planned_bytes, "resident_bytes": served.resident_bytes},
        }

    def _planned(self) -> int:
        return sum(served.engine.info.planned_bytes for served in self.engines)

    def _resident(self) -> int | None:
        """Of this process and those of its models; None where the system does not tell."""
        own = resident_bytes(os.getpid())
        return None if own is None else own + sum(served.resident_bytes or 0 for served in self.engines)

    def metrics(self) -> bytes:
        registry = self.desk.metrics
        registry.log_size.set(self.journal.size)
        registry.node_resident.set(self._resident() or 0)
        for served in self.engines:
            registry.running.labels(served.name).set(self.desk.taken[served.model])
            registry.speed.labels(served.name).set(served.engine.load().tokens_per_second)
            registry.planned.labels(served.name).set(served.engine.info.planned_bytes)
            registry.resident.labels(served.name).set(served.resident_bytes or 0)
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

    add_log_routes(app, desk)
    return app


async def _tell_error(request: Request, error: Exception) -> JSONResponse:
    code = 404 if isinstance(error, Refused | InvalidFrame) else 400 if isinstance(error, InvalidProof) else 503
    if isinstance(error, Misconfigured):
        log.error("%s %s fails: %s", request.method, request.url.path, error)
        error = log_unusable()
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
    await serve_app(
        build_app(status, desk),
        bind,
        log,
        remedy='Choose another with `http = "host:port"`, or port 0 for any free one.',
        task_status=task_status,
    )
