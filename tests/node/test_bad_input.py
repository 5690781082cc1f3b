"""Whatever a peer sends over a real libp2p connection: a typed refusal, a node that stays up, a log unchanged.

One node serves all cases. After each of them its log is what it was, and it still answers; at last, in the same log,
stands an honest job.
"""

import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace

from tallynet.client.portal import Portal
from tallynet.engine import FakeEngine
from tallynet.ledger import MemoryLedger
from tallynet.network.frames import FROM_NODE, INFO_ANSWER, LOG_ANSWER, EndOfStream, receive_frame
from tallynet.network.host import Libp2pTransport
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import Stream
from tallynet.node.engines import Engines
from tallynet.node.service import Node, Running, wall_clock
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.job import Sampling
from tallynet.protocol.receipt import VerifiedReceipt, verify_receipt
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import Address, Digest, Wei
from tallynet.protocol.wire import (
    INFO_PROTOCOL,
    JOB_PROTOCOL,
    LOG_PROTOCOL,
    MAX_FRAME_BYTES,
    Accepted,
    AskFile,
    AskInclusion,
    Cancel,
    Codec,
    Finished,
    Frame,
    Rejected,
    Submit,
    encode_frame,
)
from tests.node.examples import CLIENT, NODE, STRANGER, valid_config, valid_submit

Cases = Callable[[], "Iterator[Bad]"]
LEDGER = MemoryLedger()
DOMAIN = LEDGER.domain
CONTEXT = 256
CODECS: dict[str, Codec[Any]] = {JOB_PROTOCOL: FROM_NODE, INFO_PROTOCOL: INFO_ANSWER, LOG_PROTOCOL: LOG_ANSWER}


@dataclass(frozen=True)
class Bad:
    """What is sent, and the refusal that must come back."""

    name: str
    sent: bytes
    code: str
    check: int = 0
    protocol: str = JOB_PROTOCOL


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def job(**changes: Any) -> Submit:
    """A submit that the node would take, with `changes`."""
    return valid_submit(**{"now": wall_clock(), "domain": DOMAIN, **changes})


def bent(bend: Callable[[dict[str, Any]], object]) -> bytes:
    """A submit with its fields bent after encoding, in a way that our own types would not allow."""
    body = msgspec.msgpack.decode(encode_frame(job())[4:])
    bend(body)
    return framed(msgspec.msgpack.encode(body))


def say(text: str) -> Request:
    return Request(messages=(Message("user", text),))


def with_job(**changes: object) -> bytes:
    return bent(lambda body: body["signed"]["job"].update(changes))


def with_sampling(**changes: object) -> bytes:
    return bent(lambda body: body["signed"]["job"]["sampling"].update(changes))


def bad_frames() -> Iterator[Bad]:
    """Bytes that are no message."""
    honest = encode_frame(job())
    frames = {
        "too long": struct.pack(">I", MAX_FRAME_BYTES + 1),
        "longest length": b"\xff\xff\xff\xff",
        "no length": struct.pack(">I", 0),
    }
    for name, sent in frames.items():
        yield Bad(name, sent, "invalid-frame", 1)
    bodies = {
        "noise": bytes(range(256)),
        "unknown type": msgspec.msgpack.encode({"t": "steal"}),
        "type of another side": encode_frame(Rejected("busy", 0, ""))[4:],
        "no type": msgspec.msgpack.encode({"signed": 1}),
        "no map": msgspec.msgpack.encode([1, 2, 3]),
        "bytes after the end": honest[4:] + b"\0",
        "cut within its own length": honest[4:-40],
        "announces four billion entries": b"\xdf\xff\xff\xff\xff",
        "nested a hundred thousand deep": b"\x91" * 100_000,
        "text in invalid UTF-8": honest[4:].replace(b"\xa6secret", b"\xa6secr\xff\xfe", 1),
    }
    for name, body in bodies.items():
        yield Bad(name, framed(body), "invalid-frame", 2)
    yield Bad("cancel of nothing", encode_frame(Cancel()), "invalid-frame")


def bad_fields() -> Iterator[Bad]:
    """Messages with fields out of their bounds."""
    bends = {
        "unknown field": bent(lambda body: body.update(discount=1)),
        "missing field": bent(lambda body: body.pop("secret")),
        "short secret": bent(lambda body: body.update(secret=bytes(31))),
        "request too large": bent(lambda body: body.update(request=bytes(2**18 + 1))),
        "negative price": with_job(max_price=-1),
        "huge price": with_job(max_price=2**64 - 1),
        "negative deadline": with_job(deadline=-1),
        "huge deadline": with_job(deadline=2**53),
        "deadline as a float": with_job(deadline=1.5),
        "negative task": with_job(task=-1),
        "text instead of a model": with_job(model="fake"),
        "too many parents": with_job(parents=[bytes(32)] * 17),
        "negative tokens": with_sampling(max_tokens=-1),
        "no tokens": with_sampling(max_tokens=0),
        "huge tokens": with_sampling(max_tokens=2**63),
        "huge temperature": with_sampling(temperature_millionths=10_000_001),
        "negative top k": with_sampling(top_k=-1),
        "top p of nothing": with_sampling(top_p_millionths=0),
        "empty stop string": with_sampling(stop=[""]),
        "short signature": bent(lambda body: body["signed"].update(signature=bytes(64))),
    }
    for name, sent in bends.items():
        yield Bad(name, sent, "invalid-frame", 2)


