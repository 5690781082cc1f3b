"""Vectors of adverts, chunks, leaves, receipts and frames: what is signed and sent."""

from typing import Any, get_args

import msgspec

from tallynet.protocol import commitment
from tallynet.protocol.advert import SignedAdvert, verify_advert
from tallynet.protocol.chunk import SignedChunk, Transcript, accept_chunk
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import SignedReceipt, verify_receipt
from tallynet.protocol.wire import (
    HEADER_BYTES,
    Codec,
    FromClient,
    FromNode,
    InfoAnswer,
    InfoAsk,
    LogAnswer,
    LogAsk,
    decode_length,
)
from tests.protocol.json_form import read, write
from tests.protocol.vector_cases import VECTORS, cases, domain, hexed, refuses


@cases("adverts.json", "valid")
def test_an_advert_is_believed(case: Any) -> None:
    signed = read(SignedAdvert, case["signed"])

    assert verify_advert(signed, domain(VECTORS["adverts.json"]["domain"]), case["now"]).node == hexed(case["node"])


@cases("adverts.json", "invalid")
def test_an_advert_is_refused(case: Any) -> None:
    with refuses(case):
        verify_advert(read(SignedAdvert, case["signed"]), domain(VECTORS["adverts.json"]["domain"]), case["now"])


CHUNKS = VECTORS["chunks.json"]


def transcript() -> Transcript:
    return Transcript(hexed(CHUNKS["job"]), hexed(CHUNKS["secret"]), hexed(CHUNKS["prompt_commitment"]))


def accept(told: Transcript, case: Any) -> None:
    signed = read(SignedChunk, case["signed"])
    accept_chunk(told, signed, domain(CHUNKS["domain"]), hexed(CHUNKS["node"]), CHUNKS["max_tokens"])


def test_a_stream_is_accepted_chunk_by_chunk() -> None:
    prompt = commitment.commit_prompt(commitment.prompt_salt(hexed(CHUNKS["secret"])), CHUNKS["prompt"])
    assert prompt == hexed(CHUNKS["prompt_commitment"])
    ours, theirs = transcript(), transcript()
    for case in CHUNKS["valid"]:
        statement = ours.extend(read(SignedChunk, case["signed"]).body)
        accept(theirs, case)

        assert write(statement) == case["statement"]
        assert statement.digest(domain(CHUNKS["domain"])) == hexed(case["digest"])
        assert theirs.trace_root == hexed(case["trace_root"])


@cases("chunks.json", "invalid_second")
def test_a_second_chunk_is_refused(case: Any) -> None:
    told = transcript()
    accept(told, CHUNKS["valid"][0])
    with refuses(case):
        accept(told, case)


@cases("leaves.json", "valid")
def test_a_leaf_is_read_and_hashed(case: Any) -> None:
    leaf = Leaf.unpack(hexed(case["packed"]))

    assert leaf.pack() == hexed(case["packed"])
    assert leaf.hash == hexed(case["hash"])
    assert {name: write(getattr(leaf, name)) for name in case["fields"]} == case["fields"]
    assert set(case["fields"]) == set(Leaf.__slots__)


@cases("leaves.json", "invalid")
def test_a_leaf_is_refused(case: Any) -> None:
    with refuses(case):
        Leaf.unpack(hexed(case["packed"]))


@cases("receipts.json", "valid")
def test_a_receipt_is_accepted(case: Any) -> None:
    file, signed = VECTORS["receipts.json"], read(SignedReceipt, case["signed"])

    verify_receipt(signed, domain(file["domain"]), hexed(file["node"]))
    assert signed.receipt.digest(domain(file["domain"])) == hexed(case["digest"])


@cases("receipts.json", "invalid")
def test_a_receipt_is_refused(case: Any) -> None:
    file = VECTORS["receipts.json"]
    with refuses(case):
        verify_receipt(read(SignedReceipt, case["signed"]), domain(file["domain"]), hexed(file["node"]))


# Frames

SENDERS: dict[str, Any] = {
    "/tallynet/job/1 client": FromClient,
    "/tallynet/job/1 node": FromNode,
    "/tallynet/info/1 client": InfoAsk,
    "/tallynet/info/1 node": InfoAnswer,
    "/tallynet/log/1 client": LogAsk,
    "/tallynet/log/1 node": LogAnswer,
}


def receive(case: Any) -> Any:
    frame = hexed(case["frame"])
    assert decode_length(frame[:HEADER_BYTES]) == len(frame) - HEADER_BYTES
    codec: Codec[Any] = Codec(SENDERS[case["sender"]])
    return codec.decode(frame[HEADER_BYTES:])


@cases("frames.json", "valid")
def test_a_frame_has_its_fields(case: Any) -> None:
    message = receive(case)

    assert {"t": message.__struct_config__.tag, **write(message)} == case["fields"]
    assert hexed(case["frame"])[HEADER_BYTES:] == msgspec.msgpack.encode(message)


@cases("frames.json", "invalid")
def test_a_frame_is_refused(case: Any) -> None:
    with refuses(case):
        receive(case)


@cases("frames.json", "invalid_lengths")
def test_a_length_is_refused(case: Any) -> None:
    with refuses(case):
        decode_length(hexed(case["header"]))


def test_every_message_of_every_sender_has_a_vector() -> None:
    shown = {case["fields"]["t"] for case in VECTORS["frames.json"]["valid"]}
    known = {kind.__struct_config__.tag for union in SENDERS.values() for kind in get_args(union) or (union,)}

    assert shown == known
