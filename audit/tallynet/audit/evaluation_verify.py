"""(6) Is this report of an evaluation sound? Checks (1) to (14) of spec chapter 8, up to the first that fails.

(1) to (9) are `tallynet.evaluation`'s and need nothing but the file; (10) to (14) are about its closing run and the
places of all runs in the logs. What none of this proves is said in `not_proven`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tallynet.audit.anchoring import Chain, check_head, check_in_time, check_known, complete, read_anchors
from tallynet.audit.evaluation_places import check_places
from tallynet.audit.verdict import Checked, Record, Say
from tallynet.evaluation.report import Report, anchor_closing, decode_report
from tallynet.evaluation.report_checks import NAMES, Opened, check_report, fault, passed
from tallynet.protocol.bundle import AnchorRef, Bundle
from tallynet.protocol.bundle_checks import CheckResult, State, check_inclusion
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle, InvalidReport


@dataclass(frozen=True, slots=True)
class ReportVerification(Checked[InvalidReport]):
    """Everything that was found about a report."""

    report: Report | None
    """Completed where it could be; None when not even check (1) held."""
    opened: Opened | None
    completed: bool
    """Whether `report` has an anchor that the file does not have."""


def verify_report_offline(data: bytes, domain: Domain | None, say: Say) -> ReportVerification:
    """Checks (1) to (10), with nothing but the file and the `domain` of a trusted network."""
    record = _Record(say)
    with record.until_failure():
        opened = record.check_file(data, domain)
        record.check_closing(opened.closing)
        record.skip_rest("offline")
    return record.verification()


async def verify_report_online(data: bytes, chain: Chain, say: Say) -> ReportVerification:
    """All checks, against the chain and contract of `chain`.

    Raises `Unreachable` or `Refused` when the chain, or the node of a closing run without anchor, does not help.
    """
    record = _Record(say)
    with record.until_failure():
        opened = record.check_file(data, chain.ledger.domain)
        closing = await record.complete_closing(opened.closing, chain)
        record.check_closing(closing)
        if closing.inclusion is not None:
            await record.check_anchor(closing, closing.inclusion.anchor, chain)
            record.add(await check_places(opened.runs, chain))
        record.skip_rest("no anchor yet")
    return record.verification()


def not_proven(verification: ReportVerification) -> Sequence[str]:
    """What remains open, each as the end of the sentence "it is not proven …"."""
    found = [
        "that the model gave these answers: `tallynet audit evaluate` makes the runs again",
        "that this was the only try: who evaluates can ask twice, and show one report",
        "that the suite measures what its name says, or what the model does elsewhere",
        "who stands behind the keys of the evaluator and the nodes",
    ]
    if verification.state(2) is not State.OK:
        found.append("that chain and contract are the ones you mean: they are the file's word")
    if verification.state(11) is not State.OK:
        found.append("when the report was made: its anchor was not looked up on the chain")
    if verification.state(14) is not State.OK:
        found.append("that all runs stay in their nodes' logs: that was not looked up")
    return found


class _Record(Record[InvalidReport]):
    """What has been found so far."""

    def __init__(self, say: Say) -> None:
        super().__init__(NAMES, say)
        self._report: Report | None = None
        self._opened: Opened | None = None
        self._completed = False

    def check_file(self, data: bytes, domain: Domain | None) -> Opened:
        """Checks (1) to (9)."""
        self._report = decode_report(data)
        self.add(passed(1, f"{len(data)} bytes"))
        self._opened = check_report(self._report, domain, self.add)
        return self._opened

    async def complete_closing(self, closing: Bundle, chain: Chain) -> Bundle:
        """The closing run with its anchor, if there is one by now."""
        if closing.inclusion is not None:
            return closing
        found = await complete(closing, chain)
        if found.inclusion is not None and self._report is not None:
            self._report, self._completed = anchor_closing(self._report, found), True
        return found

    def check_closing(self, closing: Bundle) -> None:
        # (10) the closing run is in a log that its node signed
        try:
            result = check_inclusion(closing)
        except InvalidBundle as error:
            raise fault(10, f"the closing run: {error.message}", error) from error
        self.add(CheckResult(10, NAMES[10], result.state, result.detail))

    async def check_anchor(self, closing: Bundle, anchor: AnchorRef, chain: Chain) -> None:
        """Checks (11) to (13): those of a bundle, with the same numbers."""
        anchors = await read_anchors(chain.ledger, closing.node)
        # (11) the contract knows the anchor of the closing run, and all of it is as the file says
        self.add(check_known(anchors, anchor))
        # (12) the first anchor that covers the closing run came by the promised time
        self.add(check_in_time(anchors, closing))
        # (13) the contract's present head of that node is this anchor or a longer log
        self.add(await check_head(closing.node, anchor, chain.ledger))

    @contextmanager
    def until_failure(self) -> Iterator[None]:
        """The first check that fails ends the block, and is the last result."""
        try:
            yield
        except InvalidReport as error:
            self.fail(error)
        except InvalidBundle as error:  # of the closing run: (9), its path from the log, is (10) here
            number = 10 if error.check == 9 else error.check or 11
            self.fail(fault(number, f"the closing run: {error.message}", error))

    def verification(self) -> ReportVerification:
        return ReportVerification(tuple(self.results), self.failure, self._report, self._opened, self._completed)
