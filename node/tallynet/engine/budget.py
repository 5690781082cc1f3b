"""Several models in one memory: how long a context each may have, found out by a process of its own.

Planning (`joint_plan.py`) imports torch, which a node's own process never does.
"""

import subprocess
import sys
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tallynet.engine.line import Failed, error_of
from tallynet.protocol.errors import Unreachable


class Wish(Struct, frozen=True):
    """One model as its operator wants it."""

    spec: str
    """A directory or a hub id."""
    device: str
    dtype: str
    slots: int
    context_length: int | None
    """In tokens; None for as long as the model can hold and all of them fit."""


class Contexts(Struct, frozen=True, tag=True):
    """A context length for each wish, in tokens."""

    lengths: list[int]


_ANSWER: msgspec.json.Decoder[Contexts | Failed] = msgspec.json.Decoder(Contexts | Failed)


def plan_apart(wishes: Sequence[Wish]) -> list[int]:
    """The context length of each. Blocks for as long as torch takes to be imported.

    Raises `Misconfigured` when they do not fit together or one is no model, `Unreachable` for a hub id that cannot be
    fetched now.
    """
    command = [sys.executable, "-m", "tallynet.engine.joint_plan", msgspec.json.encode(wishes).decode()]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    try:
        answer = _ANSWER.decode(done.stdout)
    except msgspec.DecodeError as error:
        raise Unreachable(
            f"the process that plans the memory ended with code {done.returncode}", remedy="Read above what it said."
        ) from error
    if isinstance(answer, Failed):
        raise error_of(answer)
    return answer.lengths
