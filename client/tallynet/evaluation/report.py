"""An evaluation as a file: the suite, every run with its opening, the numbers, and the run that dates all of it.

{"evaluation": {"format": "tallynet-evaluation@v1", "suite": {…}, "runs": [{"part": "capitals", …}, …], …},
 "closing": "tallynet-bundle@v2 …"}

There is one way to write such a file, and nothing else is read. The closing run is one more job of the same client,
whose request is the digest of the evaluation: its node logs it and the contract witnesses that log, as with every run.
Source: spec chapter 8, "Reports".
"""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.evaluation.figures import Metric
from tallynet.evaluation.questions import Side
from tallynet.evaluation.suite import MAX_ITEMS, Name, Suite
from tallynet.protocol.bundle import MAX_BUNDLE_BYTES, Bundle, write_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidReport
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address, Digest, prefixed, printable

SUFFIX = ".report.tally"
MAGIC = b'{\n  "evaluation": {\n'
"""What every report begins with."""
MAX_REPORT_BYTES = 64 * 2**20
MAX_RUNS = 2 * MAX_ITEMS
MAX_METRICS = 64
REMEDY = "Do not rely on this copy: ask its evaluator for the file, or run the suite yourself."

Hex20 = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]
BundleText = Annotated[str, Meta(max_length=MAX_BUNDLE_BYTES)]


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to one question."""

    part: Name
    item: Annotated[int, Meta(ge=0, lt=MAX_ITEMS)]
    side: Side
    job: Hex32
    output: Hex32
    """Commitment of the output."""
    bundle: BundleText
    """Signed job, receipt and opening, without an anchor."""


class Evaluation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the closing run commits to. Nothing in it has been checked: see `report_checks`."""

    format: Literal["tallynet-evaluation@v1"] = "tallynet-evaluation@v1"
    software: Annotated[str, Meta(max_length=200)]
    """What computed the numbers; for people."""
    chain_id: Annotated[int, Meta(ge=1, lt=2**53)]
    contract: Hex20
    client: Hex20
    """Who evaluated: the client of all runs."""
    model: Hex32
    model_name: Annotated[str, Meta(min_length=1, max_length=128)]
    """What the evaluator calls it."""
    nodes: Annotated[tuple[Hex20, ...], Meta(min_length=1, max_length=MAX_RUNS)]
    """Who answered, in the order of the addresses."""
    suite_digest: Hex32
    suite: Suite
    limit: Annotated[int, Meta(ge=0, le=MAX_ITEMS)]
    """Items of each part that were asked, the first ones; 0 for all."""
    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1, max_length=MAX_METRICS)]
    runs: Annotated[tuple[Run, ...], Meta(min_length=1, max_length=MAX_RUNS)]
    """One for each question, in their order."""

    @property
    def domain(self) -> Domain:
        """Chain and contract, by the report's own word."""
        return Domain(self.chain_id, Address(bytes.fromhex(self.contract[2:])))

    @property
    def digest(self) -> Digest:
        """SHA-256 of its JSON without spaces: what the closing run names."""
        return Digest(hashlib.sha256(msgspec.json.encode(self)).digest())


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """An evaluation with the run that commits to it."""

    evaluation: Evaluation
    closing: BundleText
    """Whole, with its anchor as soon as there is one."""


_DECODER = msgspec.json.Decoder(Report)


def closing_request(digest: Digest) -> Request:
    """What the closing run asks: nothing but to be logged. A model may say to it what it likes."""
    return Request(text=f"tallynet-evaluation@v1 {prefixed(digest)}")


def anchor_closing(report: Report, closing: Bundle) -> Report:
    """The report with the same closing run, which has its anchor by now."""
    return msgspec.structs.replace(report, closing=write_bundle(closing))


def encode_report(report: Report) -> bytes:
    """The one text of it. Raises `InvalidReport` for one over its cap."""
    data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    if len(data) > MAX_REPORT_BYTES:
        raise InvalidReport(
            f"the report has {len(data)} bytes, more than {MAX_REPORT_BYTES}",
            check=1,
            remedy="Ask less at once, with --limit, or make two suites of it.",
        )
    return data


def decode_report(data: bytes) -> Report:
    """Check (1). Raises `InvalidReport`."""
    # (1) the file is a report of an evaluation, of at most 64 MiB, in its one form
    if len(data) > MAX_REPORT_BYTES:
        raise _malformed(f"it has more than {MAX_REPORT_BYTES} bytes")
    try:
        report = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(printable(str(error))) from error
    if encode_report(report) != data:
        raise _malformed("it is not written in the one way")
    return report


def _malformed(what: str) -> InvalidReport:
    return InvalidReport(f"this is no report of an evaluation: {what}", check=1, remedy=REMEDY)
