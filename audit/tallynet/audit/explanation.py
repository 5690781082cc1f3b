"""A verification in plain words, for people who have never heard of signatures, commitments or trees.

Says what is proven, by whom, and what is not; never more than the checks that held. Pure: printing is `bundle_report`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tallynet.audit.claims import Level, level
from tallynet.audit.conversation import answer, closed, question, read_request
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import Verification
from tallynet.console.moments import moment
from tallynet.protocol.bundle import AnchorRef, Bundle
from tallynet.protocol.bundle_checks import State
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import Receipt
from tallynet.protocol.request import Request
from tallynet.protocol.units import Seconds, prefixed, short

FAILURES = {
    1: "It is no record of an answer, or it was damaged on its way.",
    2: "It is a record of another network than the one you compare it with.",
    3: "The signature under the question is not that of the client it names.",
    4: "The node's entry tells of something else than the client signed.",
    5: "The question in the file is not the one that was sealed.",
    6: "What the model was shown, or measured while it answered, is not what was sealed.",
    7: "The answer in the file is not the one that was sealed.",
    8: "The signature under the answer is not that of the node it names.",
    9: "The entry is not in the log that the node signed.",
    10: "The file was changed after it was written.",
    11: "The public chain does not know what the file says of it.",
    12: "The node broke its promise to put the entry on the public chain in time.",
    13: "The node's log on the public chain has become shorter since.",
}
"""What the failure of each check means."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that is proven."""

    title: str
    words: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to tell, in the order of telling."""

    summary: str
    asked: str
    """Empty when the file could not be read."""
    answered: str
    proven: tuple[Point, ...]
    parties: tuple[tuple[str, str], ...]
    """Who says so: role and name."""
    not_proven: tuple[str, ...]
    next_steps: tuple[str, ...]


def explain(verification: Verification, name: str) -> Explanation:
    """`name` is what the commands call the bundle: its file."""
    bundle, failed = verification.bundle, verification.failure is not None
    return Explanation(
        summary=_summary(verification),
        asked=question(bundle) if bundle and not failed else "",
        answered=answer(bundle) if bundle and not failed else "",
        proven=tuple(_proven(verification, bundle)) if bundle and not failed else (),
        parties=tuple(_parties(bundle)) if bundle and not failed else (),
        not_proven=tuple(_not_proven(verification, bundle)) if bundle and not failed else (),
        next_steps=tuple(_next_steps(verification, name)),
    )


def _summary(verification: Verification) -> str:
    if verification.failure is not None:
        meaning = FAILURES[verification.failure.check or 1]
        return f"This file does NOT hold: do not rely on it. {meaning} In detail: {verification.failure}."
    about = "This file is the record of one answer by a language model."
    if verification.verdict is Verdict.PENDING:
        return f"{about} What can be checked so far was checked just now, and it holds. One thing is still to come."
    if level(verification) is Level.ANCHORED:
        return f"{about} It was checked just now, also against the public chain, and it holds."
    return f"{about} All that the file alone can show was checked just now, and it holds."


def _proven(verification: Verification, bundle: Bundle) -> Iterator[Point]:
    yield _asking(bundle)
    yield _answering(bundle, Leaf.unpack(bundle.receipt.leaf))
    yield _sealing(bundle)
    request = read_request(bundle)
    if request is not None and (request.template or request.documents):
        yield _making(request)
    if bundle.inclusion is None:
        yield _promising(bundle.receipt.receipt)
        return
    yield _logging(bundle.receipt.receipt, bundle.inclusion.anchor)
    if level(verification) is Level.ANCHORED:
        yield _anchoring(bundle.receipt.receipt, bundle.inclusion.anchor)


def _asking(bundle: Bundle) -> Point:
    job = bundle.job.job
    return Point(
        f"Client {short(job.client)} asked.",
        f"It signed the question, for model {short(job.model)}, at most {job.sampling.max_tokens} tokens (pieces of "
        f"words) and at most {job.max_price:,} wei (the chain's smallest coin). Only who holds a secret key can sign "
        "with it, so this client cannot deny having asked.",
    )


def _answering(bundle: Bundle, leaf: Leaf) -> Point:
    return Point(
        f"Node {short(bundle.node)} answered.",
        "A node is a computer that runs models for others. It signed that this is its answer, of "
        f"{leaf.completion_tokens} tokens for {leaf.price:,} wei. It cannot deny that, nor say later that it was "
        "another one.",
    )


def _sealing(bundle: Bundle) -> Point:
    seal = "a seal is a number computed from words; change one letter and it is another number."
    if isinstance(bundle.opening, Whole):
        return Point(
            "These were the words.",
            f"Question and answer were sealed when they were given: {seal} The words above have the seals that both "
            "signed.",
        )
    if bundle.opening is not None:
        return Point(
            "What is shown above is part of the words.",
            f"Question and answer were sealed in pieces when they were given: {seal} The pieces above have the seals "
            "that were signed, each at its place.",
        )
    return Point(
        "The words were sealed.",
        f"What both signed are seals: {seal} This file does not show the words; whoever does can show that they fit.",
    )


def _making(request: Request) -> Point:
    count = len(request.documents)
    sources = [f"template {short(request.template)}"] if request.template else []
    sources += [f"{count} passage{'s' if count > 1 else ''} of documents"] if count else []
    return Point(
        "The client said what it made the question from.",
        f"It sealed with the question a number for each: {' and '.join(sources)}. Whoever has them can compute the "
        "same numbers. Nobody checked that the question comes from them, nor that they say what the answer says.",
    )


def _promising(receipt: Receipt) -> Point:
    return Point(
        f"The node promised to keep it, as entry {receipt.index} of its log.",
        "The log is a book of all answers of this node, numbered from 0, to which it can only add. The node signed "
        f"that this entry would be public by {moment(receipt.anchor_by)}. If it breaks the promise, this file is the "
        "evidence.",
    )


def _logging(receipt: Receipt, anchor: AnchorRef) -> Point:
    return Point(
        f"It stands in the node's log, as entry {receipt.index} of {anchor.size}.",
        "The log is a book of all answers of this node, numbered from 0, to which it can only add. The node signed one "
        "seal over the whole book, and the file shows that this entry is under it. The node can neither drop nor "
        "change the entry without contradicting its own signature.",
    )


def _anchoring(receipt: Receipt, anchor: AnchorRef) -> Point:
    return Point(
        f"It has been public since {moment(anchor.time)}.",
        f"The seal over the book stands in block {anchor.block} of a public chain, which nobody alone can rewrite: not "
        f"the node, not we. The node had promised that by {moment(receipt.anchor_by)}, and its log has only grown "
        "since.",
    )


def _parties(bundle: Bundle) -> Iterator[tuple[str, str]]:
    yield "client", prefixed(bundle.job.job.client)
    yield "node", prefixed(bundle.node)
    yield "contract", prefixed(bundle.domain.contract)
    yield "chain", str(bundle.domain.chain_id)


def _not_proven(verification: Verification, bundle: Bundle) -> Iterator[str]:
    leaf = Leaf.unpack(bundle.receipt.leaf)
    yield "That the answer is true. Models make mistakes, and nobody checked what it says."
    yield "That this model wrote it. The node says so; it would take running the question again, which was not done."
    yield "Who the people behind client and node are. Only their keys are known."
    yield f"When exactly it was answered. {_clock(leaf.started)} is what the node's own clock said."
    if not isinstance(bundle.opening, Whole):
        yield f"What this file keeps closed: {closed(bundle)}."
    if verification.state(2) is not State.OK:
        yield "That chain and contract are the ones you know. They are the file's own word; compare them."
    yield from _not_anchored(verification, bundle)


def _not_anchored(verification: Verification, bundle: Bundle) -> Iterator[str]:
    if verification.state(9) is not State.OK:
        promised = moment(bundle.receipt.receipt.anchor_by)
        yield f"That the node keeps the entry. It has time until {promised} to make it public."
    elif verification.state(11) is State.PENDING:
        yield "That it stays public. Its block on the chain is so young that it may still be replaced."
    elif level(verification) is not Level.ANCHORED:
        yield "That it is public. The file says in which block of the chain; only the chain itself can confirm it."


def _next_steps(verification: Verification, name: str) -> Iterator[str]:
    if verification.failure is not None:
        yield verification.failure.remedy
    elif verification.state(9) is not State.OK:
        yield f"Complete the file once the entry is public: tallynet audit upgrade {name}"
    elif level(verification) is not Level.ANCHORED:
        yield f"Ask the chain as well: tallynet audit explain {name} --network network.json"
    yield f"See every check with its number: tallynet audit verify {name}"


def _clock(milliseconds: int) -> str:
    return moment(Seconds(milliseconds // 1000))
