"""From a signed receipt to a place on the chain."""

import pytest
import trio
from trio.testing import MockClock

from tallynet.client import Answer, AsyncClient
from tallynet.network.frames import LOG_ASK, receive_frame, send_frame
from tallynet.network.transport import Stream
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.errors import InvalidBundle, InvalidFrame, InvalidProof, NodeUnreachable, Pending
from tallynet.protocol.note import write_checkpoint_note
from tallynet.protocol.units import Digest
from tallynet.protocol.wire import LOG_PROTOCOL, AskFile, AskInclusion, File, ProofPath
from tests.client.scripted_node import ScriptedNode
from tests.client.world import World


async def answered(client: AsyncClient, times: int = 3) -> list[Answer]:
    return [await client.ask("tally-tiny", f"Question {number}?") for number in range(times)]


async def test_anchored_run_is_proven_by_its_bundle(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    async with world.client() as client:
        for answer in await answered(client):
            if not answer.index:
                await node.anchor(world.ledger)
        await node.anchor(world.ledger)
        bundle = await client.wait_for_anchor(answer.bundle(), 0)

    assert bundle.inclusion is not None
    assert bundle.inclusion.anchor.size == 3
    assert all(result.state is State.OK for result in verify_bundle(bundle, world.ledger.domain))


async def test_wait_ends_with_the_anchor(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    async with world.client() as client, trio.open_nursery() as nursery:
        answer = (await answered(client, 1))[0]
        began = trio.current_time()

        async def later() -> None:
            await trio.sleep(4)
            await node.anchor(world.ledger)

        nursery.start_soon(later)
        bundle = await client.wait_for_anchor(answer.bundle(), 60)
        assert 4 <= trio.current_time() - began < 10

    assert bundle.inclusion is not None


async def test_run_without_an_anchor_is_pending(world: World, autojump_clock: MockClock) -> None:
    await world.node()
    async with world.client() as client:
        answer = (await answered(client, 1))[0]
        began = trio.current_time()
        with pytest.raises(Pending, match="promised it by 2026-01-01 00:10:00 UTC") as caught:
            await client.wait_for_anchor(answer.bundle(), 3)

    assert trio.current_time() - began <= 3
    assert caught.value.retry_after_ms > 500_000


async def test_unconfirmed_anchor_is_pending(world: World, autojump_clock: MockClock) -> None:
    world.ledger._confirmations = 2
    node = await world.node()
    async with world.client() as client:
        answer = (await answered(client, 1))[0]
        await node.anchor(world.ledger)
        with pytest.raises(Pending):
            await client.wait_for_anchor(answer.bundle(), 0)
        world.ledger.mine(2)
        bundle = await client.wait_for_anchor(answer.bundle(), 0)

    assert bundle.inclusion is not None


async def test_anchored_bundle_is_returned_as_it_is(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    async with world.client() as client:
        answer = (await answered(client, 1))[0]
        await node.anchor(world.ledger)
        bundle = await client.wait_for_anchor(answer.bundle(), 0)
        world.net.cut(node.key.peer_id)

        assert await client.wait_for_anchor(bundle, 0) is bundle


async def test_broken_promise_is_named(world: World, autojump_clock: MockClock) -> None:
    await world.node(promise_seconds=10)
    async with world.client() as client:
        answer = (await answered(client, 1))[0]
        await trio.sleep(20)
        world.ledger.mine()
        with pytest.raises(InvalidBundle, match="promise is broken") as caught:
            await client.wait_for_anchor(answer.bundle(), 5)

    assert caught.value.check == 12


async def test_invalid_path_is_named(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()

    async def lie(stream: Stream) -> None:
        ask = await receive_frame(stream, LOG_ASK, seconds=5)
        false = ProofPath((Digest(bytes(32)), Digest(bytes(32))))
        await send_frame(stream, false if isinstance(ask, AskInclusion) else node.log_answer(ask))

    node.transport.serve(LOG_PROTOCOL, lie)
    async with world.client() as client:
        answer = (await answered(client))[1]
        await node.anchor(world.ledger)
        with pytest.raises(InvalidProof):
            await client.wait_for_anchor(answer.bundle(), 5)


async def test_checkpoint_of_another_root_is_named(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()

    async def fork(stream: Stream) -> None:
        ask = await receive_frame(stream, LOG_ASK, seconds=5)
        answer = node.log_answer(ask)
        if ask == AskFile("checkpoint/3"):
            answer = File(write_checkpoint_note(Checkpoint(3, Digest(bytes(32))), node.domain, node.key).encode())
        await send_frame(stream, answer)

    node.transport.serve(LOG_PROTOCOL, fork)
    async with world.client() as client:
        answer = (await answered(client))[1]
        await node.anchor(world.ledger)
        with pytest.raises(InvalidProof, match="signed a log of size 3, root 0000…0000; anchored is size 3") as caught:
            await client.wait_for_anchor(answer.bundle(), 5)

    assert caught.value.check == 3


async def test_checkpoint_of_another_size_is_refused(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()

    async def newest(stream: Stream) -> None:
        ask = await receive_frame(stream, LOG_ASK, seconds=5)
        await send_frame(stream, node.log_answer(AskFile("checkpoint/2") if ask == AskFile("checkpoint/3") else ask))

    node.transport.serve(LOG_PROTOCOL, newest)
    async with world.client() as client:
        answer = (await answered(client))[1]
        await node.anchor(world.ledger)
        with pytest.raises(InvalidFrame, match="asked for the checkpoint of size 3, got that of 2"):
            await client.wait_for_anchor(answer.bundle(), 5)


async def test_answer_that_is_not_in_the_anchored_log_is_found_out(world: World, autojump_clock: MockClock) -> None:
    """The node anchors another log than the one it promised."""
    node: ScriptedNode = await world.node()
    async with world.client() as client:
        answer = (await answered(client))[1]
        node.log = type(node.log)([Digest(bytes([number]) * 32) for number in range(3)])
        await node.anchor(world.ledger)
        with pytest.raises(InvalidProof):
            await client.wait_for_anchor(answer.bundle(), 5)


async def test_node_that_hides_after_anchoring_is_asked_again(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    async with world.client() as client, trio.open_nursery() as nursery:
        answer = (await answered(client, 1))[0]
        await node.anchor(world.ledger)
        world.net.cut(node.key.peer_id)
        with pytest.raises(NodeUnreachable):
            await client.wait_for_anchor(answer.bundle(), 2)

        async def heal() -> None:
            await trio.sleep(3)
            world.net.heal(node.key.peer_id)

        nursery.start_soon(heal)
        bundle = await client.wait_for_anchor(answer.bundle(), 20)

    assert bundle.inclusion is not None
