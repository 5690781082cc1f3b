"""(6) Is this bundle sound? Checks (1) to (13) of spec chapter 6, in order, up to the first that fails.

(1) to (10) need nothing but the file, (11) to (13) the chain. A bundle that is not anchored yet is completed from
the chain and the node's log on the way. What none of this proves is said in `claims`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tallynet.audit.anchoring import Chain, check_head, check_in_time, check_known, complete, read_anchors
from tallynet.audit.verdict import Checked, Record, Say
from tallynet.protocol.bundle import Bundle, BundleFile, parse_bundle
from tallynet.protocol.bundle_checks import NAMES, check_inclusion, check_statements, passed
from tallynet.protocol.bundle_link import unwrap
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.units import short


@dataclass(frozen=True, slots=True)
class Verification(Checked[InvalidBundle]):
    """Everything that was found about a bundle."""

    bundle: Bundle | None
    """Completed where it could be; None when not even check (1) held."""
    completed: bool
    """Whether `bundle` has an anchor that the file does not have."""


def verify_offline(data: bytes, domain: Domain | None = None, say: Say | None = None) -> Verification:
    """Checks (1) to (10), with nothing but the file, or a link that holds it, and the `domain` of a trusted network."""
    record = _Record(say)
    with record.until_failure():
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
    with record.until_failure():
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


class _Record(Record[InvalidBundle]):
    """What has been found so far."""

    def __init__(self, say: Say | None) -> None:
        super().__init__(NAMES, say)
        self.bundle: Bundle | None = None
        self._written: Bundle | None = None

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

    @contextmanager
    def until_failure(self) -> Iterator[None]:
        """The first check that fails ends the block, and is the last result."""
        try:
            yield
        except InvalidBundle as error:
            self.fail(error)

    def verification(self) -> Verification:
        completed = self.bundle is not self._written
        return Verification(tuple(self.results), self.failure, self.bundle, completed)
