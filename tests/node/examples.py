"""A valid job, and a node's parts to try it on: tests start valid and break one thing."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tallynet.devnet.passing import PassingEngine
from tallynet.engine import Engine, FakeEngine, Generation, Piece
from tallynet.node.admission import Admission
from tallynet.node.config import NodeConfig
from tallynet.node.desk import Desk
from tallynet.node.engines import Engines
from tallynet.node.generation import Worker
from tallynet.node.journal import Journal, open_journal
from tallynet.node.metrics import Metrics
from tallynet.protocol.advert import Offer
from tallynet.protocol.commitment import commit_request, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Job, Sampling, sign_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.request import Message, Request, encode_request
from tallynet.protocol.units import (
    ZERO_DIGEST,
    Address,
    Digest,
    JobId,
    Milliseconds,
    ModelId,
    Seconds,
    Signature,
    Wei,
)
from tallynet.protocol.wire import Submit

NODE = Key(bytes(31) + b"\x05")
CLIENT = Key(bytes(31) + b"\x07")
STRANGER = Key(bytes(31) + b"\x09")
DOMAIN = Domain(31_337, Address(bytes(19) + b"\x01"))
SECRET = bytes(range(32))
START = Milliseconds(1_767_225_600_000)
MODEL = FakeEngine().info.model
REQUEST = Request(messages=(Message("user", "What is the capital of Japan?"),))
DEADLINE_MS = 60_000


def clock() -> Milliseconds:
    """The time of day: trio's clock, which tests make jump."""
    return Milliseconds(START + int(1000 * trio.current_time()))


def valid_config(folder: Path, **changes: Any) -> NodeConfig:
    paths = {"keystore": folder / "key.json", "data": folder / "data", "network": folder / "network.json"}
    return NodeConfig(**{**paths, "http": "", **changes})


def valid_submit(
    *,
    now: Milliseconds = START,
    request: Request | bytes = REQUEST,
    key: Key = CLIENT,
    domain: Domain = DOMAIN,
    **changes: Any,
) -> Submit:
    """A signed job that commits to `request`, together with it; `changes` are other fields of the job."""
    encoded = request if isinstance(request, bytes) else encode_request(request)
    fields: dict[str, Any] = {
        "client": key.address,
        "model": MODEL,
        "request": commit_request(request_salt(SECRET), encoded),
        "sampling": Sampling(max_tokens=20),
        "deadline": now + DEADLINE_MS,
        "max_price": 10**9,
        "nonce": Digest(bytes(32)),
    }
    return Submit(sign_job(Job(**{**fields, **changes}), domain, key), encoded, SECRET)


def job_id(submit: Submit) -> JobId:
    return submit.signed.job.id(DOMAIN)


def valid_offer(**changes: Any) -> Offer:
    fields: dict[str, Any] = {
        "model": MODEL, "name": "fake", "context_length": 4096, "prompt_price": 0, "completion_price": 0,
        "tokens_per_second": 100, "slots": 4, "free_slots": 4, "waiting": 0, "evidence": "replayable",
    }  # fmt: skip
    return Offer(**{**fields, **changes})


def valid_leaf(number: int = 0, **changes: Any) -> Leaf:
    """Another job for every number."""
    fields: dict[str, Any] = {
        "job": JobId(number.to_bytes(32)),
        "client": CLIENT.address,
        "model": ModelId(bytes(32)),
        "runtime": ZERO_DIGEST,
        "params": ZERO_DIGEST,
        "request": ZERO_DIGEST,
        "output": ZERO_DIGEST,
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "price": Wei(0),
        "started": START,
        "ended": START,
        "status": Status.EOS,
        "trace": ZERO_DIGEST,
        "client_signature": Signature(bytes(65)),
    }
    return Leaf(**{**fields, **changes})


def signed_leaf(number: int = 0) -> Leaf:
    """Another job for every number, signed by its client."""
    signed = valid_submit(nonce=Digest(number.to_bytes(32))).signed
    return valid_leaf(job=signed.job.id(DOMAIN), client_signature=signed.signature)


async def append(journal: Journal, number: int, answer: bytes = b"") -> int:
    """Another entry, promised for an hour, its answer kept for a day."""
    now = START // 1000
    return await journal.append(valid_leaf(number), Seconds(now + 3600), answer, Seconds(now + 86_400))


class PaperJournal(Journal):
    """A log that is on no disk."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self.tree = Tree()
        self.stopped: Misconfigured | None = None
        for number in numbers:
            self.write(number)

    def write(self, number: int) -> None:
        self.tree.append(valid_leaf(number).hash)

    def check_head(self) -> None:
        if self.stopped is not None:
            raise self.stopped

    def stop(self, why: Misconfigured) -> None:
        self.stopped = why


class HeldEngine(PassingEngine):
    """A FakeEngine that says nothing before `go` is set; then it raises `fault`, if there is one, or answers."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(FakeEngine(**{"end_every": 10**9, **settings}))
        self.go = trio.Event()
        self.fault: Exception | None = None
        self.streams = 0

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        self.streams += 1
        async with self._inner.stream(generation) as pieces:
            yield self._held(pieces)

    async def _held(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        async for piece in pieces:
            yield piece


@asynccontextmanager
async def open_desk(folder: Path, *engines: Engine, **settings: Any) -> AsyncIterator[Desk]:
    """A desk with its log in `folder`; what still runs at the end is cut off, as by a power cut."""
    config = valid_config(folder, **settings)
    with open_journal(config.data, NODE.address, DOMAIN) as journal:
        async with trio.open_nursery() as nursery:
            served = Engines.of(config, *engines)
            await nursery.start(lambda task_status: served.run(task_status=task_status))
            worker = Worker(config, NODE, DOMAIN, journal, clock)
            yield Desk(Admission(config, DOMAIN, served), worker, Metrics(), nursery)
            nursery.cancel_scope.cancel()
