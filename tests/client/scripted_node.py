"""A node that keeps the protocol with real keys and signatures, and does wrong exactly where a test says so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from tallynet.ledger.memory import MemoryLedger
from tallynet.network.frames import FROM_CLIENT, INFO_ASK, LOG_ASK, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import Stream, Transport
from tallynet.protocol.advert import Advert, Offer, SignedAdvert, sign_advert
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.chunk import ChunkBody, Transcript, sign_chunk
from tallynet.protocol.commitment import commit_prompt, prompt_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import NodeUnreachable, TallyError
from tallynet.protocol.job import Task, verify_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.note import write_checkpoint_note, write_key_note
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.units import Digest, JobId, Milliseconds, ModelId, Seconds, TokenIds, Wei
from tallynet.protocol.wire import (
    INFO_PROTOCOL,
    JOB_PROTOCOL,
    LOG_PROTOCOL,
    Accepted,
    Adverts,
    AskFile,
    AskInclusion,
    Cancel,
    File,
    Finished,
    Frame,
    LogAsk,
    ProofPath,
    Streamed,
    Submit,
    rejection,
)

MODEL = ModelId(bytes(range(32)))
PROMPT: TokenIds = (3, 1, 4, 1, 5)
PIECES = (
    ChunkBody((11,), "The capital", (-0.5,)),
    ChunkBody((12, 13), " of Japan", (-0.25, -1.0)),
    ChunkBody((14, 15), " is Tokyo.", (-0.125, -2.0)),
)
TEXT = "The capital of Japan is Tokyo."


def unchanged(frame: Frame, _attempt: int) -> Frame:
    return frame


async def undisturbed(_number: int, _attempt: int) -> None:
    await trio.lowlevel.checkpoint()


@dataclass
class Run:
    """What was said about one job."""

    submit: Submit
    pieces: tuple[ChunkBody, ...]
    transcript: Transcript
    frames: list[Frame] = field(default_factory=list)
    cancelled: bool = False
    working: trio.Lock = field(default_factory=trio.Lock)


@dataclass
class ScriptedNode:
    """Honest as it stands. Tests set one thing or another."""

    transport: Transport
    key: Key
    domain: Domain
    clock: Callable[[], Milliseconds]
    model: ModelId = MODEL
    name: str = "tally-tiny"
    tokens_per_second: int = 100
    prompt_price: int = 2
    completion_price: int = 3
    free_slots: int = 4
    task: int = Task.GENERATE
    evidence: str = "replayable"
    pieces: tuple[ChunkBody, ...] = PIECES
    say: Callable[[Request], tuple[ChunkBody, ...]] | None = None
    """In place of `pieces`: what it says to a request."""
    pieces_on_retry: tuple[ChunkBody, ...] | None = None
    """A forgetful node: another answer when the job comes again."""
    pause: float = 0.0
    """Seconds before each chunk."""
    promise_seconds: int = 600
    refusals: list[TallyError] = field(default_factory=list)
    """Said to the first submits, one each."""
    chunk_key: Key | None = None
    chunk_domain: Domain | None = None
    change_leaf: Callable[[Leaf], Leaf] = field(default=lambda leaf: leaf)
    change_frame: Callable[[Frame, int], Frame | bytes] = unchanged
    """Every message after signing, with the number of the submit (1, 2, …); bytes are sent as they are."""
    disturb: Callable[[int, int], Awaitable[None]] = undisturbed
    """Awaited before message 0 (the acceptance), 1, …; raises `NodeUnreachable` to break off the stream."""
    knows: list[SignedAdvert] = field(default_factory=list)
    """Adverts handed on beside its own."""
    submits: list[Submit] = field(default_factory=list)
    runs: dict[JobId, Run] = field(default_factory=dict)
    log: Tree = field(default_factory=Tree)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.transport.serve(JOB_PROTOCOL, self.serve_job)
        self.transport.serve(INFO_PROTOCOL, self.serve_info)
        self.transport.serve(LOG_PROTOCOL, self.serve_log)
        async with self.transport.run():
            task_status.started()
            await trio.sleep_forever()

    def advert(self, **changes: Any) -> SignedAdvert:
        now = self.clock()
        offer = Offer(
            model=self.model, name=self.name, context_length=512, prompt_price=Wei(self.prompt_price),
            completion_price=Wei(self.completion_price), tokens_per_second=self.tokens_per_second, slots=4,
            free_slots=self.free_slots, waiting=0, evidence=self.evidence, task=self.task,
        )  # fmt: skip
        advert = Advert(
            peer=self.key.peer_id, addresses=self.transport.addresses, incarnation=Milliseconds(1), issued=now,
            expires=Milliseconds(now + 600_000), log_size=0, offers=(offer,),
        )  # fmt: skip
        fields = {name: getattr(advert, name) for name in advert.__struct_fields__}
        return sign_advert(Advert(**{**fields, **changes}), self.domain, self.key)

    async def serve_info(self, stream: Stream) -> None:
        await receive_frame(stream, INFO_ASK, seconds=5)
        await send_frame(stream, Adverts((self.advert(), *self.knows)))

    async def serve_log(self, stream: Stream) -> None:
        ask = await receive_frame(stream, LOG_ASK, seconds=5)
        await send_frame(stream, self.log_answer(ask))

    def log_answer(self, ask: LogAsk) -> Frame:
        if isinstance(ask, AskInclusion):
            return ProofPath(tuple(self.log.inclusion(ask.index, ask.size)))
        assert isinstance(ask, AskFile)
        return File(self._log_file(ask.path).encode())

    def _log_file(self, path: str) -> str:
        if path == "vkey":
            return write_key_note(self.domain, self.key)
        size = int(path.removeprefix("checkpoint/"))
        return write_checkpoint_note(Checkpoint(size, self.log.root(size)), self.domain, self.key)

    async def serve_job(self, stream: Stream) -> None:
        submit = await receive_frame(stream, FROM_CLIENT, seconds=5)
        assert isinstance(submit, Submit)
        self.submits.append(submit)
        attempt = len(self.submits)
        if self.refusals:
            await send_frame(stream, rejection(self.refusals.pop(0)))
            return
        run = self._run_of(submit)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear_cancel, stream, run)
            number = 0
            while number == 0 or not isinstance(run.frames[-1], Finished) or number < len(run.frames):
                await self.disturb(number, attempt)
                async with run.working:
                    if number == len(run.frames):
                        run.frames.append(await self._next(run))
                await _send(stream, self.change_frame(run.frames[number], attempt))
                number += 1
            nursery.cancel_scope.cancel()

    async def anchor(self, ledger: MemoryLedger) -> None:
        """Post the head of the log, registered first if it has to be."""
        if await ledger.node(self.key.address) is None:
            await ledger.register(Key.generate(), self.key, Wei(10**18), "")
        head = await ledger.head(self.key.address)
        proof = self.log.consistency(head.size) if head.size else []
        await ledger.anchor(self.key, self.log.size, self.log.root(), proof)

    def _run_of(self, submit: Submit) -> Run:
        job = verify_job(submit.signed, self.domain)
        pieces = self.say(decode_request(submit.request)) if self.say else self.pieces
        if job.id in self.runs and self.pieces_on_retry is not None:
            del self.runs[job.id]
            pieces = self.pieces_on_retry
        commitment = commit_prompt(prompt_salt(submit.secret), PROMPT)
        return self.runs.setdefault(job.id, Run(submit, pieces, Transcript(job.id, submit.secret, commitment)))

    async def _next(self, run: Run) -> Frame:
        told = len(run.transcript.bodies)
        if not run.frames:
            return Accepted(run.transcript.job, PROMPT, 0)
        if told < len(run.pieces):
            await trio.sleep(self.pause)
        if run.cancelled or told == len(run.pieces):
            return self._finish(run)
        domain, key = self.chunk_domain or self.domain, self.chunk_key or self.key
        return Streamed(sign_chunk(run.transcript, run.pieces[told], domain, key))

    def _finish(self, run: Run) -> Frame:
        job, now = run.submit.signed.job, self.clock()
        leaf = self.change_leaf(
            Leaf(
                job=run.transcript.job, client=job.client, model=job.model, runtime=Digest(bytes(32)),
                params=job.sampling.digest, request=job.request, output=run.transcript.output_root,
                prompt_tokens=len(PROMPT), completion_tokens=run.transcript.token_count,
                price=Wei(self.prompt_price * len(PROMPT) + self.completion_price * run.transcript.token_count),
                started=now, ended=now, status=Status.CANCELLED if run.cancelled else Status.EOS,
                trace=run.transcript.trace_root, client_signature=run.submit.signed.signature,
            )
        )  # fmt: skip
        index = self.log.append(leaf.hash)
        return Finished(sign_receipt(leaf, index, Seconds(now // 1000 + self.promise_seconds), self.domain, self.key))


def with_body(frame: Frame, **changes: Any) -> Frame:
    """A chunk with another body under the same signature; any other message as it is."""
    if not isinstance(frame, Streamed):
        return frame
    body = frame.chunk.body
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return Streamed(type(frame.chunk)(ChunkBody(**{**fields, **changes}), frame.chunk.signature))


def leaf_with(**changes: Any) -> Callable[[Leaf], Leaf]:
    return lambda leaf: replace(leaf, **changes)


async def _hear_cancel(stream: Stream, run: Run) -> None:
    try:
        message = await receive_frame(stream, FROM_CLIENT, seconds=3600)
        run.cancelled = isinstance(message, Cancel)
    except (EndOfStream, NodeUnreachable):
        return


async def _send(stream: Stream, frame: Frame | bytes) -> None:
    if isinstance(frame, bytes):
        await stream.send(frame)
    else:
        await send_frame(stream, frame)
