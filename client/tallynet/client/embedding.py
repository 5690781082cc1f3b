"""Texts into vectors: each text is one job, and each vector comes with the answer that holds a node to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

from tallynet.client.answer import Answer
from tallynet.client.terms import DEADLINE_SECONDS, Terms, read_terms
from tallynet.protocol.embedding import EMBED_SAMPLING, Vector, decode_embedding
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.job import Task
from tallynet.protocol.receipt import VerifiedReceipt
from tallynet.protocol.units import Address, Digest


class EmbedOptions(TypedDict, total=False):
    """The options of `embed`: those of `AskOptions` that do not sample. They hold for each text by itself."""

    deadline_seconds: float
    max_price_wei: int | None
    parents: Sequence[Digest]
    node: Address | None
    nodes: Sequence[Address]
    audit_consent: bool


@dataclass(frozen=True, slots=True)
class Embedding:
    """One text's vector. Two texts are as alike as the sum of the products of their vectors' components says."""

    vector: Vector = field(repr=False)
    """Of length 1."""
    answer: Answer
    """With the receipt, the price and the bundle."""

    @property
    def receipt(self) -> VerifiedReceipt:
        return self.answer.receipt

    @property
    def evidence(self) -> str:
        """See `Answer.evidence`."""
        return self.answer.evidence


def embedding_terms(
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    max_price_wei: int | None = None,
    parents: Sequence[Digest] = (),
    node: Address | None = None,
    nodes: Sequence[Address] = (),
    audit_consent: bool = False,
) -> Terms:
    """Raises `InvalidJob` for numbers that no job can carry."""
    terms = read_terms(
        deadline_seconds=deadline_seconds, max_price_wei=max_price_wei, parents=parents, node=node,
        nodes=nodes, audit_consent=audit_consent, max_tokens=EMBED_SAMPLING.max_tokens,
    )  # fmt: skip
    return replace(terms, task=Task.EMBED)


def read_answer(answer: Answer) -> Embedding:
    """The vector in a verified answer. Raises `NodeUnreachable` for one that was cut short."""
    if not answer.status.finished:
        raise NodeUnreachable(f"The node ended the job with {answer.status.name.lower()} instead of a vector.")
    return Embedding(decode_embedding(answer.chunks), answer)
