"""(5) The log, open to everyone: checkpoint, entries, proofs and receipts over `/tallynet/log/1`."""

from dataclasses import dataclass

from tallynet.network.frames import LOG_ASK, receive_frame, send_frame
from tallynet.network.transport import Stream
from tallynet.node.journal import Journal
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, InvalidProof, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.receipt import SignedReceipt, sign_receipt
from tallynet.protocol.units import JobId
from tallynet.protocol.wire import (
    AskCheckpoint,
    AskConsistency,
    AskEntries,
    AskInclusion,
    Entries,
    Finished,
    Frame,
    Head,
    LogAsk,
    ProofPath,
    rejection,
)

ASK_SECONDS = 10.0


@dataclass(frozen=True)
class LogDesk:
    """Answers questions about one node's log."""

    key: Key
    domain: Domain
    journal: Journal

    async def serve(self, stream: Stream) -> None:
        """One question, one answer; a bad question gets its reason."""
        try:
            ask = await receive_frame(stream, LOG_ASK, seconds=ASK_SECONDS)
            answer = await self.answer(ask)
        except (Invalid, Refused) as error:
            answer = rejection(error)
        await send_frame(stream, answer)

    async def answer(self, ask: LogAsk) -> Frame:
        """Raises `InvalidProof` for what the log cannot prove, `Refused` for a job it does not know."""
        if isinstance(ask, AskCheckpoint):
            return Head(self.key.address, self.checkpoint())
        if isinstance(ask, AskEntries):
            return Entries(ask.start, tuple(await self.journal.leaves(ask.start, ask.count)))
        if isinstance(ask, AskInclusion):
            self._check_within(ask.index + 1, ask.size)
            return ProofPath(tuple(self.journal.tree.inclusion(ask.index, ask.size)))
        if isinstance(ask, AskConsistency):
            self._check_within(ask.old, ask.new)
            return ProofPath(tuple(self.journal.tree.consistency(ask.old, ask.new)))
        return Finished(await self.receipt(ask.job))

    def checkpoint(self) -> SignedCheckpoint:
        """The newest head, signed."""
        tree = self.journal.tree
        return sign_checkpoint(Checkpoint(tree.size, tree.root()), self.domain, self.key)

    async def receipt(self, job: JobId) -> SignedReceipt:
        entry = await self.journal.entry(job)
        if entry is None:
            raise Refused(f"job {job.hex()} is not in this log", reason="unknown job")
        return sign_receipt(entry.leaf, entry.index, entry.anchor_by, self.domain, self.key)

    def _check_within(self, low: int, high: int) -> None:
        if not 1 <= low <= high <= self.journal.size:
            raise InvalidProof(f"a proof from {low} to {high} is asked of a log of {self.journal.size} entries")
