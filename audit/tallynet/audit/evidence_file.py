"""(6) Evidence on disk: one fault, where it holds, and what it is in plain words. Source: spec chapter 6.

{"format": "tallynet-evidence@v1",
 "says": "Node 0x… promised …",
 "chain_id": 31337, "contract": "0x…",
 "fault": {"kind": "late", "node": "base64…", "promise": {…}}}

Bytes are base64, as in a bundle. There is one way to write such a file, and nothing else is read.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tallynet.audit.evidence import describe_fault, fault_key
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidEvidence
from tallynet.protocol.fault import Fault
from tallynet.protocol.units import Address, prefixed, printable
from tallynet.protocol.whole_file import read_whole, write_whole

SUFFIX = ".evidence"
MAX_EVIDENCE_BYTES = 64 * 1024
"""Largest file; two proofs of 63 hashes need a tenth of it."""


class Evidence(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fault as it is kept and passed on. Nothing in it has been checked: see `fault.check_fault`."""

    format: Literal["tallynet-evidence@v1"] = "tallynet-evidence@v1"
    says: Annotated[str, Meta(max_length=512)]
    """For people; programs look at `fault`."""
    chain_id: Annotated[int, Meta(ge=1, lt=2**53)]
    contract: Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{40}\Z")]
    fault: Fault

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, Address(bytes.fromhex(self.contract[2:])))


_DECODER = msgspec.json.Decoder(Evidence)


def evidence_of(fault: Fault, domain: Domain) -> Evidence:
    return Evidence(
        says=describe_fault(fault), chain_id=domain.chain_id, contract=prefixed(domain.contract), fault=fault
    )


def encode_evidence(evidence: Evidence) -> bytes:
    """The one text of it."""
    return msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n"


def decode_evidence(data: bytes) -> Evidence:
    """Read the one text of some evidence. Raises `InvalidEvidence`, with an empty reason, for anything else."""
    # (1) the file is evidence, of at most 64 KiB, in its one form
    if len(data) > MAX_EVIDENCE_BYTES:
        raise _malformed(f"it has more than {MAX_EVIDENCE_BYTES} bytes")
    try:
        evidence = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(printable(str(error))) from error
    if encode_evidence(evidence) != data:
        raise _malformed("it is not written in the one way")
    return evidence


def check_domain(evidence: Evidence, domain: Domain) -> None:
    """Raises `InvalidEvidence` for evidence of another chain or contract than `domain`."""
    # (2) it is about this chain and contract
    if evidence.domain != domain:
        raise InvalidEvidence(
            f"the evidence is about contract {evidence.contract} on chain {evidence.chain_id}, the network is contract "
            f"{prefixed(domain.contract)} on chain {domain.chain_id}",
            reason="",
            check=2,
        )


def read_evidence(path: Path) -> Evidence:
    """Raises `Misconfigured` when there is no such file, `InvalidEvidence` when it is none."""
    return decode_evidence(read_whole(path, MAX_EVIDENCE_BYTES, "evidence file"))


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Raises `Misconfigured` when it cannot be written."""
    write_whole(path, encode_evidence(evidence), "evidence file")


def save_fault(folder: Path, fault: Fault, domain: Domain) -> Path:
    """Write the evidence into `folder`, one file for each thing that a node did wrong. Raises `Misconfigured`."""
    path = folder / f"{prefixed(fault.node)[:10]}-{fault_key(fault)}{SUFFIX}"
    write_evidence(path, evidence_of(fault, domain))
    return path


def _malformed(what: str) -> InvalidEvidence:
    return InvalidEvidence(f"this is no evidence file: {what}", reason="", check=1)
