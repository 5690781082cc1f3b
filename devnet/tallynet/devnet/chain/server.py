"""The embedded chain as a service: JSON-RPC over HTTP on loopback, and a block every second without being asked.

    python -m tallynet.devnet.chain --port 8545

One thing happens at a time: a question, a transaction or a block of the timer. No authentication; anybody who
reaches the port can send transactions, so it listens on 127.0.0.1 alone.
"""

import logging
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
from fastapi import FastAPI, Request, Response
from hypercorn.config import Config
from hypercorn.trio import serve

from tallynet.devnet.chain.evm import EmbeddedChain
from tallynet.devnet.chain.rpc import MAX_BODY_BYTES, answer, too_large
from tallynet.protocol.errors import Misconfigured

log = logging.getLogger(__name__)

BLOCK_SECONDS = 1.0


@dataclass
class ChainServer:
    """Serves one chain. `block_seconds` is the period of the timer's empty blocks."""

    chain: EmbeddedChain
    block_seconds: float = BLOCK_SECONDS
    _turn: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 1))

    async def run(self, port: int = 0, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; reports the URL. Port 0 takes a free one.

        Raises `Misconfigured` when the port cannot be taken.
        """
        app: Any = self._app()
        listener = _listen(port)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            config = _config(listener.detach())
            await nursery.start(partial(serve, app, config, shutdown_trigger=trio.sleep_forever))
            nursery.start_soon(self._tick)
            task_status.started(url)

    def _app(self) -> FastAPI:
        app = FastAPI(title="Tallynet embedded chain", docs_url=None, redoc_url=None, openapi_url=None)

        @app.post("/")
        async def rpc(request: Request) -> Response:
            body = bytearray()
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    return _json(too_large(), 413)
            return _json(await self._in_turn(answer, self.chain, bytes(body)))

        return app

    async def _tick(self) -> None:
        while True:
            await trio.sleep(self.block_seconds)
            await self.mine()

    async def mine(self) -> None:
        """Add an empty block now."""
        await self._in_turn(self.chain.mine)

    async def _in_turn(self, work: Any, *arguments: object) -> Any:
        """The EVM takes its time: it works in a thread, and only one of them at a time."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self._turn)


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise Misconfigured(
            f"Port {port} of 127.0.0.1 cannot be used for the chain: {error.strerror}.",
            remedy="Choose another, or 0 for any free one.",
        ) from error


def _config(listener: int) -> Config:
    """`listener` is the file descriptor of a bound socket; the server owns it from here on."""
    config = Config()
    config.bind = [f"fd://{listener}"]
    config.accesslog = None
    config.errorlog = log
    config.graceful_timeout = 1
    return config
