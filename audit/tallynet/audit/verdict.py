"""What numbered checks find, one after the other, and what that comes to.

The common part of the verifications of chapters 6 to 8. The checks run up to the first that fails; each is heard of
as it ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from tallynet.protocol.bundle_checks import CheckResult, State
from tallynet.protocol.errors import Invalid

Fault = TypeVar("Fault", bound=Invalid)
"""The error of what is checked: `InvalidBundle` of a bundle."""

Say = Callable[[CheckResult], None]
"""Hears every result as it comes."""


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    PENDING = "pending"
    """Nothing is wrong, and something is not there yet."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[Fault]):
    """Everything that was found."""

    results: tuple[CheckResult, ...]
    """In order; ends with the failed one, if one failed."""
    failure: Fault | None
    """What failed, with both values, and the evidence."""

    @property
    def verdict(self) -> Verdict:
        if self.failure is not None:
            return Verdict.FAILED
        waiting = any(result.state is State.PENDING for result in self.results)
        return Verdict.PENDING if waiting else Verdict.OK

    def state(self, number: int) -> State | None:
        """How check `number` ended; None when it was not reached."""
        return next((result.state for result in self.results if result.number == number), None)


class Record(Generic[Fault]):
    """What has been found so far."""

    def __init__(self, names: Mapping[int, str], say: Say | None) -> None:
        """`names` has every check by its number, from 1 on without a gap."""
        self.results: list[CheckResult] = []
        self.failure: Fault | None = None
        self._names = names
        self._say = say

    def add(self, result: CheckResult) -> None:
        self.results.append(result)
        if self._say is not None:
            self._say(result)

    def fail(self, error: Fault) -> None:
        """`error` is the last result; one that names no check is of (1)."""
        self.failure = error
        number = error.check or 1
        self.add(CheckResult(number, self._names[number], State.FAILED, error.message))

    def skip_rest(self, why: str) -> None:
        """All checks after the last result are skipped."""
        for number in range(self.results[-1].number + 1, max(self._names) + 1):
            self.add(CheckResult(number, self._names[number], State.SKIPPED, why))
