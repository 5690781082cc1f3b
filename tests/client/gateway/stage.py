"""A gateway on a port of its own, before a devnet in memory: what the tests of the gateway stand on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio
from openai import OpenAI

from tallynet.client import AsyncClient
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.keys import Caller, open_keys
from tallynet.client.gateway.serving import run_gateway
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.engine import Engine, FakeEngine
from tallynet.protocol.bundle import Bundle, read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Seconds

T = TypeVar("T")

MODEL = "fake"
QUESTION: Any = [{"role": "user", "content": "What is the capital of Japan?"}]


@dataclass
class Stage:
    """A devnet and the URL of the gateway before it."""

    devnet: Devnet
    url: str
    config: GatewayConfig

    def http(self, secret: str | None = None) -> httpx.AsyncClient:
        """Not yet entered."""
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        async with self.http() as http:
            return await http.post(path, json=body, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        async with self.http() as http:
            return await http.get(path, **options)

    async def chat(self, **changes: Any) -> httpx.Response:
        """A valid request, changed."""
        return await self.post("/v1/chat/completions", {**chat_body(), **changes})

    async def openai(self, work: Callable[[OpenAI], T], secret: str = "unused") -> T:
        """`work` with OpenAI's own client, in a thread."""

        def run() -> T:
            with OpenAI(base_url=f"{self.url}/v1", api_key=secret, max_retries=0, timeout=30) as client:
                return work(client)

        return await trio.to_thread.run_sync(run)

    async def receipt(self, job: str, wait: float = 0.0) -> Bundle:
        """The receipt of a job, checked offline by everything that can be checked offline."""
        answer = await self.get(f"/v1/receipts/{job}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        bundle = read_bundle(answer.text)
        assert all(
            result.state in (State.OK, State.PENDING) for result in verify_bundle(bundle, self.devnet.network.domain)
        )
        return bundle

    def key(self, name: str = "alice", **limits: Any) -> str:
        """The secret of a new key."""
        with open_keys(self.config.keys) as keys:
            return keys.add(Caller(name, **limits), Seconds(0))


def chat_body() -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 32}


def _client(devnet: Devnet, keep: Path | bool) -> AsyncClient:
    transport, ledger = devnet.transport(), devnet.ledger
    return AsyncClient(devnet.network, key=Key.generate(), transport=transport, ledger=ledger, keep=keep)


@asynccontextmanager
async def open_stage(
    folder: Path, *, nodes: int = 1, engine: Callable[[], Engine] = FakeEngine, **settings: Any
) -> AsyncIterator[Stage]:
    """`settings` are those of `GatewayConfig`; `devnet`: those of `open_devnet`; `keep`: the client's."""
    devnet_settings, keep = settings.pop("devnet", {}), settings.pop("keep", False)
    config = GatewayConfig(**{"keys": folder / "gateway.sqlite", "listen": "127.0.0.1:0", **settings})
    async with (
        open_devnet(folder, nodes=nodes, engine=engine, **devnet_settings) as devnet,
        _client(devnet, keep) as client,
        trio.open_nursery() as nursery,
    ):
        url = await nursery.start(run_gateway, config, client)
        yield Stage(devnet, url, config)
        nursery.cancel_scope.cancel()
