"""On what terms a job may run: of a key, of a request, and of both together, where the stricter holds.

In a request it is the field `tally` of the body, or the header `x-tally-policy` with the same JSON.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tallynet.client.gateway.faults import ApiError, invalid
from tallynet.client.terms import LONGEST_DEADLINE_SECONDS
from tallynet.protocol.job import MAX_PARENTS
from tallynet.protocol.units import Address, Digest

LEVELS = ("signed", "logged", "anchored")
"""Evidence that can be had with an answer; `sampled` and `replayed` come with audits, later."""
MOST_NODES_AGREE = 8

Number = TypeVar("Number", int, float)

Evidence = Literal["signed", "logged", "anchored"]
NodeText = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
DigestText = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{64}\Z")]
Count = Annotated[int, Meta(ge=1, le=MOST_NODES_AGREE)]


class Agreement(Struct, frozen=True, forbid_unknown_fields=True):
    """`agree` of `among` nodes, all of different operators, have to give the same answer."""

    agree: Count
    among: Count


class Policy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Absent fields demand nothing."""

    minimum_evidence: Evidence = "signed"
    """The answer's last word waits for it: `logged` and `anchored` for the node's next anchor."""
    max_price_wei: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Of each job."""
    nodes: Annotated[tuple[NodeText, ...], Meta(max_length=64)] = ()
    """Only these may answer; none named: any."""
    agreement: Agreement | None = None
    deadline_seconds: Annotated[float, Meta(gt=0, le=LONGEST_DEADLINE_SECONDS)] | None = None
    parents: Annotated[tuple[DigestText, ...], Meta(max_length=MAX_PARENTS)] = ()
    """`tally.output` of the answers that this one builds on; in requests only."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Of the nodes that may answer; empty for any."""
        return tuple(Address(bytes.fromhex(node[2:])) for node in self.nodes)

    @property
    def parent_outputs(self) -> tuple[Digest, ...]:
        """The commitments that `parents` names, 32 bytes each."""
        return tuple(Digest(bytes.fromhex(parent[2:])) for parent in self.parents)

    @property
    def waits_for_anchor(self) -> bool:
        """Whether the answer's last word waits for the node's next anchor."""
        return self.minimum_evidence != "signed"


def read_policy(header: str) -> Policy:
    """What `x-tally-policy` says. Raises `ApiError`."""
    try:
        return msgspec.json.decode(header, type=Policy)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise invalid(
            "invalid_policy", f"The header x-tally-policy cannot be read: {error}.", "x-tally-policy"
        ) from error


def both(one: Policy, other: Policy) -> Policy:
    """What satisfies both. Raises `ApiError` (403) when no node is allowed by both."""
    agreements = [agreement for agreement in (one.agreement, other.agreement) if agreement is not None]
    return Policy(
        minimum_evidence=max(one.minimum_evidence, other.minimum_evidence, key=LEVELS.index),
        max_price_wei=_least(one.max_price_wei, other.max_price_wei),
        nodes=_common(one.nodes, other.nodes),
        agreement=max(agreements, key=lambda agreement: (agreement.agree, agreement.among), default=None),
        deadline_seconds=_least(one.deadline_seconds, other.deadline_seconds),
        parents=one.parents + other.parents,
    )


def _least(one: Number | None, other: Number | None) -> Number | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _common(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    if not one or not other:
        return tuple(one or other)
    allowed = {node.lower() for node in one}
    common = tuple(node for node in other if node.lower() in allowed)
    if not common:
        raise ApiError(403, "nodes_not_allowed", "The policies allow no node in common.", param="tally.nodes")
    return common
