"""(6) What a bundle proves by itself: checks (2) to (9) of spec chapter 6, in this order, offline.

Check (1) is `bundle.parse_bundle`, check (10) `BundleFile.check_unchanged`; (11) to (13) need the chain and
are the auditor's. (5) to (7) are skipped as far as the file does not open what they are about. None of this says that
the answer is true, or that the model really gave it: only a replay does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tallynet.protocol import merkle
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import OpenedChunk, Part, Whole
from tallynet.protocol.chunk import Transcript
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Invalid, InvalidBundle
from tallynet.protocol.job import VerifiedJob, verify_job
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.note import read_checkpoint_note
from tallynet.protocol.receipt import check_leaf_of_job, check_leaf_of_transcript, verify_receipt
from tallynet.protocol.request import decode_request
from tallynet.protocol.units import prefixed, short


class State(StrEnum):
    OK = "ok"
    FAILED = "failed"
    PENDING = "pending"
    """What it takes does not exist yet."""
    SKIPPED = "skipped"
    """Not looked at; `detail` says why."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of a verification."""

    number: int
    """As in spec chapters 6 to 8."""
    name: str
    """What the check claims."""
    state: State
    detail: str


NAMES = {
    1: "the file is a bundle, in its one form",
    2: "chain and contract are the network's",
    3: "the client signed the job",
    4: "the leaf tells of this job",
    5: "the request opens its commitment",
    6: "prompt and evidence open the trace",
    7: "the answer opens its commitment",
    8: "the node signed the receipt",
    9: "the leaf is in the node's signed log",
    10: "the file is as it was written",
    11: "the contract knows this anchor",
    12: "it was anchored by the promised time",
    13: "the node's log has not shrunk since",
}
"""Every check of chapter 6, by number."""


NOT_IN_FILE = "the text is not in this file"
"""Why a check of what was said is skipped."""


def passed(number: int, detail: str) -> CheckResult:
    return CheckResult(number, NAMES[number], State.OK, detail)


def pending(number: int, detail: str) -> CheckResult:
    return CheckResult(number, NAMES[number], State.PENDING, detail)


def skipped(number: int, detail: str) -> CheckResult:
    return CheckResult(number, NAMES[number], State.SKIPPED, detail)


def verify_bundle(bundle: Bundle, domain: Domain | None = None) -> tuple[CheckResult, ...]:
    """Run checks (2) to (9); raises `InvalidBundle` at the first that fails.

    (9) comes back pending, not failed, for a bundle that has no anchor yet.
    """
    return (*check_statements(bundle, domain), check_inclusion(bundle))


def check_statements(bundle: Bundle, domain: Domain | None = None) -> Iterator[CheckResult]:
    """Checks (2) to (8), one by one. Raises `InvalidBundle`, whose `check` is the number, at the first failure.

    `domain` is that of a network one trusts; without it, (2) is skipped and the bundle's own word is taken.
    """
    yield _check_domain(bundle, domain)
    # (3) the client signed the job, for this chain and contract
    with failing(3):
        job = verify_job(bundle.job, bundle.domain)
    yield passed(3, f"client {short(job.job.client)}, job {short(job.id)}")
    # (4) the leaf is of known form, and each of its fields about the job is the job's own
    with failing(4):
        leaf = Leaf.unpack(bundle.receipt.leaf)
        check_leaf_of_job(leaf, job)
    yield passed(4, f"model {short(leaf.model)}, {leaf.price} wei")
    yield _check_request(bundle, job)
    yield from _check_answer(bundle, job, leaf)
    # (8) the node signed the receipt, for this leaf and job, chain and contract
    with failing(8):
        receipt = verify_receipt(bundle.receipt, bundle.domain, bundle.node).receipt
    yield passed(8, f"node {short(bundle.node)}, index {receipt.index}")


def check_inclusion(bundle: Bundle) -> CheckResult:
    """Check (9), pending while the bundle has no anchor. Raises `InvalidBundle`."""
    receipt = bundle.receipt.receipt
    if bundle.inclusion is None:
        return pending(9, "no anchor in the file")
    proof, anchor = bundle.inclusion.proof, bundle.inclusion.anchor
    # (9) the node signed the checkpoint of the proof, for this chain and contract
    with failing(9):
        head = read_checkpoint_note(proof.checkpoint, bundle.domain, bundle.node).checkpoint
    # (9) the proof is of the leaf that the receipt promised, at the promised index
    if proof.index != receipt.index:
        raise InvalidBundle(f"the proof is of leaf {proof.index}, the receipt promised index {receipt.index}", check=9)
    # (9) the leaf is in the log of that checkpoint, and it is the anchored one
    with failing(9):
        merkle.verify_inclusion(receipt.leaf, receipt.index, head.size, proof.path, head.root)
    if (head.size, head.root) != (anchor.size, anchor.root):
        raise InvalidBundle(
            f"the checkpoint is of size {head.size}, root {head.root.hex()}; the anchor of size {anchor.size}, root "
            f"{anchor.root.hex()}",
            check=9,
        )
    return passed(9, f"leaf {receipt.index} of {head.size}")


