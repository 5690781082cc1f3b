"""(5) The log, open to everyone: checkpoint, tiles, entries, proofs and receipts over `/tallynet/log/1`."""

import logging
import re
from dataclasses import dataclass

from tallynet.network.frames import LOG_ASK, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import Stream
from tallynet.node.generation import log_unusable
from tallynet.node.journal import Journal
from tallynet.node.opening_desk import OpeningDesk
from tallynet.node.signing import promise, state_head
from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Deferred, Invalid, InvalidProof, Misconfigured, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.note import write_key_note, write_signed_note
from tallynet.protocol.receipt import SignedReceipt
from tallynet.protocol.tiles import Tile, write_bundle, write_tile
from tallynet.protocol.units import JobId
from tallynet.protocol.wire import (
    AskCheckpoint,
    AskConsistency,
    AskFile,
    AskInclusion,
    AskReceipt,
    File,
    Finished,
    Frame,
    Head,
    LogAsk,
    ProofPath,
    rejection,
)

log = logging.getLogger(__name__)

ASK_SECONDS = 10.0
_PAST = re.compile(r"checkpoint/([1-9][0-9]{0,12})")


@dataclass(frozen=True)
class LogDesk:
    """Answers questions about one node's log."""

    key: Key
    domain: Domain
    journal: Journal
    openings: OpeningDesk | None = None
    """Whom auditors may ask for what they drew; None where nobody may."""

    async def serve(self, stream: Stream) -> None:
        """Questions and answers in turn, until the reader closes its side; a bad question gets its reason."""
        while True:
            try:
                answer = await self.answer(await receive_frame(stream, LOG_ASK, seconds=ASK_SECONDS))
            except EndOfStream:
                return
            except (Invalid, Refused, Deferred) as error:
                answer = rejection(error)
            except Misconfigured as error:
                log.error("the log is not told to %s: %s", stream.remote, error)
                answer = rejection(log_unusable())
            await send_frame(stream, answer)

    async def answer(self, ask: LogAsk) -> Frame:
        """Raises `InvalidProof` for what the log cannot prove, `InvalidFrame` for a path that is none, `Refused` for a
        file or job that it does not have, and what `OpeningDesk.answer` raises."""
        if isinstance(ask, AskCheckpoint):
            return Head(self.key.address, self.checkpoint())
        if isinstance(ask, AskFile):
            return File(await self.file(ask.path))
        if isinstance(ask, AskInclusion):
            self._check_within(ask.index + 1, ask.size)
            return ProofPath(tuple(self.journal.tree.inclusion(ask.index, ask.size)))
        if isinstance(ask, AskConsistency):
            self._check_within(ask.old, ask.new)
            return ProofPath(tuple(self.journal.tree.consistency(ask.old, ask.new)))
        if isinstance(ask, AskReceipt):
            return Finished(await self.receipt(ask.job))
        if self.openings is None:
            raise Refused("nothing is opened here", reason="no openings")
        return await self.openings.answer(ask)

    async def file(self, path: str) -> bytes:
        """A file of the tile log by its path, without a slash before it."""
        if path == "checkpoint":
            return self._note(self.checkpoint())
        if found := _PAST.fullmatch(path):
            return self._note(self._past(int(found[1])))
        if path == "vkey":
            return write_key_note(self.domain, self.key).encode()
        tile = Tile.parse(path)
        if tile.end > self.journal.size:
            raise Refused(f"the log has no {tile} yet", reason="no such file")
        if tile.level is None:
            return write_bundle(await self.journal.leaves(tile.start, tile.width))
        return write_tile(self.journal.tree, tile)

    def checkpoint(self) -> SignedCheckpoint:
        """The newest head, signed."""
        return state_head(self.journal, self.domain, self.key)

    def _past(self, size: int) -> SignedCheckpoint:
        """The head as it was at a smaller size: what a bundle takes, whose anchor is of that size."""
        if size > self.journal.size:
            raise Refused(f"the log has no {size} entries yet", reason="no such file")
        return state_head(self.journal, self.domain, self.key, size)

    def _note(self, signed: SignedCheckpoint) -> bytes:
        return write_signed_note(signed, self.domain, self.key).encode()

    async def receipt(self, job: JobId) -> SignedReceipt:
        entry = await self.journal.entry(job)
        if entry is None:
            raise Refused(f"job {job.hex()} is not in this log", reason="unknown job")
        return promise(self.journal, entry.leaf, entry.index, entry.anchor_by, self.domain, self.key)

    def _check_within(self, low: int, high: int) -> None:
        if not 1 <= low <= high <= self.journal.size:
            raise InvalidProof(f"a proof from {low} to {high} is asked of a log of {self.journal.size} entries")
