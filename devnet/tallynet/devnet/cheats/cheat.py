"""What every cheat of the ledger layer is: an ordinary node, and one thing that it does otherwise.

A cheat is honest for its first `honest` jobs. It replaces what it must through the three methods by which a `Node`
speaks of its past (`open_log`, `log_desk`, `anchoring`); nothing else knows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import trio

from tallynet.node.journal import Journal, Kept
from tallynet.node.service import Node
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Seconds

HONEST_JOBS = 2
MAX_HONEST_JOBS = 1_000_000


class JournalFace:
    """A journal as the node sees it; a cheat overrides what is a lie, all else is the honest journal's own."""

    def __init__(self, honest: Journal) -> None:
        self.honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self.honest, name)

    async def append(
        self, leaf: Leaf, anchor_by: Seconds, answer: bytes, expires: Seconds, kept: Kept | None = None
    ) -> int:
        return await self.honest.append(leaf, anchor_by, answer, expires, kept)


@dataclass
class CheatingNode(Node):
    """One node that will cheat."""

    honest: int = HONEST_JOBS
    """Jobs that it does honestly first; at least one."""

    kind: ClassVar[str]
    """Its name, on the command line and in reports."""
    about: ClassVar[str]
    """What it does, in a few words."""

    @contextmanager
    def open_log(self) -> Iterator[Journal]:
        with super().open_log() as journal:
            yield cast(Journal, self.face(journal))

    def face(self, journal: Journal) -> JournalFace:
        """What the node is given for its journal."""
        return JournalFace(journal)

    async def in_position(self) -> None:
        """Returns when the cheat needs nothing more than further jobs."""
        await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class LedgerCheat:
    """A kind of cheat, and when it begins."""

    node: type[CheatingNode]
    honest: int = HONEST_JOBS

    @property
    def kind(self) -> str:
        return self.node.kind

    @property
    def about(self) -> str:
        return self.node.about

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return f"{self.kind}:{self.honest}"

    @property
    def make(self) -> Callable[..., CheatingNode]:
        """Called as `Node` is."""
        return partial(self.node, honest=self.honest)
