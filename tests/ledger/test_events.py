"""What an RPC endpoint says is read strictly: start with a log of the contract, break one thing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_abi.abi import encode

from tallynet.ledger import events
from tallynet.ledger.events import Log
from tallynet.ledger.ledger import Challenge, SampleBounds
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.fault import FaultKind
from tallynet.protocol.units import Address, Digest, JobId, Seconds, Wei

NODE, OPERATOR = Address(b"\x01" * 20), Address(b"\x02" * 20)
A, B, C = (Digest(bytes([number]) * 32) for number in (7, 8, 9))


def log(kind: Digest, *indexed: bytes, data: bytes) -> Log:
    topics = (kind, *(Digest(word.rjust(32, b"\0")) for word in indexed))
    return Log(Address(b"\x03" * 20), topics, data, 5, A, B)


REGISTERED = log(
    events.REGISTERED, NODE, OPERATOR, data=encode(["uint256", "string"], [10**18, "/ip4/192.0.2.1/tcp/1"])
)
ANCHORED = log(events.ANCHORED, NODE, data=encode(["uint64", "bytes32"], [7, C]))
RECORDED = log(events.RECORDED, NODE, A, data=B + C)
ATTESTED = log(
    events.ATTESTED,
    NODE,
    OPERATOR,
    data=encode(["bytes32", "uint64", "uint32", "uint32", "uint32"], [C, 7, 950_000, 49_000, 1_000]),
)
EXIT_BEGUN = log(events.EXIT_BEGUN, NODE, data=encode(["uint64"], [1_700_000_000]))
WITHDRAWN = log(events.WITHDRAWN, NODE, OPERATOR, data=encode(["uint256"], [10**18]))
SLASHED = log(events.SLASHED, NODE, OPERATOR, data=encode(["uint8", "uint256", "uint256"], [4, 10**17, 9 * 10**17]))
CHALLENGED = log(
    events.CHALLENGED, NODE, OPERATOR, data=encode(["uint64", "uint256", "uint64"], [3, 10**16, 1_700_000_000])
)
BOUNDS = SampleBounds(C, 7, 950_000, 49_000, 1_000)

READERS: list[tuple[Log, Callable[[Log], object]]] = [
    (REGISTERED, events.registered),
    (ANCHORED, events.anchored),
    (RECORDED, events.recorded),
    (ATTESTED, events.attested),
    (EXIT_BEGUN, events.exit_begun),
    (WITHDRAWN, events.withdrawn),
    (SLASHED, events.slashed),
    (CHALLENGED, events.challenged),
]


def test_every_event_is_read() -> None:
    assert events.registered(REGISTERED) == events.Registered(NODE, OPERATOR, Wei(10**18), "/ip4/192.0.2.1/tcp/1")
    assert events.anchored(ANCHORED) == events.Anchored(NODE, 7, C)
    assert events.recorded(RECORDED) == events.Recorded(NODE, JobId(A), B, C)
    assert events.attested(ATTESTED) == events.Attested(NODE, OPERATOR, BOUNDS)
    assert events.exit_begun(EXIT_BEGUN) == 1_700_000_000
    assert events.withdrawn(WITHDRAWN) == 10**18
    assert events.slashed(SLASHED) == events.Slashed(NODE, OPERATOR, FaultKind.FORK, Wei(10**17), Wei(9 * 10**17))
    assert events.challenged(CHALLENGED) == Challenge(NODE, 3, OPERATOR, Wei(10**16), Seconds(1_700_000_000))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 256])
def test_multiaddrs_of_every_length_are_read(length: int) -> None:
    data = encode(["uint256", "string"], [1, "x" * length])

    assert events.registered(replace(REGISTERED, data=data)).multiaddr == "x" * length


def test_a_multiaddr_that_is_no_text_does_not_stop_anyone() -> None:
    data = encode(["uint256", "bytes"], [1, b"/ip4/\xff\xfe"])

    assert events.registered(replace(REGISTERED, data=data)).multiaddr == "/ip4/\ufffd\ufffd"


@pytest.mark.parametrize(("valid", "read"), READERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_log_of_another_shape_is_refused(valid: Log, read: Callable[[Log], object]) -> None:
    for broken in (
        replace(valid, topics=()),
        replace(valid, topics=valid.topics[:-1]),
        replace(valid, topics=(*valid.topics, A)),
        replace(valid, topics=(A, *valid.topics[1:])),
        replace(valid, data=b""),
        replace(valid, data=valid.data[:-1]),
        replace(valid, data=valid.data + b"\0"),
        replace(valid, data=valid.data + bytes(32)),
    ):
        with pytest.raises(ChainUnreachable, match="malformed event in transaction 0x08"):
            read(broken)


ADDRESSED = {
    "registered": REGISTERED,
    "anchored": ANCHORED,
    "recorded": RECORDED,
    "attested": ATTESTED,
    "slashed": SLASHED,
}


@pytest.mark.parametrize("valid", [*ADDRESSED.values(), CHALLENGED], ids=[*ADDRESSED, "challenged"])
def test_a_word_that_is_no_address_is_refused(valid: Log) -> None:
    read = next(read for log, read in READERS if log is valid)
    with pytest.raises(ChainUnreachable, match="is no address"):
        read(replace(valid, topics=(valid.topics[0], A, *valid.topics[2:])))


@pytest.mark.parametrize("size", [0, 2**40, 2**64 - 1])
def test_an_anchor_of_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ChainUnreachable, match="size"):
        events.anchored(replace(ANCHORED, data=encode(["uint64", "bytes32"], [size, C])))


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 0), (2**40, 1, 1, 0), (7, 1, 1, 2), (7, 10**6 + 1, 1, 0), (7, 1, 10**7, 0)]
)
def test_an_attestation_of_impossible_numbers_is_refused(numbers: tuple[int, ...]) -> None:
    data = C + b"".join(number.to_bytes(32, "big") for number in numbers)
    with pytest.raises(ChainUnreachable, match="size|bounds"):
        events.attested(replace(ATTESTED, data=data))


def test_a_time_out_of_bounds_is_refused() -> None:
    with pytest.raises(ChainUnreachable, match="time"):
        events.exit_begun(replace(EXIT_BEGUN, data=encode(["uint64"], [2**53])))
    with pytest.raises(ChainUnreachable, match="time"):
        events.challenged(replace(CHALLENGED, data=encode(["uint64", "uint256", "uint64"], [3, 1, 2**53])))


@pytest.mark.parametrize("kind", [0, 7, 255])
def test_a_fault_of_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(ChainUnreachable, match=f"no kind {kind} of fault"):
        events.slashed(replace(SLASHED, data=encode(["uint8", "uint256", "uint256"], [kind, 1, 9])))


def test_a_challenge_of_an_impossible_index_is_refused() -> None:
    with pytest.raises(ChainUnreachable, match="index"):
        events.challenged(replace(CHALLENGED, data=encode(["uint64", "uint256", "uint64"], [2**40, 1, 2])))


@pytest.mark.parametrize(("offset", "length"), [(32, 20), (64, 21 + 32), (64, 2**255), (2**255, 20), (64, 257)])
def test_a_string_that_points_elsewhere_is_refused(offset: int, length: int) -> None:
    data = REGISTERED.data[:32] + offset.to_bytes(32, "big") + length.to_bytes(32, "big") + REGISTERED.data[96:]
    with pytest.raises(ChainUnreachable, match="a string of"):
        events.registered(replace(REGISTERED, data=data))
