"""Reading a node's log over the network. Nothing is believed: callers check against signatures and the chain."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from tallynet.network.frames import LOG_ANSWER, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import PeerAddress, Stream, Transport
from tallynet.protocol.checkpoint import SignedCheckpoint, verify_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidFrame, NodeUnreachable
from tallynet.protocol.keys import address_of_peer
from tallynet.protocol.note import read_checkpoint_note, read_key_note
from tallynet.protocol.opening import SignedOpeningRequest
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.tiles import TILE_WIDTH, Tile, read_bundle, read_tile
from tallynet.protocol.units import Address, Digest, JobId
from tallynet.protocol.wire import (
    LOG_PROTOCOL,
    AskCheckpoint,
    AskConsistency,
    AskFile,
    AskInclusion,
    AskOpening,
    AskReceipt,
    File,
    Finished,
    Head,
    LogAnswer,
    LogAsk,
    NoConsent,
    NotKept,
    ProofPath,
    Rejected,
    SealedOpening,
    error_of,
)

log = logging.getLogger(__name__)

ASK_SECONDS = 15.0

T = TypeVar("T")


class LogReader:
    """One node's log. Every method raises `NodeUnreachable`, `InvalidFrame`, or the node's own refusal."""

    def __init__(self, transport: Transport, peer: PeerAddress, domain: Domain) -> None:
        self._transport = transport
        self._peer = peer
        self._domain = domain
        self._note_key: bytes | None = None
        self._idle: list[Stream] | None = None
        """Streams that were answered on and are kept; None where none are."""

    @property
    def _node(self) -> Address:
        return address_of_peer(self._peer.peer)

    async def checkpoint(self) -> SignedCheckpoint:
        """The newest head; its signature is checked."""
        answer = await self._ask(AskCheckpoint(), Head)
        verify_checkpoint(answer.signed, self._domain, self._node)
        return answer.signed

    async def checkpoint_note(self, size: int | None = None) -> str:
        """The newest head, or that of the first `size` entries, as a signed note.

        The node's signature and that of its note key are checked, and that it is of that size.
        """
        if self._note_key is None:
            text = await self.file("vkey")
            self._note_key = read_key_note(text, self._domain, self._node)
        note = await self.file("checkpoint" if size is None else f"checkpoint/{size}")
        signed = read_checkpoint_note(note, self._domain, self._node, self._note_key)
        if size is not None and signed.checkpoint.size != size:
            raise InvalidFrame(f"asked for the checkpoint of size {size}, got that of {signed.checkpoint.size}")
        return note.decode()

    async def file(self, path: str) -> bytes:
        """A file of the tile log, as it is: `checkpoint`, `vkey`, `tile/…`. Raises `Refused` for one that is not."""
        return (await self._ask(AskFile(path), File)).data

    async def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> Sequence[Digest]:
        """The hashes of one tile; ValueError for a tile that no log has."""
        tile = Tile(level, index, width)
        return read_tile(await self.file(str(tile)), tile)

    async def entry_bundle(self, index: int, width: int = TILE_WIDTH) -> Sequence[bytes]:
        """The packed leaves of one entry bundle, not yet parsed: from number 256 * `index` on."""
        tile = Tile(None, index, width)
        return read_bundle(await self.file(str(tile)), tile)

    async def entries(self, start: int, count: int) -> Sequence[bytes]:
        """Packed leaves from `start` on, at most `count` and at most to the end of their bundle.

        The log must have all of them: raises `Refused` otherwise.
        """
        index, skipped = divmod(start, TILE_WIDTH)
        return (await self.entry_bundle(index, min(TILE_WIDTH, skipped + count)))[skipped:]

    async def inclusion(self, index: int, size: int) -> Sequence[Digest]:
        """Path from leaf `index` to the root at `size`."""
        return (await self._ask(AskInclusion(index, size), ProofPath)).path

    async def consistency(self, old: int, new: int) -> Sequence[Digest]:
        """Path from the root at `old` to the root at `new`."""
        return (await self._ask(AskConsistency(old, new), ProofPath)).path

    async def receipt(self, job: JobId) -> SignedReceipt:
        return (await self._ask(AskReceipt(job), Finished)).receipt

    async def opening(self, signed: SignedOpeningRequest, part: int = 0) -> SealedOpening | NoConsent | NotKept:
        """One sealed part of a run that was drawn, or why there is none; nothing in it is checked."""
        answer = await self._told(AskOpening(signed, part))
        if not isinstance(answer, SealedOpening | NoConsent | NotKept):
            raise InvalidFrame(f"asked for an opening, got {type(answer).__name__}")
        return answer

    @asynccontextmanager
    async def many_questions(self) -> AsyncIterator[None]:
        """Until the block is left, a stream that was answered on is asked on again: opening one costs more than most
        answers. For a reader of a whole log; not for blocks within blocks."""
        self._idle = []
        try:
            yield
        finally:
            idle, self._idle = self._idle, None
            for stream in idle:
                await stream.abort()

    async def _ask(self, question: LogAsk, kind: type[T]) -> T:
        answer = await self._told(question)
        if not isinstance(answer, kind):
            raise InvalidFrame(f"asked for {kind.__name__}, got {type(answer).__name__}")
        return answer

    async def _told(self, question: LogAsk) -> LogAnswer:
        """The answer, unless it is a refusal: that is raised."""
        try:
            answer = await self._answer(question)
        except EndOfStream as error:
            raise NodeUnreachable(f"node {self._peer.peer} closed without an answer.") from error
        if isinstance(answer, Rejected):
            raise error_of(answer)
        return answer

    async def _answer(self, question: LogAsk) -> LogAnswer:
        if self._idle:
            try:
                return await self._exchange(self._idle.pop(), question)
            except (EndOfStream, NodeUnreachable) as error:
                log.debug("%s has closed a stream that lay idle: %s", self._peer.peer, error)
        return await self._exchange(await self._transport.open(self._peer, LOG_PROTOCOL), question)

    async def _exchange(self, stream: Stream, question: LogAsk) -> LogAnswer:
        """One question, one answer; the stream is kept for the next one or closed."""
        async with AsyncExitStack() as open_streams:
            await open_streams.enter_async_context(stream)
            await send_frame(stream, question, seconds=ASK_SECONDS)
            answer: LogAnswer = await receive_frame(stream, LOG_ANSWER, seconds=ASK_SECONDS)
            if self._idle is not None:
                open_streams.pop_all()
                self._idle.append(stream)
        return answer
