"""(4) Is this receipt about my job, about what I was shown, and at the price I was told?

Checks (1) to (15) are `protocol.receipt`'s own; (16) to (19) need what only the client knows: its clock, the prompt
it was told of, and the advert that it chose. Source: spec chapter 4.
"""

from tallynet.client.order import Order
from tallynet.client.ranking import Candidate
from tallynet.protocol.advert import MAX_CLOCK_SKEW_MS
from tallynet.protocol.chunk import Transcript
from tallynet.protocol.errors import InvalidReceipt
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import (
    SignedReceipt,
    VerifiedReceipt,
    check_leaf_of_job,
    check_leaf_of_transcript,
    verify_receipt,
)
from tallynet.protocol.units import Milliseconds

MAX_PROMISE_SECONDS = 24 * 3600
"""The latest time to anchor that is worth something: a node's stake is bound for a day after it begins to leave."""


def check_receipt(
    signed: SignedReceipt,
    order: Order,
    candidate: Candidate,
    transcript: Transcript,
    prompt_tokens: int,
    now: Milliseconds,
) -> VerifiedReceipt:
    """Run all nineteen checks at time `now`. Raises `InvalidReceipt`, which carries the receipt as evidence."""
    try:
        receipt = verify_receipt(signed, order.domain, candidate.node)  # (1) … (5)
        check_leaf_of_job(receipt.leaf, order.job)  # (6) … (12)
        check_leaf_of_transcript(receipt.leaf, transcript)  # (13) … (15)
        _check_promise(receipt, now)
        _check_times(receipt.leaf, order, now)
        _check_prompt(receipt.leaf, prompt_tokens)
        _check_price(receipt.leaf, order, candidate)
    except InvalidReceipt as error:
        error.evidence = {**error.evidence, "receipt": signed}
        raise
    return receipt


def _check_promise(receipt: VerifiedReceipt, now: Milliseconds) -> None:
    promised = 1000 * receipt.receipt.anchor_by
    # (16) the anchor is promised for a time to come, and not for the far future
    if not now - MAX_CLOCK_SKEW_MS < promised <= now + MAX_CLOCK_SKEW_MS + 1000 * MAX_PROMISE_SECONDS:
        raise InvalidReceipt(
            f"the anchor is promised by {promised} ms; it is {now} ms, and at most {MAX_PROMISE_SECONDS} s later "
            "will do",
            check=16,
        )


def _check_times(leaf: Leaf, order: Order, now: Milliseconds) -> None:
    # (17) the work began after the job was signed, and ended after that and before now
    if not order.placed - MAX_CLOCK_SKEW_MS <= leaf.started <= leaf.ended <= now + MAX_CLOCK_SKEW_MS:
        raise InvalidReceipt(
            f"the work is said to have lasted from {leaf.started} to {leaf.ended} ms; the job was signed at "
            f"{order.placed} ms, and it is {now} ms",
            check=17,
        )


def _check_prompt(leaf: Leaf, prompt_tokens: int) -> None:
    # (18) as many prompt tokens are counted as we were told of
    if leaf.prompt_tokens != prompt_tokens:
        raise InvalidReceipt(
            f"the leaf counts {leaf.prompt_tokens} prompt tokens, the node told of {prompt_tokens}", check=18
        )


def _check_price(leaf: Leaf, order: Order, candidate: Candidate) -> None:
    advertised = candidate.offer.price(leaf.prompt_tokens, leaf.completion_tokens, order.job.job.task)
    # (19) the price is no higher than advertised; a ceiling set by the user stands in its place (12)
    if leaf.price > advertised and not order.price_is_capped:
        raise InvalidReceipt(
            f"the leaf's price is {leaf.price} wei, the node's advert makes it {advertised} wei",
            check=19,
            evidence={"advert": candidate.advert.signed},
        )
