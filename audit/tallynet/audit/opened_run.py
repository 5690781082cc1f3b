"""(6) Asking a node for a run that was drawn: the bundle, or the reason why there is none, and whose fault that is.

A node that keeps back what it must show is counted as if the run were bad: else every bad run would be kept back.
"""

from dataclasses import dataclass, field

import trio

from tallynet.audit.sample_draw import DrawnLog
from tallynet.audit.sample_file import Outcome
from tallynet.audit.verify import verify_offline
from tallynet.ledger.ledger import Ledger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.errors import Busy, Invalid, InvalidFrame, InvalidOpening, Refused, Unreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.opening import (
    OpeningRequest,
    check_no_consent,
    open_parts,
    sign_opening_request,
)
from tallynet.protocol.sealing import SealKey
from tallynet.protocol.units import prefixed
from tallynet.protocol.wire import NoConsent, NotKept, SealedOpening

PATIENCE_SECONDS = 60.0
"""How long a node may be busy with one question."""


@dataclass(frozen=True, slots=True)
class Unopened:
    """There is no bundle."""

    outcome: Outcome
    says: str


@dataclass(frozen=True)
class Asking:
    """One auditor, one node, one draw."""

    reader: LogReader
    ledger: Ledger
    drawn: DrawnLog
    key: Key
    seal_key: SealKey = field(default_factory=SealKey.generate)
    patience_seconds: float = PATIENCE_SECONDS

    async def open(self, index: int, leaf: Leaf) -> Bundle | Unopened:
        """The run at entry `index`, its own checks made. Raises `ChainUnreachable`."""
        now = await self.ledger.now()
        request = self._request(index, leaf)
        try:
            answer = await self._ask(request)
            if isinstance(answer, NotKept):
                return self._not_kept(answer, index, now)
            if isinstance(answer, NoConsent):
                check_no_consent(answer.words, leaf.job, self.ledger.domain)
                return Unopened(Outcome.NO_CONSENT, "the job gives no consent to be audited")
            return self._bundle(answer, request, leaf)
        except (Invalid, Refused) as error:
            return Unopened(Outcome.WITHHELD, str(error))
        except (Unreachable, Busy) as error:
            return Unopened(Outcome.UNANSWERED, str(error))

    def _request(self, index: int, leaf: Leaf) -> OpeningRequest:
        draw = self.drawn.draw
        return OpeningRequest(
            self.key.address, draw.node, leaf.job, index, draw.size, draw.block_hash, self.seal_key.public
        )

    async def _ask(self, request: OpeningRequest) -> list[bytes] | NoConsent | NotKept:
        """All sealed parts, in order. Raises `Busy` when the node is so for longer than the patience."""
        parts, count = list[bytes](), 1
        while len(parts) < count:
            answer = await self._part(request, len(parts))
            if not isinstance(answer, SealedOpening):
                return answer
            if parts and answer.parts != count:
                raise InvalidFrame(f"the opening has {count} parts, and then {answer.parts}")
            count = answer.parts
            parts.append(answer.sealed)
        return parts

    async def _part(self, request: OpeningRequest, part: int) -> SealedOpening | NoConsent | NotKept:
        signed = sign_opening_request(request, self.ledger.domain, self.key)
        until = trio.current_time() + self.patience_seconds
        while True:
            try:
                return await self.reader.opening(signed, part)
            except Busy as error:
                pause = error.retry_after_ms / 1000
                if trio.current_time() + pause > until:
                    raise
                await trio.sleep(pause)

    def _not_kept(self, answer: NotKept, index: int, now: int) -> Unopened:
        until = self.drawn.kept_until(index)
        # (1) an opening is kept for its time
        if now < until:
            return Unopened(Outcome.WITHHELD, f"(1) no longer kept, {until - now} s before its time is over")
        return Unopened(Outcome.NOT_KEPT, f"no longer kept; this node keeps {answer.kept_seconds} s")

    def _bundle(self, parts: list[bytes], request: OpeningRequest, leaf: Leaf) -> Bundle:
        """Raises `InvalidOpening`, or what is wrong with the bundle."""
        # (2) what is sent opens with the auditor's key
        data = open_parts(parts, request, self.ledger.domain, self.seal_key)
        # (3) it is a bundle whose own checks hold, of this chain and contract
        verification = verify_offline(data, self.ledger.domain)
        if verification.failure is not None:
            raise InvalidOpening(f"the opening is no sound bundle: {verification.failure}", check=3)
        bundle = verification.bundle
        assert bundle is not None
        # (4) it opens the whole run that was asked for: its node, its place, its leaf
        receipt = bundle.receipt
        found = (bundle.node, receipt.receipt.index, receipt.leaf)
        if found != (request.node, request.index, leaf.pack()) or not isinstance(bundle.opening, Whole):
            raise InvalidOpening(
                f"asked for entry {request.index}, job {prefixed(leaf.job)}; got entry {receipt.receipt.index} of node "
                f"{prefixed(bundle.node)}, job {prefixed(receipt.receipt.job)}",
                check=4,
            )
        return bundle
