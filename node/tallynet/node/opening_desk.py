"""(6) Openings for auditors: the runs that a later block drew from the anchored log, to whoever asks, and no others.

Anybody may be an auditor. What protects those who gave no consent is that nothing of them is opened; those who did,
that nobody chooses what he gets: a block of the chain does. Source: spec chapter 6, "Openings on request".
"""

import logging
from dataclasses import dataclass, field

import trio

from tallynet.ledger import Ledger
from tallynet.network.frames import FROM_NODE
from tallynet.node.config import NodeConfig
from tallynet.node.journal import Entry, Journal, read_kept
from tallynet.node.signing import promise
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.draw import MAX_DRAWN, Draw, drawing_block
from tallynet.protocol.errors import Busy, ChainUnreachable, InvalidFrame, InvalidOpening, Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.opening import OpeningRequest, part_count, seal_part, verify_opening_request
from tallynet.protocol.units import Digest, JobId, short
from tallynet.protocol.wire import (
    HEADER_BYTES,
    Accepted,
    AskOpening,
    Frame,
    NoConsent,
    NotKept,
    SealedOpening,
    Streamed,
    Submit,
    decode_length,
)

log = logging.getLogger(__name__)

BURST = 256
"""Questions that are answered at once, all auditors together."""
PER_SECOND = 8.0
"""Questions that are answered in the long run: a sample of 300 runs then takes no more than a minute."""
CHAIN_RETRY_MS = 5000
MAX_DRAWS = 16
"""Draws that are remembered, each of up to 1024 entries."""


@dataclass
class Rate:
    """How much more may be asked now."""

    left: float = BURST
    _at: float | None = None

    def take(self) -> None:
        """Raises `Busy` when nothing is left."""
        now = trio.current_time()
        gained = 0.0 if self._at is None else (now - self._at) * PER_SECOND
        self.left, self._at = min(BURST, self.left + gained), now
        # (2) not more is asked than the node answers
        if self.left < 1:
            raise Busy("(2) more is asked than this node opens", retry_after_ms=int(1000 / PER_SECOND))
        self.left -= 1


@dataclass
class OpeningDesk:
    """Answers auditors of one node."""

    config: NodeConfig
    key: Key
    ledger: Ledger
    journal: Journal
    rate: Rate = field(default_factory=Rate)
    _draws: dict[tuple[int, Digest], frozenset[int]] = field(default_factory=dict)
    """By size and hash, those that the chain has confirmed to be draws."""

    async def answer(self, ask: AskOpening) -> Frame:
        """Raises `InvalidOpening` for what may not be asked, `Busy` above the rate or without a chain."""
        # (1) the auditor signed the question, for this node, chain and contract
        request = verify_opening_request(ask.signed, self.ledger.domain, self.key.address)
        self.rate.take()
        entry = await self._entry(request)
        await self._check_drawn(request)
        kept = await self._kept(request.job)
        if kept is None or isinstance(kept, NoConsent):
            return kept or NotKept(self.config.keep_openings_seconds)
        bundle = await self._bundle(kept, entry)
        if bundle is None:
            return NotKept(self.config.keep_openings_seconds)
        log.info("job %s: opened for auditor %s", short(request.job), short(request.auditor))
        return SealedOpening(part_count(bundle), seal_part(bundle, ask.part, request, self.ledger.domain))

    async def _entry(self, request: OpeningRequest) -> Entry:
        entry = await self.journal.entry(request.job)
        # (3) the log has the job at that index, within the anchored size
        if entry is None or entry.index != request.index or not request.index < request.size <= self.journal.size:
            place = "nowhere" if entry is None else f"at {entry.index} of {self.journal.size}"
            raise InvalidOpening(
                f"job {short(request.job)} is asked for at {request.index} of {request.size}, the log has it {place}",
                check=3,
            )
        return entry

    async def _check_drawn(self, request: OpeningRequest) -> None:
        key = request.size, request.block_hash
        if key not in self._draws:
            await self._check_block(request)
            if len(self._draws) >= MAX_DRAWS:
                del self._draws[next(iter(self._draws))]
            self._draws[key] = frozenset(Draw(self.key.address, *key).indices())
        # (5) the index is among the first 1024 that the block draws
        if request.index not in self._draws[key]:
            raise InvalidOpening(
                f"entry {request.index} is not among the {min(request.size, MAX_DRAWN)} that block "
                f"{short(request.block_hash)} draws of {request.size}",
                check=5,
            )

    async def _check_block(self, request: OpeningRequest) -> None:
        try:
            number, drawn_by = await self._drawing_block(request.size)
        except ChainUnreachable as error:
            raise Busy("the node cannot reach its chain", retry_after_ms=CHAIN_RETRY_MS) from error
        # (4) a log of that size was anchored, and the block is the one that draws from it
        if drawn_by != request.block_hash:
            true = "no block" if drawn_by is None else f"block {number}, {short(drawn_by)},"
            raise InvalidOpening(
                f"block {short(request.block_hash)} is said to draw of {request.size} entries; {true} does", check=4
            )

    async def _drawing_block(self, size: int) -> tuple[int | None, Digest | None]:
        """Number and hash of the block that draws from the anchored log of that size; None for what is not there."""
        anchors = await self.ledger.anchors(self.key.address)
        anchor = next((anchor for anchor in anchors if anchor.size == size), None)
        if anchor is None:
            return None, None
        return drawing_block(anchor.block), await self.ledger.block_hash(drawing_block(anchor.block))

    async def _kept(self, job: JobId) -> Submit | NoConsent | None:
        frame = await self.journal.kept(job)
        try:
            return None if frame is None else read_kept(frame)
        except InvalidFrame as error:
            raise Misconfigured(f"What is kept of job {short(job)} is damaged: {error.message}.") from error

    async def _bundle(self, submit: Submit, entry: Entry) -> bytes | None:
        """The run as its client has it, without an anchor; None when its answer is no longer kept."""
        answer = await self.journal.answer(entry.leaf.job)
        if answer is None:
            return None
        accepted, bodies = _said(answer)
        opening = Whole(submit.secret, submit.request, accepted.prompt, bodies)
        domain = self.ledger.domain
        receipt = promise(self.journal, entry.leaf, entry.index, entry.anchor_by, domain, self.key)
        return write_bundle(Bundle(domain, self.key.address, submit.signed, receipt, opening)).encode()


def _said(answer: bytes) -> tuple[Accepted, tuple[ChunkBody, ...]]:
    """What the node said about a job: its prompt, and the chunks. Raises `Misconfigured` for a damaged log."""
    accepted, bodies = list[Accepted](), list[ChunkBody]()
    while answer:
        end = HEADER_BYTES + decode_length(answer[:HEADER_BYTES])
        frame = FROM_NODE.decode(answer[HEADER_BYTES:end])
        if isinstance(frame, Accepted):
            accepted.append(frame)
        elif isinstance(frame, Streamed):
            bodies.append(frame.chunk.body)
        answer = answer[end:]
    if len(accepted) != 1:
        raise Misconfigured("An answer that is kept has no beginning.", remedy="Check it with `tallynet log fsck`.")
    return accepted[0], tuple(bodies)
