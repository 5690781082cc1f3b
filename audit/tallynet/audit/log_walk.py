"""(6) Reading a node's log from its tiles, entry bundle by entry bundle: checks (2) to (4), (10) and (11) of spec
chapter 6, "A whole log"; what an entry itself must be is in `history`.

Bundles are fetched ahead. They are checked in the loop's own thread, some 20 ms each: a second thread that waits for
the interpreter's lock at every signature costs half as much again, and gains no time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tallynet.audit.audit_state import AuditState, state_of
from tallynet.audit.evidence import Suspect
from tallynet.audit.fetching import ask_ahead
from tallynet.audit.history import CONVICTED, History
from tallynet.audit.tile_rows import Rows, TileRows
from tallynet.ledger.ledger import Anchor
from tallynet.network.log_reader import LogReader
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint
from tallynet.protocol.errors import Invalid, InvalidCheckpoint, InvalidProof, Refused
from tallynet.protocol.merkle_tree import Frontier
from tallynet.protocol.note import read_checkpoint_note
from tallynet.protocol.tiles import TILE_WIDTH, Tile, bundles
from tallynet.protocol.units import Address, Seconds, prefixed

Progress = Callable[[int, int], None]
"""Hears (entries checked, entries in the log) after every bundle."""
KEEP_SECONDS = 30.0
"""Between two states kept."""

WITHHELD = (
    "Ask again; a node that goes on like this withholds a log that it answers for: "
    "`tallynet audit challenge NODE INDEX` asks for an entry in public."
)


class LogWalk:
    """One way through a log, from entry 0 or from where an earlier one stopped."""

    signed: SignedCheckpoint | None = None
    """What the node says its log is, once it was asked."""

    def __init__(
        self, suspect: Suspect, anchors: Sequence[Anchor], begun: AuditState | None, progress: Progress | None
    ) -> None:
        start = Frontier.from_bytes(begun.frontier) if begun else Frontier.empty()
        self.history = History(anchors, start, begun.job_ids() if begun else ())
        self.begun = start.size
        self._suspect = suspect
        self._anchors = anchors
        self._rows = TileRows(begun.rows if begun else (), start.size)
        self._settled: tuple[Frontier, Rows] = start, self._rows.rows
        self._progress = progress
        self._misfit: Tile | None = None

    async def read(self, reader: LogReader, peer: Address, keep: Callable[[], None]) -> None:
        """Read up to the node's newest checkpoint. `peer` is who answers; `keep` is called every KEEP_SECONDS.

        Raises `Invalid` at the first thing that is wrong.
        """
        async with reader.many_questions():
            await self._read(reader, peer, keep)

    async def _read(self, reader: LogReader, peer: Address, keep: Callable[[], None]) -> None:
        self.signed = await _checkpoint(reader, self._suspect, peer)
        checkpoint = self.signed.checkpoint
        _check_not_behind(checkpoint, self._anchors)
        await self._read_bundles(reader, checkpoint.size, keep)
        _check_root(self.history, checkpoint)
        for tile, expected in self._rows.partial():
            if tile.level:
                self._compare(tile, expected, await _hashes(reader, tile))
        self._check_tiles()

    def state(self) -> AuditState:
        """From where another walk could go on."""
        frontier, rows = self._settled
        jobs = b"".join(self.history.jobs(frontier.size))
        now, suspect = Seconds(int(time.time())), self._suspect
        return state_of(suspect.domain, suspect.node, now, frontier, rows, self._anchors, jobs)

    async def _read_bundles(self, reader: LogReader, size: int, keep: Callable[[], None]) -> None:
        async def ask(bundle: Tile) -> tuple[Tile, Sequence[bytes], bytes]:
            tile = Tile(0, bundle.index, bundle.width)
            return tile, await _entries(reader, bundle, size), await _hashes(reader, tile)

        kept_at = time.monotonic()
        async with ask_ahead(ask, bundles(size, self.history.entries_checked)) as pages:
            async for tile, entries, hashes in pages:
                for above, expected in self._extend(tile, entries, hashes):
                    self._compare(above, expected, await _hashes(reader, above))
                if self._progress is not None:
                    self._progress(self.history.entries_checked, size)
                if time.monotonic() - kept_at > KEEP_SECONDS:
                    keep()
                    kept_at = time.monotonic()

    def _extend(self, tile: Tile, entries: Sequence[bytes], hashes: bytes) -> list[tuple[Tile, bytes]]:
        """Check one bundle and the tile right above it; gives the tiles further above that it completes."""
        leaves = self.history.extend(entries)
        self._compare(tile, b"".join(leaves), hashes)
        above = [(full, expected) for full, expected in self._rows.extend(leaves) if full.level]
        frontier = self.history.frontier
        if tile.width == TILE_WIDTH and self._anchors and frontier.size <= self._anchors[-1].size:
            self._settled = frontier, self._rows.rows
        return above

    def _compare(self, tile: Tile, expected: bytes, shown: bytes) -> None:
        """Remembers the first tile that does not fit; what is wrong with entries is worse and comes first."""
        if shown != expected and self._misfit is None:
            self._misfit = tile

    def _check_tiles(self) -> None:
        # (11) the tiles of hashes tell of the same entries
        if self._misfit is not None:
            raise InvalidProof(
                f"{self._misfit} does not hold the hashes of the entries shown",
                check=11,
                evidence={"tile": self._misfit},
                remedy=CONVICTED,
            )


async def _checkpoint(reader: LogReader, suspect: Suspect, peer: Address) -> SignedCheckpoint:
    # (2) the node itself signed the head of the log that is shown, with both its keys
    with _failing(2, "the node gives no checkpoint that holds"):
        if peer != suspect.node:
            raise InvalidCheckpoint(f"the peer asked is {prefixed(peer)}, not {prefixed(suspect.node)}")
        return read_checkpoint_note(await reader.checkpoint_note(), suspect.domain, suspect.node)


def _check_not_behind(checkpoint: Checkpoint, anchors: Sequence[Anchor]) -> None:
    for anchor in anchors:
        # (3) the checkpoint covers all that was anchored, and does not contradict it
        contradicts = anchor.size == checkpoint.size and anchor.root != checkpoint.root
        if anchor.size > checkpoint.size or contradicts:
            raise InvalidCheckpoint(
                f"the node signed a log of {checkpoint.size} entries with root {checkpoint.root.hex()}, and anchored "
                f"one of {anchor.size} with root {anchor.root.hex()} in block {anchor.block}",
                check=3,
                evidence={"checkpoint": checkpoint, "anchor": anchor},
                remedy=CONVICTED,
            )


async def _entries(reader: LogReader, bundle: Tile, size: int) -> Sequence[bytes]:
    # (4) every entry is shown
    with _failing(4, f"entry {bundle.start} of {size} is not shown"):
        return await reader.entry_bundle(bundle.index, bundle.width)


async def _hashes(reader: LogReader, tile: Tile) -> bytes:
    with _failing(11, f"{tile} is not shown"):
        return await reader.file(str(tile))


def _check_root(history: History, checkpoint: Checkpoint) -> None:
    # (10) the entries lead to the root of the checkpoint
    if history.root != checkpoint.root:
        raise InvalidCheckpoint(
            f"the {checkpoint.size} entries have root {history.root.hex()}, the node signed {checkpoint.root.hex()}",
            check=10,
            evidence={"checkpoint": checkpoint, "computed": history.root},
            remedy=CONVICTED,
        )


@contextmanager
def _failing(number: int, what: str) -> Iterator[None]:
    """Turns what a node answers wrongly, or refuses to answer, into the failure of check `number`."""
    try:
        yield
    except Invalid as error:
        raise InvalidCheckpoint(
            f"{what}: {error.message}", check=number, evidence=error.evidence, remedy=WITHHELD
        ) from error
    except Refused as error:
        raise InvalidCheckpoint(f"{what}: {error.message}", check=number, remedy=WITHHELD) from error