@contextmanager
def failing(number: int) -> Iterator[None]:
    """Turns an error about a part of the bundle into the failure of check `number`."""
    try:
        yield
    except Invalid as error:
        raise InvalidBundle(error.message, check=number, evidence=error.evidence) from error


def _check_domain(bundle: Bundle, domain: Domain | None) -> CheckResult:
    if domain is None:
        return skipped(2, "no network file to compare")
    # (2) chain and contract are those of the network
    if bundle.domain != domain:
        raise InvalidBundle(
            f"the bundle is of {_name(bundle.domain)}, the network is {_name(domain)}",
            check=2,
            remedy="Name the network file of the bundle's own network with --network.",
        )
    return passed(2, f"chain {domain.chain_id}, {short(domain.contract)}")


def _name(domain: Domain) -> str:
    return f"contract {prefixed(domain.contract)} on chain {domain.chain_id}"


def _check_request(bundle: Bundle, job: VerifiedJob) -> CheckResult:
    if isinstance(bundle.opening, Whole):
        salt, request = request_salt(bundle.opening.secret), bundle.opening.request
    elif bundle.opening is not None and bundle.opening.request is not None:
        salt, request = bundle.opening.request.salt, bundle.opening.request.request
    else:
        return skipped(5, NOT_IN_FILE)
    # (5) the request, under its salt, is the one that the job commits to
    computed = commit_request(salt, request)
    if computed != job.job.request:
        raise InvalidBundle(
            f"the job commits to request {job.job.request.hex()}, request and salt in the file hash to "
            f"{computed.hex()}",
            check=5,
            evidence={"committed": job.job.request, "computed": computed},
        )
    with failing(5):
        decode_request(request)
    return passed(5, f"{len(request)} bytes")


def _check_answer(bundle: Bundle, job: VerifiedJob, leaf: Leaf) -> Iterator[CheckResult]:
    """Checks (6) and (7), of as much as the file opens."""
    if isinstance(bundle.opening, Whole):
        transcript = _retell(bundle.opening, job)
        yield _check_trace(bundle.opening, leaf, transcript)
        # (7) tokens and text lead to the output root, and there are as many tokens as counted
        with failing(7):
            check_leaf_of_transcript(leaf, transcript)
        yield passed(7, f"{transcript.token_count} tokens in {len(bundle.opening.chunks)} chunks")
        return
    yield skipped(6, NOT_IN_FILE)
    part = bundle.opening
    yield _check_part(part, leaf) if part is not None and part.chunks else skipped(7, NOT_IN_FILE)


def _retell(opening: Whole, job: VerifiedJob) -> Transcript:
    """The answer's roots, computed from what the bundle says was streamed."""
    prompt = commit_prompt(prompt_salt(opening.secret), opening.prompt)
    transcript = Transcript(job.id, opening.secret, prompt)
    for body in opening.chunks:
        transcript.extend(body)
    return transcript


def _check_trace(opening: Whole, leaf: Leaf, transcript: Transcript) -> CheckResult:
    # (6) prompt tokens and evidence lead to the trace root, and there are as many prompt tokens as counted
    if leaf.trace != transcript.trace_root:
        raise InvalidBundle(
            f"the leaf commits to trace {leaf.trace.hex()}, prompt tokens and evidence in the file hash to "
            f"{transcript.trace_root.hex()}",
            check=6,
            evidence={"committed": leaf.trace, "computed": transcript.trace_root},
        )
    if leaf.prompt_tokens != len(opening.prompt):
        raise InvalidBundle(
            f"the leaf counts {leaf.prompt_tokens} prompt tokens, the file holds {len(opening.prompt)}", check=6
        )
    return passed(6, f"{len(opening.prompt)} prompt tokens")


def _check_part(part: Part, leaf: Leaf) -> CheckResult:
    commitments = (chunk.commitment if isinstance(chunk, OpenedChunk) else chunk for chunk in part.chunks)
    computed = merkle.root([merkle.leaf_hash(commitment) for commitment in commitments])
    # (7) the opened chunks and the commitments of the others lead to the output root, each at its place
    if computed != leaf.output:
        raise InvalidBundle(
            f"the leaf commits to output {leaf.output.hex()}, the chunks in the file hash to {computed.hex()}",
            check=7,
            evidence={"committed": leaf.output, "computed": computed},
        )
    # (7) no more tokens are opened than the leaf counts, and where all chunks are open, as many
    opened = sum(len(chunk.tokens) for chunk in part.chunks if isinstance(chunk, OpenedChunk))
    if opened > leaf.completion_tokens or len(part.opened) == len(part.chunks) and opened != leaf.completion_tokens:
        raise InvalidBundle(f"the leaf counts {leaf.completion_tokens} tokens, the file opens {opened}", check=7)
    return passed(7, f"{len(part.opened)} of {len(part.chunks)} chunks opened")
