"""(6) Is this bundle sound? Checks (1) to (13) of spec chapter 6, in order, up to the first that fails.

(1) to (10) need nothing but the file, (11) to (13) the chain. A bundle that is not anchored yet is completed from
the chain and the node's log on the way. What none of this proves is said in `claims`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tallynet.audit.anchoring import Chain, check_head, check_in_time, check_known, complete, read_anchors
from tallynet.protocol.bundle import Bundle, BundleFile, parse_bundle
from tallynet.protocol.bundle_checks import (
    NAMES,
    CheckResult,
    State,
    check_inclusion,
    check_statements,
    passed,
    skipped,
)
from tallynet.protocol.bundle_link import unwrap
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.units import short

Say = Callable[[CheckResult], None]
"""Hears every result as it comes."""


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    PENDING = "pending"
    """Nothing is wrong, and something is not there yet."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was found."""

    results: tuple[CheckResult, ...]
    """In order; ends with the failed one, if one failed."""
    bundle: Bundle | None
    """Completed where it could be; None when not even check (1) held."""
    completed: bool
    """Whether `bundle` has an anchor that the file does not have."""
    failure: InvalidBundle | None
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


def verify_offline(data: bytes, domain: Domain | None = None, say: Say | None = None) -> Verification:
    """Checks (1) to (10), with nothing but the file, or a link that holds it, and the `domain` of a trusted network."""
    record = _Record(say)
    with record.failure():
        file = record.check_file(data, domain)
        record.add(check_inclusion(file.bundle))
        record.check_unchanged(file)
        record.skip_rest("offline")
    return record.verification()


async def verify_online(data: bytes, chain: Chain, say: Say | None = None) -> Verification:
    """All checks, against the chain and contract of `chain`.

    Raises `Unreachable` or `Refused` when chain or node do not help: nothing is then known about the bundle.
    """
    record = _Record(say)
    with record.failure():
        file = record.check_file(data, chain.ledger.domain)
        bundle = record.bundle = file.bundle if file.bundle.inclusion else await complete(file.bundle, chain)
        record.add(check_inclusion(bundle))
        record.check_unchanged(file)
        if bundle.inclusion is not None:
            anchors = await read_anchors(chain.ledger, bundle.node)
            record.add(check_known(anchors, bundle.inclusion.anchor))
            record.add(check_in_time(anchors, bundle))
            record.add(await check_head(bundle.node, bundle.inclusion.anchor, chain.ledger))
        record.skip_rest("no anchor yet")
    return record.verification()


class _Record:
    """What has been found so far."""

    def __init__(self, say: Say | None) -> None:
        self.bundle: Bundle | None = None
        self._written: Bundle | None = None
        self._say = say
        self._results: list[CheckResult] = []
        self._failure: InvalidBundle | None = None

    def add(self, result: CheckResult) -> None:
        self._results.append(result)
        if self._say is not None:
            self._say(result)

    def check_file(self, data: bytes, domain: Domain | None) -> BundleFile:
        """Checks (1) to (8)."""
        data = unwrap(data)
        file = parse_bundle(data)
        self.bundle = self._written = file.bundle
        self.add(passed(1, f"{len(data)} bytes"))
        for result in check_statements(file.bundle, domain):
            self.add(result)
        return file

    def check_unchanged(self, file: BundleFile) -> None:
        """Check (10), after those that can say more exactly what changed."""
        file.check_unchanged()
        self.add(passed(10, f"SHA-256 {short(file.stated)}"))

    def skip_rest(self, why: str) -> None:
        last = self._results[-1].number
        for number in range(last + 1, max(NAMES) + 1):
            self.add(skipped(number, why))

    @contextmanager
    def failure(self) -> Iterator[None]:
        """The first check that fails ends the block, and is the last result."""
        try:
            yield
        except InvalidBundle as error:
            self._failure = error
            number = error.check or 1
            self.add(CheckResult(number, NAMES[number], State.FAILED, error.message))

    def verification(self) -> Verification:
        completed = self.bundle is not self._written
        return Verification(tuple(self._results), self.bundle, completed, self._failure)
