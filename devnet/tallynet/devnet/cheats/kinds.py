"""All cheats that a node of a devnet can be given, by name."""

from dataclasses import dataclass
from typing import ClassVar, Final

from tallynet.devnet.cheats.altered_leaf import AlteredLeaf
from tallynet.devnet.cheats.cheat import MAX_HONEST_JOBS, CheatingNode, LedgerCheat
from tallynet.devnet.cheats.double_index import DoubleIndex
from tallynet.devnet.cheats.dropped_leaf import DroppedLeaf
from tallynet.devnet.cheats.engine_node import ENGINE_NODES
from tallynet.devnet.cheats.forked_checkpoint import ForkedCheckpoint
from tallynet.devnet.cheats.late_anchor import LateAnchor
from tallynet.devnet.cheats.stale_backup import IgnoredStop, StaleBackup
from tallynet.devnet.cheats.withheld_tiles import WithheldTiles
from tallynet.devnet.tampering import ALTERED_ANSWER, TamperingTransport
from tallynet.protocol.errors import Misconfigured


@dataclass
class AlteredAnswer(CheatingNode):
    """The cheat of `tampering` as a node of its own."""

    kind: ClassVar[str] = ALTERED_ANSWER.kind
    about: ClassVar[str] = ALTERED_ANSWER.about

    def __post_init__(self) -> None:
        self.transport = TamperingTransport(self.transport, ALTERED_ANSWER)


LEDGER: Final[tuple[type[CheatingNode], ...]] = (
    LateAnchor,
    DroppedLeaf,
    AlteredLeaf,
    DoubleIndex,
    ForkedCheckpoint,
    WithheldTiles,
    StaleBackup,
    IgnoredStop,
)
"""Those of the ledger layer."""

ALL: Final[tuple[type[CheatingNode], ...]] = (AlteredAnswer, *LEDGER, *ENGINE_NODES)
KINDS: Final[dict[str, type[CheatingNode]]] = {node.kind: node for node in ALL}
LAYERS: Final[dict[str, tuple[type[CheatingNode], ...]]] = {"ledger": LEDGER}


def read_cheat(text: str) -> LedgerCheat:
    """`KIND` or `KIND:N`, N being the jobs that are done honestly first. Raises `Misconfigured`."""
    kind, stated, number = text.partition(":")
    if kind not in KINDS:
        raise Misconfigured(f"There is no cheat {kind!r}.", remedy=f"There are: {', '.join(KINDS)}.")
    if not stated:
        return LedgerCheat(KINDS[kind])
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= MAX_HONEST_JOBS):
        raise Misconfigured(
            f"{number!r} is no number of honest jobs.", remedy=f"Write {kind}:3 for a cheat from the fourth job on."
        )
    return LedgerCheat(KINDS[kind], int(number))


def read_casting(text: str, nodes: int) -> tuple[int, LedgerCheat]:
    """`node-2=KIND[:N]`: which node, counted from 0, and what it does. Raises `Misconfigured`."""
    name, stated, cheat = text.partition("=")
    names = [f"node-{number + 1}" for number in range(nodes)]
    if not stated or name not in names:
        raise Misconfigured(
            f"{text!r} gives no node a cheat.", remedy=f"Write NODE=KIND, with a NODE out of {', '.join(names)}."
        )
    return names.index(name), read_cheat(cheat)
