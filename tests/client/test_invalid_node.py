"""What a node must not send, one thing at a time: each is named by its error, and nothing of it reaches the user."""

import struct
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tallynet.client import AsyncClient
from tallynet.protocol.checkpoint import Checkpoint, sign_checkpoint
from tallynet.protocol.chunk import ChunkBody, SignedChunk
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import (
    Invalid,
    InvalidChunk,
    InvalidFrame,
    InvalidReceipt,
    NodeUnreachable,
    NoNodes,
    TallyError,
)
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Digest, JobId, Milliseconds, Signature, Wei
from tallynet.protocol.wire import MAX_FRAME_BYTES, Accepted, Finished, Frame, Head, Streamed, encode_frame
from tests.client.scripted_node import PIECES, PROMPT, ScriptedNode, leaf_with, with_body
from tests.client.world import World

OTHER_JOB = JobId(bytes(32))


async def fault(world: World, kind: type[TallyError], **settings: Any) -> TallyError:
    """Ask a node with these settings, alone in its world; the error that the client names."""
    await world.node(**settings)
    async with world.client() as client:
        with pytest.raises(kind) as caught:
            await client.ask("tally-tiny", "Japan?", max_tokens=40)
    return caught.value


async def invalid(world: World, kind: type[Invalid], check: int | None, **settings: Any) -> Invalid:
    error = await fault(world, kind, **settings)
    assert isinstance(error, Invalid)
    assert error.check == check
    return error


# --- chunks ----------------------------------------------------------------------------------------------


async def test_invalid_text_after_signing(world: World) -> None:
    error = await invalid(world, InvalidChunk, 4, change_frame=lambda frame, _: with_body(frame, text=" of China"))

    assert "signature" in error.evidence


async def test_invalid_token_after_signing(world: World) -> None:
    await invalid(
        world, InvalidChunk, 4, change_frame=lambda frame, _: with_body(frame, tokens=(99,), logprobs=(-1.0,))
    )


async def test_invalid_later_chunk_is_not_shown(world: World) -> None:
    def change(frame: Frame, _attempt: int) -> Frame:
        late = isinstance(frame, Streamed) and frame.chunk.body == PIECES[2]
        return with_body(frame, text=" is Kyoto.") if late else frame

    await world.node(change_frame=change)
    pieces = []
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        with pytest.raises(InvalidChunk):
            async for piece in stream:
                pieces.append(piece)

    assert pieces == [PIECES[0].text, PIECES[1].text]
    assert not stream.finished
    assert [piece async for piece in stream] == []


async def test_invalid_chunk_signed_by_another_key(world: World) -> None:
    await invalid(world, InvalidChunk, 4, chunk_key=Key.generate())


async def test_invalid_chunk_signed_for_another_chain(world: World) -> None:
    elsewhere = replace(world.ledger.domain, chain_id=1)
    await invalid(world, InvalidChunk, 4, chunk_domain=elsewhere)


async def test_invalid_order_of_chunks(world: World) -> None:
    said: list[Frame] = []

    def swap(frame: Frame, _attempt: int) -> Frame:
        if isinstance(frame, Streamed):
            said.append(frame)
        return said[0] if isinstance(frame, Streamed) else frame

    await invalid(world, InvalidChunk, 4, change_frame=swap)


async def test_invalid_number_of_tokens(world: World) -> None:
    many = tuple(ChunkBody(tuple(range(16)), " word", (-1.0,) * 16) for _ in range(3))
    await invalid(world, InvalidChunk, 3, pieces=many)


async def test_invalid_empty_chunk(world: World) -> None:
    await invalid(world, InvalidChunk, 2, pieces=(ChunkBody((), "", ()),))


async def test_invalid_logprobs(world: World) -> None:
    await invalid(world, InvalidChunk, 1, change_frame=lambda frame, _: with_body(frame, logprobs=()))


# --- receipts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (6, {"job": OTHER_JOB}),
        (7, {"client": Key(b"\x77" * 32).address}),
        (8, {"model": bytes(32)}),
        (9, {"params": Digest(bytes(32))}),
        (10, {"request": Digest(bytes(32))}),
        (11, {"client_signature": bytes(65)}),
        (12, {"price": Wei(10**18)}),
        (12, {"completion_tokens": 41}),
        (13, {"output": Digest(bytes(32))}),
        (14, {"completion_tokens": 4}),
        (15, {"trace": Digest(bytes(32))}),
        (17, {"started": Milliseconds(0), "ended": Milliseconds(1)}),
        (17, {"ended": Milliseconds(2**52)}),
        (17, {"ended": Milliseconds(0)}),
        (18, {"prompt_tokens": len(PROMPT) + 1}),
        (19, {"price": Wei(26)}),
    ],
    ids=str,
)
async def test_invalid_leaf(world: World, check: int, change: dict[str, Any]) -> None:
    error = await invalid(world, InvalidReceipt, check, change_leaf=leaf_with(**change))

    assert "receipt" in error.evidence


async def test_price_up_to_the_users_own_ceiling_is_fine(world: World) -> None:
    await world.node(change_leaf=leaf_with(price=Wei(26)))
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?", max_price_wei=10_000)

    assert answer.price == 26


async def test_price_below_the_advert_is_fine(world: World) -> None:
    await world.node(change_leaf=leaf_with(price=Wei(0)))
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.price == 0


