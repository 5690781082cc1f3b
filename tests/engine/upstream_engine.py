"""An engine that passes on to a server of the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from tallynet.engine import Engine, Generation
from tallynet.engine.upstream import UpstreamEngine
from tallynet.engine.upstream.server import Address
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request
from tests.engine.generations import Read, read, seed
from tests.engine.openai_server import PLAIN, OpenAIServer

SAY = Request(messages=(Message("system", "Be brief."), Message("user", "Count, grün and 日本.")))
GO_ON = Request(text="Once upon a time")
WITH_TOP_K = PLAIN | {"top_k"}
RICH = WITH_TOP_K | {"return_token_ids"}
SILENCE_SECONDS = 0.5


async def opened(server: OpenAIServer, **settings: Any) -> UpstreamEngine:
    """In a thread, as a node does it."""
    address = Address.read(server.spec.removeprefix("openai:"), settings.pop("api_key", ""))
    settings = {"slots": 4, "silence_seconds": SILENCE_SECONDS, **settings}
    return await trio.to_thread.run_sync(lambda: UpstreamEngine(address, **settings))


@asynccontextmanager
async def running(server: OpenAIServer, **settings: Any) -> AsyncIterator[UpstreamEngine]:
    engine = await opened(server, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield engine
        nursery.cancel_scope.cancel()


async def ask(engine: Engine, request: Request = SAY, **sampling: Any) -> Read:
    prompt = await engine.tokenize(request)
    return await read(engine, Generation(prompt, Sampling(**{"max_tokens": 40, **sampling}), seed(7)))
