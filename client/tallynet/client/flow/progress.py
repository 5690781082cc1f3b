"""What is told of a flow while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    WAITING = "waiting"
    """For steps that it builds on."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A step, as it stands now."""

    step: str
    state: StepState
    done: int = 0
    """Runs that are finished."""
    asked: int = 0
    """Runs that are known to be needed so far."""
    said: str = ""
    """How it was decided, or why it failed."""


Tell = Callable[[StepProgress], None]


def tell_nobody(_progress: StepProgress) -> None:
    """The `Tell` of whoever does not look."""