def bad_jobs() -> Iterator[Bad]:
    """Messages that can be read, about jobs that this node does not take."""
    honest, forged, now = job(), job(key=STRANGER).signed.signature, wall_clock()
    jobs = {
        "no signature at all": (1, replace(honest, signed=replace(honest.signed, signature=bytes(65)))),
        "signed by somebody else": (1, replace(honest, signed=replace(honest.signed, signature=forged))),
        "another chain": (1, job(domain=Domain(1, DOMAIN.contract))),
        "another contract": (1, job(domain=Domain(DOMAIN.chain_id, Address(bytes(20))))),
        "expired": (2, job(deadline=now - 1)),
        "expired long ago": (2, job(deadline=0)),
        "far future": (2, job(deadline=2**53 - 1)),
        "unknown model": (3, job(model=Digest(bytes(32)))),
        "unknown task": (3, job(task=255)),
        "replayed without its secret": (4, replace(honest, secret=bytes(32))),
        "replayed with another request": (4, replace(honest, request=job(request=say("Something else")).request)),
        "request in invalid UTF-8": (4, job(request=b"\x81\xa4text\xa2\xff\xfe")),
        "request of unknown fields": (4, job(request=b"\x81\xa4tool\xa1a")),
        "prompt longer than the context": (5, job(request=say("a" * CONTEXT))),
        "more tokens than allowed": (6, job(sampling=Sampling(max_tokens=8192))),
        "too dear": (7, job(max_price=0)),
    }  # fmt: skip
    for name, (check, submit) in jobs.items():
        yield Bad(name, encode_frame(submit), "invalid-job", check)


def bad_questions() -> Iterator[Bad]:
    """Nonsense on the other two protocols."""
    for protocol, what in ((LOG_PROTOCOL, "log"), (INFO_PROTOCOL, "info")):
        yield Bad(f"{what}: too long", b"\xff\xff\xff\xff", "invalid-frame", 1, protocol)
        yield Bad(f"{what}: noise", framed(bytes(range(256))), "invalid-frame", 2, protocol)
        yield Bad(f"{what}: a job", encode_frame(job()), "invalid-frame", 2, protocol)
    for name, body in {
        "a path with a line end": {"t": "ask-file", "path": "tile/0/000\n"},
        "a path too long": {"t": "ask-file", "path": "x" * 65},
        "no path": {"t": "ask-file"},
        "short job id": {"t": "ask-receipt", "job": bytes(31)},
    }.items():
        yield Bad(f"log: {name}", framed(msgspec.msgpack.encode(body)), "invalid-frame", 2, LOG_PROTOCOL)
    for path in ("", "../../key.json", "log.sqlite", "tile/0/x999/x999/x999/999"):
        yield Bad(f"log: the file {path!r}", encode_frame(AskFile(path)), "invalid-frame", 1, LOG_PROTOCOL)
    yield Bad("log: a tile not there", encode_frame(AskFile("tile/entries/x001/000")), "refused", 0, LOG_PROTOCOL)
    proofs: dict[str, Frame] = {"proof past the end": AskInclusion(0, 1), "index past the size": AskInclusion(5, 5)}
    for name, frame in proofs.items():
        yield Bad(f"log: {name}", encode_frame(frame), "invalid-proof", 0, LOG_PROTOCOL)


@dataclass(frozen=True)
class Service:
    """A node, and a stranger who is connected to it."""

    running: Running
    transport: Libp2pTransport

    async def exchange(self, sent: bytes, protocol: str) -> Frame:
        """Send raw bytes on a stream of their own; what comes back first."""
        async with await self.transport.open(self.running.peer, protocol) as stream:
            await stream.send(sent)
            answer: Frame = await receive_frame(stream, CODECS[protocol], seconds=10)
            return answer

    async def broken_off(self, sent: bytes, protocol: str) -> None:
        """Send the beginning of something, and nothing more; returns when the node has given it up."""
        async with await self.transport.open(self.running.peer, protocol) as stream:
            await stream.send(sent)
            await stream.finish()
            with pytest.raises((EndOfStream, NodeUnreachable)):
                await receive_frame(stream, CODECS[protocol], seconds=10)

    async def ask(self, submit: Submit) -> tuple[list[Frame], VerifiedReceipt]:
        """Everything said about an honest job, and its receipt, checked."""
        async with await self.transport.open(self.running.peer, JOB_PROTOCOL) as stream:
            await stream.send(encode_frame(submit))
            said = [frame async for frame in frames_of(stream)]
        last = said[-1]
        assert isinstance(last, Finished), last
        return said, verify_receipt(last.receipt, DOMAIN, NODE.address)

    async def log_size(self) -> int:
        return (await LogReader(self.transport, self.running.peer, DOMAIN).checkpoint()).checkpoint.size


