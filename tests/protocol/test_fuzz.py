"""Whatever a peer sends, all the way from bytes to the last check: it is taken or it is `Invalid`, nothing else."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol import merkle
from tallynet.protocol.advert import verify_advert
from tallynet.protocol.checkpoint import verify_checkpoint
from tallynet.protocol.chunk import accept_chunk
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.errors import Invalid, InvalidReceipt
from tallynet.protocol.job import verify_job
from tallynet.protocol.keys import address_of_peer, recover
from tallynet.protocol.leaf import LEAF_BYTES, Leaf
from tallynet.protocol.receipt import check_leaf_of_job, check_leaf_of_transcript, verify_receipt
from tallynet.protocol.request import decode_request
from tallynet.protocol.tiles import ENTRY_BYTES, TILE_WIDTH, Tile, read_bundle
from tallynet.protocol.units import Digest
from tallynet.protocol.wire import (
    HEADER_BYTES,
    Accepted,
    Adverts,
    Codec,
    File,
    Finished,
    Frame,
    Head,
    ProofPath,
    Rejected,
    Streamed,
    Submit,
    encode_frame,
    error_of,
)
from tests.protocol.examples import (
    DOMAIN,
    NODE,
    NOW,
    digest,
    fresh_transcript,
    valid_checkpoint,
    valid_frames,
    valid_leaf,
    valid_transcript,
    valid_verified_job,
)

JOB = valid_verified_job()


def take_submit(message: Submit) -> None:
    verify_job(message.signed, DOMAIN)
    commit_request(request_salt(message.secret), message.request)
    decode_request(message.request)


def take_receipt(message: Finished) -> None:
    receipt = verify_receipt(message.receipt, DOMAIN, NODE.address)
    check_leaf_of_job(receipt.leaf, JOB)
    check_leaf_of_transcript(receipt.leaf, valid_transcript())


def take_adverts(message: Adverts) -> None:
    for signed in message.adverts:
        verify_advert(signed, DOMAIN, NOW)


def take_file(message: File) -> None:
    width = min(max(1, len(message.data) // ENTRY_BYTES), TILE_WIDTH)
    for data in read_bundle(message.data, Tile(None, 0, width)):
        assert Leaf.unpack(data).pack() == data


def take_proof(message: ProofPath) -> None:
    merkle.verify_inclusion(digest("leaf"), 1, 3, message.path, digest("root"))


READERS: dict[type[Frame], Callable[[Any], object]] = {
    Submit: take_submit,
    Accepted: lambda message: commit_prompt(prompt_salt(digest("secret")), message.prompt),
    Streamed: lambda message: accept_chunk(fresh_transcript(), message.chunk, DOMAIN, NODE.address, 40),
    Finished: take_receipt,
    Rejected: error_of,
    Adverts: take_adverts,
    Head: lambda message: verify_checkpoint(message.signed, DOMAIN, NODE.address),
    File: take_file,
    ProofPath: take_proof,
}
"""What is done with each message that holds anything to be checked."""

FRAMES = [frame for frame in valid_frames().values() if type(frame) in READERS]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53 - 1, 2**63 - 1, 2**63]),
    st.floats(),
    st.text(max_size=6),
    st.binary(max_size=6),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=65, max_size=65),
    st.just([]),
    st.just({}),
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place inside a decoded message, however deep."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    if isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@settings(max_examples=800)
@given(data=st.data(), frame=st.sampled_from(FRAMES), value=values)
def test_any_value_at_any_place_of_any_message(data: st.DataObject, frame: Frame, value: object) -> None:
    message: Any = msgspec.msgpack.decode(encode_frame(frame)[HEADER_BYTES:])
    *way, last = data.draw(st.sampled_from(places(message)[1:]))
    inner = message
    for step in way:
        inner = inner[step]
    inner[last] = value
    codec: Codec[Any] = Codec(type(frame))
    try:
        READERS[type(frame)](codec.decode(msgspec.msgpack.encode(message)))
    except Invalid as refusal:
        assert refusal.message


@settings(max_examples=200)
@given(place=st.integers(0, LEAF_BYTES * 8 - 1))
def test_any_flipped_bit_of_a_leaf_is_noticed(place: int) -> None:
    packed = valid_leaf().pack()
    flipped = (int.from_bytes(packed, "big") ^ 1 << place).to_bytes(LEAF_BYTES, "big")
    try:
        assert Leaf.unpack(flipped).hash != valid_leaf().hash
    except InvalidReceipt as refusal:
        assert refusal.check == 2


@given(said=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_any_bytes_for_a_signature(said: bytes, signature: bytes) -> None:
    with pytest.raises(Invalid):
        recover(Digest(said), signature)


@given(peer=st.text(max_size=60) | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", max_size=60))
def test_any_text_for_a_peer_id(peer: str) -> None:
    with pytest.raises(Invalid):
        address_of_peer(peer)


@given(
    index=st.integers(-1, 2**41),
    size=st.integers(-1, 2**41),
    path=st.lists(st.binary(max_size=40) | st.just(bytes(32)), max_size=70),
)
def test_any_bytes_for_a_proof(index: int, size: int, path: list[bytes]) -> None:
    hashes, root = [Digest(part) for part in path], valid_checkpoint().root
    with pytest.raises(Invalid):
        merkle.verify_inclusion(digest("leaf"), index, size, hashes, root)
    with pytest.raises(Invalid):
        merkle.verify_consistency(index, digest("old root"), size, root, hashes)
