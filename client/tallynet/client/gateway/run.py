"""One job of a request that has its receipt: what is told of it, in the body as `tally` and in the headers."""

from collections.abc import Sequence
from dataclasses import dataclass

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.gateway.faults import ApiError
from tallynet.client.gateway.policy import LEVELS
from tallynet.protocol.units import JobId, prefixed

MOST_NAMED = 8
"""Jobs that a header names: clients bound its length. The body's `tally` names them all."""


@dataclass(frozen=True, slots=True)
class Run:
    """An answer whose chunks and receipt have been checked, and whose evidence is that which was demanded."""

    answer: Answer
    evidence: str

    @property
    def tally(self) -> dict[str, object]:
        answer = self.answer
        return {
            "job": prefixed(answer.job),
            "node": prefixed(answer.node),
            "model": prefixed(answer.model),
            "evidence": self.evidence,
            "receipt": receipt_path(answer.job),
            "index": answer.index,
            "anchor_by": answer.receipt.receipt.anchor_by,
            "price_wei": answer.price,
            "output": prefixed(answer.output),
            "tried": [{"node": prefixed(failure.node), "code": failure.error.code} for failure in answer.failures],
        }


def receipt_path(job: JobId) -> str:
    return f"/v1/receipts/{prefixed(job)}"


def tally_of(runs: Sequence[Run]) -> dict[str, object]:
    """That of the first run, with those of all when there are several."""
    first = runs[0].tally
    return first if len(runs) == 1 else {**first, "runs": [run.tally for run in runs]}


def headers_of(runs: Sequence[Run]) -> dict[str, str]:
    """Several runs stand in the order of the choices, MOST_NAMED at most; their evidence is that of the least."""
    return _headers(
        [(run.answer.job, run.answer.node) for run in runs[:MOST_NAMED]],
        min((run.evidence for run in runs), key=LEVELS.index),
    )


def headers_begun(streams: Sequence[AnswerStream]) -> dict[str, str]:
    """As long as there is no receipt: what has come was signed."""
    return _headers([(stream.job, stream.node) for stream in streams], "signed")


def part_of(stream: AnswerStream) -> dict[str, object] | None:
    """What there is of evidence in an answer that broke off; None before its first words.

    The last chunk's signature is over all that came before it: with the job's id it convicts the node of what it
    said, if it should say anything else afterwards.
    """
    chunks = stream.signed_chunks
    if not chunks:
        return None
    told: dict[str, object] = {
        "job": prefixed(stream.job),
        "node": prefixed(stream.node),
        "evidence": "signed",
        "chunks": len(chunks),
        "tokens": sum(len(chunk.body.tokens) for chunk in chunks),
        "signature": prefixed(chunks[-1].signature),
    }
    return {**told, "receipt": receipt_path(stream.job)} if stream.finished else told


def cut_short(answer: Answer, evidence: dict[str, object] | None) -> ApiError:
    """The error for an answer that the node signed as not finished."""
    status = answer.status.name.lower()
    return ApiError(
        503,
        "answer_cut_short",
        f"The node ended the answer before it was whole, and signed that: {status}. What had come is in the receipt; "
        "ask again for a whole answer, which is a new job.",
        retry_after=1,
        retry=False,
        tally=evidence,
    )


def _headers(runs: Sequence[tuple[bytes, bytes]], evidence: str) -> dict[str, str]:
    return {
        "x-tally-job": ", ".join(prefixed(job) for job, _ in runs),
        "x-tally-node": ", ".join(prefixed(node) for _, node in runs),
        "x-tally-evidence": evidence,
    }
