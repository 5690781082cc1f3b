"""A program's HTTP port: a socket that listens, and hypercorn on trio behind it."""

import logging
import socket
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from tallynet.protocol.errors import Misconfigured


async def serve_app(
    app: Any,
    bind: str,
    log: logging.Logger,
    *,
    remedy: str,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI application on `bind`, host:port, until cancelled; reports the URL once it listens.

    Raises `Misconfigured` with `remedy` when the address cannot be taken. Requests under way get a second to end.
    """
    config = Config()
    config.bind = [f"fd://{_listen(bind, remedy)}"]
    config.accesslog = None
    config.errorlog = log
    config.graceful_timeout = 1
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(serve, app, config, shutdown_trigger=trio.sleep_forever))
        task_status.started(url)


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port`. Raises ValueError."""
    host, _, port = bind.rpartition(":")
    if not host or not 0 <= int(port) < 2**16:
        raise ValueError("it is not host:port")
    return host.strip("[]"), int(port)


def _listen(bind: str, remedy: str) -> int:
    """The descriptor of a socket that listens, for hypercorn to own: its own way leaks the socket when it fails."""
    try:
        host, port = split_bind(bind)
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"The HTTP address {bind} cannot be used: {error}.", remedy=remedy) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener.detach()