async def frames_of(stream: Stream) -> AsyncIterator[Frame]:
    frame: Frame | None = None
    while not isinstance(frame, Finished | Rejected):
        frame = await receive_frame(stream, FROM_NODE, seconds=10)
        yield frame


@asynccontextmanager
async def open_service(folder: Path) -> AsyncIterator[Service]:
    config = valid_config(folder, max_tokens=1000, completion_price_wei=1, drain_seconds=1.0)
    host = Libp2pTransport(NODE, listen=("/ip4/127.0.0.1/tcp/0",))
    node = Node(config, NODE, host, LEDGER, Engines.of(config, FakeEngine(context_length=CONTEXT)))
    await LEDGER.register(CLIENT, NODE, Wei(10**18), "")
    transport = Libp2pTransport(STRANGER, listen=())
    async with trio.open_nursery() as nursery:
        running: Running = await nursery.start(lambda task_status: node.run(task_status=task_status))
        async with transport.run():
            yield Service(running, transport)
        node.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal[Service]]:
    """One node for all tests of this file, in a thread of its own: starting one takes longer than any of them."""
    portal = Portal(open_service(tmp_path_factory.mktemp("node")), "node")
    yield portal
    portal.close()


@contextmanager
def unchanged_log(service: Portal[Service]) -> Iterator[None]:
    """The log is afterwards what it was, and the node still tells of it."""
    before = service.call(Service.log_size)
    yield
    assert service.call(Service.log_size) == before


@pytest.mark.parametrize(
    "cases", [bad_frames, bad_fields, bad_jobs, bad_questions], ids=["frames", "fields", "jobs", "questions"]
)
def test_refused_with_a_reason(service: Portal[Service], subtests: pytest.Subtests, cases: Cases) -> None:
    for bad in cases():
        with subtests.test(bad.name), unchanged_log(service):
            answer = service.call(lambda up, bad=bad: up.exchange(bad.sent, bad.protocol))  # type: ignore[misc]

            assert isinstance(answer, Rejected)
            assert (answer.code, answer.check) == (bad.code, bad.check), answer.reason
            assert answer.reason and answer.reason.isprintable()
            assert answer.retry_after_ms == 0


@pytest.mark.parametrize("protocol", [JOB_PROTOCOL, LOG_PROTOCOL, INFO_PROTOCOL])
@pytest.mark.parametrize("length", [0, 3, 4, 40, -1], ids=["nothing", "half a length", "a length", "half", "almost"])
def test_truncated(service: Portal[Service], protocol: str, length: int) -> None:
    """There is nobody to refuse it to: the stream is dropped."""
    with unchanged_log(service):
        service.call(lambda up: up.broken_off(encode_frame(job())[:length], protocol))


def test_an_unknown_protocol_is_not_spoken(service: Portal[Service]) -> None:
    with unchanged_log(service), pytest.raises(NodeUnreachable):
        service.call(lambda up: up.exchange(b"", "/tallynet/job/999"))


def test_nonsense_in_the_middle_of_a_job_ends_the_stream_and_not_the_job(service: Portal[Service]) -> None:
    submit = job(sampling=Sampling(max_tokens=30))

    async def interrupt(up: Service) -> None:
        async with await up.transport.open(up.running.peer, JOB_PROTOCOL) as stream:
            await stream.send(encode_frame(submit) + framed(b"nonsense"))
            with pytest.raises((EndOfStream, NodeUnreachable)):
                while True:
                    await receive_frame(stream, FROM_NODE, seconds=10)

    before = service.call(Service.log_size)
    service.call(interrupt)
    service.call(lambda up: up.ask(submit))

    assert service.call(Service.log_size) == before + 1


def test_replayed_by_its_client_gives_the_same_receipt(service: Portal[Service]) -> None:
    submit = job()
    before = service.call(Service.log_size)

    said, receipt = service.call(lambda up: up.ask(submit))
    said_again, receipt_again = service.call(lambda up: up.ask(submit))

    assert (said_again, receipt_again) == (said, receipt)
    assert service.call(Service.log_size) == before + 1


def test_replayed_by_somebody_else_tells_nothing(service: Portal[Service]) -> None:
    """The signed job alone is no key to the answer, not even of a finished job."""
    submit = job()
    service.call(lambda up: up.ask(submit))
    stolen = encode_frame(replace(submit, secret=bytes(32)))

    with unchanged_log(service):
        answer = service.call(lambda up: up.exchange(stolen, JOB_PROTOCOL))

    assert isinstance(answer, Rejected)
    assert (answer.code, answer.check) == ("invalid-job", 4)


def test_an_honest_job_is_done_as_if_nothing_had_been(service: Portal[Service]) -> None:
    submit = job()
    before = service.call(Service.log_size)

    said, receipt = service.call(lambda up: up.ask(submit))

    assert isinstance(said[0], Accepted)
    assert receipt.receipt.index == before
    assert receipt.leaf.job == submit.signed.job.id(DOMAIN)
    assert service.call(Service.log_size) == before + 1
