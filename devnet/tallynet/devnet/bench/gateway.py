"""What the gateway costs: OpenAI's HTTP in front of a node, against the same node's engine asked directly.

Client, gateway and node share this process, with libp2p over TCP and HTTP between them; the engine is the same one in
both, in a process of its own. Rounds alternate: engine, gateway, engine, gateway.
"""

import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio

from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.serving import run_gateway
from tallynet.devnet.bench.report import Row, compare
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import default_model
from tallynet.devnet.world import memory_world, real_world
from tallynet.engine import Engine, FakeEngine, Generation, open_engine
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Digest

TOKENS = 48
AT_ONCE = 8


@dataclass
class Count:
    """What came back."""

    tokens: int = 0
    first: float = 0.0
    """Seconds to the first token of the last answer."""


@dataclass
class Bench:
    """Both ways to one engine."""

    engine: Engine
    http: httpx.AsyncClient
    asked: int = 0

    async def directly(self, count: Count) -> None:
        """One answer from the engine."""
        request, began, first = self._request(), time.perf_counter(), 0.0
        prompt = await self.engine.tokenize(request)
        generation = Generation(prompt, Sampling(max_tokens=TOKENS), Digest(bytes(32)))
        async with self.engine.stream(generation) as pieces:
            async for piece in pieces:
                first = first or time.perf_counter() - began
                count.tokens += len(piece.tokens)
        count.first = first

    async def through_gateway(self, count: Count) -> None:
        """One answer by HTTP, streamed. Raises AssertionError for anything but a whole answer."""
        messages = [{"role": turn.role, "content": turn.content} for turn in self._request().messages]
        body = {
            "model": self.engine.info.name, "messages": messages, "temperature": 0, "max_tokens": TOKENS,
            "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        began, first, used = time.perf_counter(), 0.0, 0
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line[6:]) if line.startswith("data: {") else {}
                if any(choice["delta"].get("content") for choice in event.get("choices", ())):
                    first = first or time.perf_counter() - began
                used = (event.get("usage") or {}).get("completion_tokens", used)
        if not used:
            raise AssertionError(f"the gateway gave no whole answer: {answer.status_code}")
        count.tokens += used
        count.first = first

    def _request(self) -> Request:
        self.asked += 1
        return Request(messages=(Message("user", f"Tell me story number {self.asked}."),))


async def measure_gateway(folder: Path, say: Callable[[str], None], *, quick: bool) -> list[Row]:
    """All rows. `quick` does everything once, small, in memory and with words that mean nothing."""
    rounds, jobs = (1, 1) if quick else (5, 3)
    say("loading the model…")
    async with _open_bench(folder, quick) as bench:
        say("warming up…")
        await _rate(bench.directly, 1)
        await _rate(bench.through_gateway, 1)
        say("one answer at a time…")
        firsts = [(await _first(bench.directly), await _first(bench.through_gateway)) for _ in range(4 * rounds)]
        say(f"{AT_ONCE} answers at a time…")
        rates = [(await _rate(bench.directly, jobs), await _rate(bench.through_gateway, jobs)) for _ in range(rounds)]
    added = statistics.median(second - first for first, second in firsts)
    return [
        compare("tokens_per_second", "tokens: gateway / engine", "/s", rates),
        compare("first_token_milliseconds", "first token: gateway / engine", "ms", firsts),
        Row("added_first_token_milliseconds", "first token later by", added, "ms"),
    ]


@asynccontextmanager
async def _open_bench(folder: Path, quick: bool) -> AsyncIterator[Bench]:
    engine = FakeEngine() if quick else await trio.to_thread.run_sync(open_engine, default_model())
    config = GatewayConfig(keys=folder / "gateway.sqlite", listen="127.0.0.1:0", requests_per_minute=1_000_000)
    world = memory_world if quick else real_world
    async with (
        open_devnet(folder, engine=lambda: engine, world=world) as devnet,
        devnet.client() as client,
        trio.open_nursery() as nursery,
    ):
        url = await nursery.start(run_gateway, config, client)
        async with httpx.AsyncClient(base_url=url, timeout=120) as http:
            yield Bench(engine, http)
        nursery.cancel_scope.cancel()


async def _rate(ask: Callable[[Count], Awaitable[None]], jobs: int) -> float:
    """Tokens a second, when AT_ONCE tasks ask `jobs` times each."""
    counts = [Count() for _ in range(AT_ONCE)]

    async def ask_all(count: Count) -> None:
        for _ in range(jobs):
            await ask(count)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for count in counts:
            nursery.start_soon(ask_all, count)
    return sum(count.tokens for count in counts) / (time.perf_counter() - began)


async def _first(ask: Callable[[Count], Awaitable[None]]) -> float:
    """Milliseconds to the first token of one answer."""
    count = Count()
    await ask(count)
    return 1000 * count.first
