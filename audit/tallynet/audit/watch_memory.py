"""(6) What a watch remembers between rounds: checkpoints that no anchor has confirmed yet, and what was said already.

One JSON file a network, written whole after every round. Losing it costs what was signed before, and no safety.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from tallynet.protocol.checkpoint import SignedCheckpoint
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Address, prefixed
from tallynet.protocol.whole_file import write_whole

MAX_MEMORY_BYTES = 2**26
MAX_CHECKPOINTS = 1024
"""Of one node: more than it signs between two anchors, one a round."""
MAX_SAID = 4096
"""Findings remembered of one node, so that each is told once."""

_Bounded = Annotated[list[SignedCheckpoint], Meta(max_length=MAX_CHECKPOINTS)]


class NodeMemory(Struct, forbid_unknown_fields=True):
    """What is known of one node."""

    checkpoints: _Bounded = field(default_factory=list)
    """Signed by it, not yet seen to be a prefix of the anchored log; oldest first."""
    largest: SignedCheckpoint | None = None
    """The largest that it ever showed."""
    anchored: Annotated[int, Meta(ge=0)] = 0
    """Size of the last anchor that was told."""
    said: Annotated[list[str], Meta(max_length=MAX_SAID)] = field(default_factory=list)
    """Findings that were told."""

    def add(self, signed: SignedCheckpoint) -> None:
        """Remember a checkpoint; the oldest gives way when there are too many."""
        if any(known.checkpoint == signed.checkpoint for known in self.checkpoints):
            return
        self.checkpoints = [*self.checkpoints, signed][-MAX_CHECKPOINTS:]

    def forget(self, settled: list[SignedCheckpoint]) -> None:
        self.checkpoints = [signed for signed in self.checkpoints if signed not in settled]

    def tell(self, key: str) -> bool:
        """Whether this is news; it is not from then on."""
        if key in self.said:
            return False
        self.said = [*self.said, key][-MAX_SAID:]
        return True

    def resolve(self, still: Collection[str]) -> None:
        """Forget the conditions, keys with a `?`, that hold no longer: they are news when they come back."""
        self.said = [key for key in self.said if not key.startswith("?") or key in still]


class Memory(Struct, forbid_unknown_fields=True):
    """What is known of a network."""

    chain_id: int
    contract: str
    block: int = 0
    """Slashings up to it were told."""
    nodes: dict[str, NodeMemory] = field(default_factory=dict)
    """By the node's address, 0x…."""

    def of(self, node: Address) -> NodeMemory:
        return self.nodes.setdefault(prefixed(node), NodeMemory())


_DECODER = msgspec.json.Decoder(Memory)


def read_memory(path: Path, domain: Domain) -> Memory:
    """What was remembered; nothing when there is no such file.

    Raises `Misconfigured` for a file that is something else, or of another network.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MEMORY_BYTES + 1)
        memory = _DECODER.decode(data)
    except FileNotFoundError:
        return Memory(domain.chain_id, prefixed(domain.contract))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _useless(path, str(error)) from error
    if (memory.chain_id, memory.contract) != (domain.chain_id, prefixed(domain.contract)):
        raise _useless(path, f"it is about contract {memory.contract} on chain {memory.chain_id}")
    return memory


def write_memory(path: Path, memory: Memory) -> None:
    """Raises `Misconfigured` when it cannot be written."""
    write_whole(path, msgspec.json.encode(memory), "memory of the watch")


def _useless(path: Path, why: str) -> Misconfigured:
    return Misconfigured(
        f"The file {path} is not what a watch of this network remembers: {why}.",
        remedy="Name another file with --state, or remove this one to begin anew.",
    )
