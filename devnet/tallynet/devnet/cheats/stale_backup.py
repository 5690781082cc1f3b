"""Stale backup: the node's data is replaced by an old copy, and the node started again.

The honest program is stopped before it signs, even when its operator swears that the copy is the newest. The one that
ignores the stop promises places a second time.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import trio

from tallynet.devnet.cheats.cheat import CheatingNode, JournalFace
from tallynet.ledger import Head
from tallynet.node.anchoring import Anchoring
from tallynet.node.journal import Journal, Kept
from tallynet.node.log_file import adopt_log
from tallynet.node.service import Running
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Seconds

log = logging.getLogger(__name__)

LOST_JOBS = 2
"""So many jobs more are anchored before the copy is put back."""
POLL_SECONDS = 0.1


class CopiedJournal(JournalFace):
    """Copies the whole data folder just before the log outgrows `keep` entries."""

    def __init__(self, honest: Journal, folder: Path, copy: Path, keep: int) -> None:
        super().__init__(honest)
        self._folder = folder
        self._copy = copy
        self._keep = keep

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        if self.honest.size == self._keep and not self._copy.exists():
            await trio.to_thread.run_sync(shutil.copytree, self._folder, self._copy)
        return await super().append(leaf, anchor_by, answer, expires, kept)


@dataclass
class StaleBackup(CheatingNode):
    """Lives twice: up to the restoring of the copy, and after it."""

    kind: ClassVar[str] = "stale-backup"
    about: ClassVar[str] = "the node is started on an old copy of its log"
    restored: trio.Event = field(default_factory=trio.Event)
    """The second life has begun, or was refused."""

    def face(self, journal: Journal) -> JournalFace:
        return CopiedJournal(journal, self.config.data, self._copy, self.honest)

    async def run(self, *, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED) -> None:
        """Raises in its second life what stops it there."""
        async with trio.open_nursery() as first_life:
            first_life.start_soon(self._pull_the_plug, first_life.cancel_scope)
            task_status.started(await first_life.start(super().run))
        if self.stopping.is_set():
            return
        await trio.to_thread.run_sync(self._restore)
        log.warning("the log of %d entries is back", self.honest)
        try:
            async with trio.open_nursery() as second_life:
                await second_life.start(super().run)
                self.restored.set()
        finally:
            self.restored.set()

    async def in_position(self) -> None:
        await self.restored.wait()

    @property
    def _copy(self) -> Path:
        return self.config.data.with_name(f"{self.config.data.name}-copy")

    async def _pull_the_plug(self, life: trio.CancelScope) -> None:
        """End the first life when the contract has seen what the copy does not have."""
        while (await self.ledger.head(self.key.address)).size < self.honest + LOST_JOBS:
            await trio.sleep(POLL_SECONDS)
            if self.stopping.is_set():
                return
        life.cancel()

    def _restore(self) -> None:
        shutil.rmtree(self.config.data)
        shutil.copytree(self._copy, self.config.data)
        adopt_log(self.config.data)


class HeedlessAnchoring(Anchoring):
    """Does not look at the contract, and leaves it alone."""

    async def check_start(self) -> Head:
        return await self.ledger.head(self.key.address)

    async def look(self) -> None:
        await trio.lowlevel.checkpoint()

    async def anchor(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class IgnoredStop(StaleBackup):
    kind: ClassVar[str] = "stale-backup-ignored"
    about: ClassVar[str] = "the same, and the stop at the start is ignored"
    _lives: int = field(default=0, init=False)

    @contextmanager
    def open_log(self) -> Iterator[Journal]:
        self._lives += 1
        with super().open_log() as journal:
            yield journal

    def anchoring(self, journal: Journal) -> Anchoring:
        if self._lives == 1:
            return super().anchoring(journal)
        return HeedlessAnchoring(
            self.key, self.ledger, journal, self.metrics, self.clock,
            self.config.anchor_seconds, self.config.anchor_count,
        )  # fmt: skip
