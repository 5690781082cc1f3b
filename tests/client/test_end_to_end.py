"""One real run: a real node over libp2p, its log, its anchor; only the model and the chain are stand-ins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tallynet.client import AsyncClient, Client
from tallynet.console.network_file import NetworkFile
from tallynet.engine.fake import FakeEngine
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.host import Libp2pTransport
from tallynet.network.transport import PeerAddress, Stream
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines
from tallynet.node.service import Node, Running
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import Wei, prefixed
from tallynet.protocol.wire import JOB_PROTOCOL

NODE = Key(bytes(31) + b"\x05")


@asynccontextmanager
async def running_node(ledger: MemoryLedger, folder: Path, engine: FakeEngine) -> AsyncIterator[Running]:
    """A node of the devnet's kind, registered and ready; stopped gracefully at the end."""
    transport = Libp2pTransport(NODE, listen=("/ip4/127.0.0.1/tcp/0",))
    config = NodeConfig(
        keystore=folder / "key", data=folder, network=folder / "network.json", http="", anchor_seconds=0.2,
        drain_seconds=1.0, completion_price_wei=7,
    )  # fmt: skip
    node = Node(config, NODE, transport, ledger, Engines.of(config, engine))
    await ledger.register(Key.generate(), NODE, Wei(10**18), "")
    async with trio.open_nursery() as nursery:
        yield await nursery.start(_run, node)
        node.stop()


async def _cancel_after(seconds: float, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    scope.cancel()


async def _run(node: Node, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
    await node.run(task_status=task_status)


def network_of(ledger: MemoryLedger, running: Running) -> NetworkFile:
    return NetworkFile(
        rpc_url="http://127.0.0.1:1",
        chain_id=ledger.domain.chain_id,
        contract=prefixed(ledger.domain.contract),
        bootstrap=(str(running.peer),),
    )


def client_of(ledger: MemoryLedger, running: Running) -> AsyncClient:
    return AsyncClient(network_of(ledger, running), key=Key.generate(), ledger=ledger)


class CountingTransport(Libp2pTransport):
    """Counts the streams that are opened for jobs."""

    opened = 0

    async def open(self, to: PeerAddress, protocol: str) -> Stream:
        self.opened += protocol == JOB_PROTOCOL
        return await super().open(to, protocol)


async def test_jobs_in_a_row_share_one_stream(tmp_path: Path) -> None:
    ledger, transport = MemoryLedger(), CountingTransport(Key.generate(), listen=())
    async with (
        running_node(ledger, tmp_path, FakeEngine("fake", tokens_per_second=1000.0)) as running,
        AsyncClient(network_of(ledger, running), key=Key.generate(), ledger=ledger, transport=transport) as client,
    ):
        answers = [await client.ask("fake", f"Question {number}?", max_tokens=4) for number in range(5)]

    assert [answer.receipt.receipt.index for answer in answers] == [0, 1, 2, 3, 4]
    assert transport.opened == 1


@pytest.mark.slow
async def test_answers_over_libp2p_down_to_the_anchor(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    engine = FakeEngine("fake", tokens_per_second=200.0, end_every=1000)
    async with running_node(ledger, tmp_path, engine) as running, client_of(ledger, running) as client:
        answer = await client.ask("fake", "What is the capital of Japan?", max_tokens=48)

        assert answer.node == NODE.address
        assert answer.usage.completion_tokens == len(answer.tokens) == 48
        assert answer.price == 7 * 48
        assert answer.failures == ()

        async with client.stream("fake", "Tell me everything.", max_tokens=4096) as stream:
            await anext(stream)
        assert stream.answer.status is Status.CANCELLED
        assert 0 < stream.answer.usage.completion_tokens < 4096

        interrupted = client.stream("fake", "Tell me everything.", max_tokens=4096)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, 0.3, nursery.cancel_scope)
            async with interrupted:
                await interrupted.finish()
        assert interrupted.answer.status is Status.CANCELLED

        bundle = await client.wait_for_anchor(answer.bundle(), 10)
        assert all(result.state is State.OK for result in verify_bundle(bundle, ledger.domain))


@pytest.mark.slow
async def test_blocking_client_over_libp2p(tmp_path: Path) -> None:
    ledger = MemoryLedger()

    def ask(network: NetworkFile) -> tuple[str, str]:
        with Client(network, key=Key.generate()) as client, client.stream("fake", "Japan?", max_tokens=20) as stream:
            return "".join(stream), stream.answer.text

    async with running_node(ledger, tmp_path, FakeEngine("fake")) as running:
        streamed, text = await trio.to_thread.run_sync(ask, network_of(ledger, running))

    assert streamed == text != ""
