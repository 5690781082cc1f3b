"""(6) A sampling audit as a file: every run that was drawn, what came of it, and what follows, signed by its auditor.

{"report": {"format": "tallynet-sample@v1", "says": "At most 4.9 % …", …, "runs": [{"index": 7, …}, …]},
 "signature": "0x…"}

There is one way to write such a file, and nothing else is read. Source: spec chapter 6, "Reports".
"""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.audit.judgement import Verdict
from tallynet.protocol import eip712
from tallynet.protocol.draw import MAX_DRAWN
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReport, InvalidSignature
from tallynet.protocol.job import MILLION
from tallynet.protocol.keys import Key, check_signed_by
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.units import Address, Digest, Signature, prefixed, printable
from tallynet.protocol.whole_file import read_whole, write_whole

MAX_REPORT_BYTES = 2**20
"""Largest file; 1024 runs need half of it."""
MAX_SAYS = 256

REPORT_TYPE = b"SampleReport(address auditor,bytes32 report)"
_REPORT_HASH = eip712.keccak(REPORT_TYPE)

Hex20 = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
Hex65 = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{130}\Z")]
_Count = Annotated[int, Meta(ge=0, le=MAX_DRAWN)]
_Rate = Annotated[int, Meta(ge=0, le=MILLION)]
_Block = Annotated[int, Meta(ge=0, lt=2**53)]


class Outcome(StrEnum):
    """What came of one run that was drawn."""

    PASS = "pass"
    SUSPECT = "suspect"
    FAIL = "fail"
    """The replay says that the run is not what was asked."""
    WITHHELD = "withheld"
    """The node does not show what it must, or what it shows does not hold: as bad as FAIL."""
    UNANSWERED = "unanswered"
    """The node was busy or out of reach: nobody is accused, and the bound counts it as bad."""
    NO_CONSENT = "no-consent"
    NOT_KEPT = "not-kept"
    OTHER_MODEL = "other-model"
    NOTHING = "nothing-generated"

    @property
    def judged(self) -> bool:
        """Whether the statement is about it."""
        return self in (Outcome.PASS, Outcome.SUSPECT, Outcome.FAIL, Outcome.WITHHELD, Outcome.UNANSWERED)

    @property
    def bad(self) -> bool:
        return self in (Outcome.FAIL, Outcome.WITHHELD)


class SampledRun(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry that was drawn."""

    index: Annotated[int, Meta(ge=0, lt=MAX_LOG_SIZE)]
    job: Hex32
    outcome: Outcome
    says: Annotated[str, Meta(max_length=MAX_SAYS)]
    """Why, in a sentence; empty where the outcome says it all."""


class SampleReport(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sampling audit. Nothing in it has been checked: see `sample_check`."""

    format: Literal["tallynet-sample@v1"] = "tallynet-sample@v1"
    says: Annotated[str, Meta(max_length=1024)]
    """For people; it follows from the rest."""
    chain_id: Annotated[int, Meta(ge=1, lt=2**53)]
    contract: Hex20
    node: Hex20
    model: Hex32
    auditor: Hex20
    at: Annotated[int, Meta(ge=0, lt=2**53)]
    """Seconds since the epoch, by the chain's clock."""
    size: Annotated[int, Meta(ge=1, lt=MAX_LOG_SIZE)]
    """Entries in the anchored log: the statement is about those."""
    root: Hex32
    anchor_block: _Block
    draw_block: _Block
    block_hash: Hex32
    """Of the block that drew."""
    confidence_millionths: _Rate
    wanted: Annotated[int, Meta(ge=1, le=MAX_DRAWN)]
    """Runs that were to be judged."""
    runs: Annotated[tuple[SampledRun, ...], Meta(max_length=MAX_DRAWN)]
    """Every entry that was looked at, in the order in which it was drawn."""
    together: Verdict
    """Of all runs that did not FAIL by themselves, as if they were one."""
    at_most_millionths: _Rate
    at_least_millionths: _Rate

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, Address(unhexed(self.contract)))

    @property
    def digest(self) -> Digest:
        """What the auditor signs."""
        body = Digest(hashlib.sha256(msgspec.json.encode(self)).digest())
        auditor = eip712.address(Address(unhexed(self.auditor)))
        return self.domain.digest(eip712.struct(_REPORT_HASH, auditor, body))

    def count(self, *outcomes: Outcome) -> int:
        return sum(run.outcome in outcomes for run in self.runs)


class SignedReport(Struct, frozen=True, forbid_unknown_fields=True):
    """A report as it is passed on."""

    report: SampleReport
    signature: Hex65


_DECODER = msgspec.json.Decoder(SignedReport)


def unhexed(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def sign_report(report: SampleReport, key: Key) -> SignedReport:
    """Raises ValueError when `key` is not the auditor's."""
    if prefixed(key.address) != report.auditor:
        raise ValueError("a report is signed by its auditor")
    return SignedReport(report, prefixed(key.sign(report.digest)))


def encode_report(signed: SignedReport) -> bytes:
    """The one text of it."""
    return msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"


def decode_report(data: bytes) -> SignedReport:
    """Read a report and check who signed it. Raises `InvalidReport`."""
    # (1) the file is a report, of at most 1 MiB, in its one form
    if len(data) > MAX_REPORT_BYTES:
        raise _malformed(f"it has more than {MAX_REPORT_BYTES} bytes")
    try:
        signed = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(printable(str(error))) from error
    if encode_report(signed) != data:
        raise _malformed("it is not written in the one way")
    _check_signature(signed)
    return signed


def read_report(path: Path) -> SignedReport:
    """Raises `Misconfigured` when there is no such file, `InvalidReport` when it is none."""
    return decode_report(read_whole(path, MAX_REPORT_BYTES, "report"))


def write_report(path: Path, signed: SignedReport) -> None:
    """Raises `Misconfigured` when it cannot be written."""
    write_whole(path, encode_report(signed), "report")


def _check_signature(signed: SignedReport) -> None:
    # (2) its auditor signed it
    try:
        signature = Signature(unhexed(signed.signature))
        check_signed_by(signed.report.digest, signature, Address(unhexed(signed.report.auditor)))
    except InvalidSignature as error:
        raise InvalidReport(f"the report is not its auditor's: {error.message}", check=2) from error


def _malformed(what: str) -> InvalidReport:
    return InvalidReport(f"this is no report: {what}", check=1)
