"""Reading a node's log over the network. Nothing is believed: callers check against signatures and the chain."""

from collections.abc import Sequence
from typing import TypeVar

from tallynet.network.frames import LOG_ANSWER, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import PeerAddress, Transport
from tallynet.protocol.checkpoint import SignedCheckpoint, verify_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidFrame, NodeUnreachable
from tallynet.protocol.keys import address_of_peer
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.units import Digest, JobId
from tallynet.protocol.wire import (
    LOG_PROTOCOL,
    AskCheckpoint,
    AskConsistency,
    AskEntries,
    AskInclusion,
    AskReceipt,
    Entries,
    Finished,
    Head,
    LogAnswer,
    LogAsk,
    ProofPath,
    Rejected,
    error_of,
)

ASK_SECONDS = 15.0

T = TypeVar("T")


class LogReader:
    """One node's log. Every method raises `NodeUnreachable`, `InvalidFrame`, or the node's own refusal."""

    def __init__(self, transport: Transport, peer: PeerAddress, domain: Domain) -> None:
        self._transport = transport
        self._peer = peer
        self._domain = domain

    async def checkpoint(self) -> SignedCheckpoint:
        """The newest head; its signature is checked."""
        answer = await self._ask(AskCheckpoint(), Head)
        verify_checkpoint(answer.signed, self._domain, address_of_peer(self._peer.peer))
        return answer.signed

    async def entries(self, start: int, count: int) -> Sequence[bytes]:
        """Packed leaves from `start` on, at most `count` (≤ MAX_ENTRIES); empty past the end."""
        answer = await self._ask(AskEntries(start, count), Entries)
        if answer.start != start or len(answer.leaves) > count:
            raise InvalidFrame(f"asked for entries from {start}, {count} of them; got others")
        return answer.leaves

    async def inclusion(self, index: int, size: int) -> Sequence[Digest]:
        """Path from leaf `index` to the root at `size`."""
        return (await self._ask(AskInclusion(index, size), ProofPath)).path

    async def consistency(self, old: int, new: int) -> Sequence[Digest]:
        """Path from the root at `old` to the root at `new`."""
        return (await self._ask(AskConsistency(old, new), ProofPath)).path

    async def receipt(self, job: JobId) -> SignedReceipt:
        return (await self._ask(AskReceipt(job), Finished)).receipt

    async def _ask(self, question: LogAsk, kind: type[T]) -> T:
        async with await self._transport.open(self._peer, LOG_PROTOCOL) as stream:
            await send_frame(stream, question, seconds=ASK_SECONDS)
            try:
                answer: LogAnswer = await receive_frame(stream, LOG_ANSWER, seconds=ASK_SECONDS)
            except EndOfStream as error:
                raise NodeUnreachable(f"node {self._peer.peer} closed without an answer.") from error
        if isinstance(answer, Rejected):
            raise error_of(answer)
        if not isinstance(answer, kind):
            raise InvalidFrame(f"asked for {kind.__name__}, got {type(answer).__name__}")
        return answer
