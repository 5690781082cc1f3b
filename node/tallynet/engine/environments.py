"""A leaf names its node's environment by a digest: which of the environments that are possible here has it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tallynet.engine.engine import runtime_digest
from tallynet.engine.hardware import DTYPES, Hardware, describe
from tallynet.protocol.units import Digest

ATTENTION = ("sdpa", "eager")
MOST_SLOTS = 256


@dataclass(frozen=True, slots=True)
class Environment:
    """What a node ran on, where it is also to be had here."""

    hardware: Hardware
    attention: str
    slots: int
    threads: int

    @property
    def runtime(self) -> Digest:
        return runtime_digest(describe(self.hardware, self.attention, slots=self.slots, threads=self.threads))


def find_environment(runtime: Digest, device: torch.device) -> Environment | None:
    """The environment of that digest on `device`, with the versions installed here; None when it is another one."""
    return next((one for one in _possible(device) if one.runtime == runtime), None)


def _possible(device: torch.device) -> Iterator[Environment]:
    for slots in sorted(range(1, MOST_SLOTS + 1), key=lambda count: (count != 16, count.bit_count(), count)):
        for threads in range(1, (os.cpu_count() or 1) + 1):
            for dtype in DTYPES.values():
                for attention in ATTENTION:
                    yield Environment(Hardware(device, dtype), attention, slots, threads)