@pytest.mark.parametrize("promise", [-600, 3 * 24 * 3600])
async def test_invalid_promise(world: World, promise: int) -> None:
    await invalid(world, InvalidReceipt, 16, promise_seconds=promise)


async def test_invalid_receipt_signed_by_another_key(world: World) -> None:
    thief = Key.generate()

    def resign(frame: Frame, _attempt: int) -> Frame:
        if not isinstance(frame, Finished):
            return frame
        signature = thief.sign(frame.receipt.receipt.digest(world.ledger.domain))
        return Finished(type(frame.receipt)(frame.receipt.receipt, frame.receipt.leaf, signature))

    await invalid(world, InvalidReceipt, 5, change_frame=resign)


async def test_invalid_receipt_of_another_job(world: World) -> None:
    """A true receipt of an earlier answer, given again."""
    said: list[Frame] = []

    def repeat(frame: Frame, _attempt: int) -> Frame:
        if isinstance(frame, Finished):
            said.append(frame)
            return said[0]
        return frame

    await world.node(change_frame=repeat)
    async with world.client() as client:
        await client.ask("tally-tiny", "Japan?")
        with pytest.raises(InvalidReceipt) as caught:
            await client.ask("tally-tiny", "Japan?")

    assert caught.value.check == 6


async def test_invalid_receipt_about_another_leaf(world: World) -> None:
    def swap(frame: Frame, _attempt: int) -> Frame:
        if not isinstance(frame, Finished):
            return frame
        leaf = frame.receipt.leaf[:-1] + bytes([frame.receipt.leaf[-1] ^ 1])
        return Finished(type(frame.receipt)(frame.receipt.receipt, leaf, frame.receipt.signature))

    await invalid(world, InvalidReceipt, 3, change_frame=swap)


# --- messages --------------------------------------------------------------------------------------------


async def test_invalid_length_of_a_frame(world: World) -> None:
    oversize = struct.pack(">I", MAX_FRAME_BYTES + 1)
    await invalid(world, InvalidFrame, 1, change_frame=lambda *_: oversize)


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x80", b"\x81\xa1t\xa7unknown", b"\x81\xa1t\xa5chunk", b"\xff" * 300], ids=range(6)
)
async def test_invalid_frame(world: World, body: bytes) -> None:
    await fault(world, InvalidFrame, change_frame=lambda *_: struct.pack(">I", len(body)) + body)


async def test_invalid_message_of_another_protocol(world: World) -> None:
    key = Key.generate()
    head = Head(key.address, sign_checkpoint(Checkpoint(0, Digest(bytes(32))), world.ledger.domain, key))
    await invalid(world, InvalidFrame, 2, change_frame=lambda *_: encode_frame(head))


async def test_invalid_first_message(world: World) -> None:
    """A chunk before the acceptance."""

    def early(frame: Frame, _attempt: int) -> Frame:
        return Streamed(SignedChunk(PIECES[0], Signature(bytes(65)))) if isinstance(frame, Accepted) else frame

    await invalid(world, InvalidFrame, 3, change_frame=early)


async def test_invalid_second_acceptance(world: World) -> None:
    said: list[Frame] = []

    def repeat(frame: Frame, _attempt: int) -> Frame:
        said.append(frame)
        return said[0]

    await invalid(world, InvalidFrame, 3, change_frame=repeat)


async def test_invalid_job_in_the_acceptance(world: World) -> None:
    await invalid(world, InvalidFrame, 4, change_frame=lambda *_: Accepted(OTHER_JOB, PROMPT, 0))


# --- silence and other worlds ----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "seconds"), [(0, 15), (1, 30)], ids=["before accepting", "before the first chunk"])
async def test_silent_node_is_given_up(world: World, autojump_clock: MockClock, number: int, seconds: float) -> None:
    async def hang(at: int, _attempt: int) -> None:
        if at == number:
            await trio.sleep_forever()

    began = trio.current_time()
    error = await fault(world, NodeUnreachable, disturb=hang)

    assert "silent" in error.message
    assert trio.current_time() - began == pytest.approx(seconds, abs=2)


async def test_node_of_another_chain_is_not_found(world: World) -> None:
    elsewhere = Domain(1, world.ledger.domain.contract)
    error = await fault(world, NoNodes, domain=elsewhere)

    assert "Nobody offers" in error.message


async def test_expired_advert_is_not_believed(world: World) -> None:
    node = await world.node()
    expired = node.advert(issued=Milliseconds(node.clock() - 20_000), expires=Milliseconds(node.clock() - 10_000))
    node.advert = lambda **_: expired  # type: ignore[method-assign]
    async with world.client() as client:
        with pytest.raises(NoNodes):
            await client.ask("tally-tiny", "Japan?")


async def test_cheat_is_not_asked_again(world: World) -> None:
    cheat = await world.node(change_frame=lambda frame, _: with_body(frame, text=" of China"))
    async with world.client() as client:
        with pytest.raises(InvalidChunk):
            await client.ask("tally-tiny", "Japan?")
        with pytest.raises(NoNodes, match="something invalid"):
            await client.ask("tally-tiny", "Japan?")
        assert len(cheat.submits) == 1
        await _ask_by_name(client, cheat)


async def _ask_by_name(client: AsyncClient, cheat: ScriptedNode) -> None:
    """Whoever insists may ask it all the same, and gets the same proof."""
    with pytest.raises(InvalidChunk):
        await client.ask("tally-tiny", "Japan?", node=cheat.key.address)
