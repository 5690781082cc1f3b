"""k of n: the same question to nodes of different operators, and the answer that enough of them agree on.

It holds against operators that do not work together. Nodes with unlike hardware can differ by float noise, where two
tokens are almost equally likely: that is no proof of a cheat, and here it only means that they do not agree.
"""

from collections import defaultdict
from collections.abc import Sequence

import trio

from tallynet.client.gateway.asked import Asked
from tallynet.client.gateway.faults import ApiError, translate
from tallynet.client.gateway.jobs import Jobs
from tallynet.client.gateway.policy import Agreement
from tallynet.client.gateway.run import Run
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.advert import VerifiedAdvert
from tallynet.protocol.errors import TallyError
from tallynet.protocol.units import Address, TokenIds, prefixed


async def agree(jobs: Jobs, asked: Asked, agreement: Agreement, visit: Visit) -> list[Run]:
    """The runs that agree, at least `agreement.agree`. All jobs are paid for, also those that did not agree.

    Raises `ApiError` 503 when there are too few operators, 502 when too few of their nodes agree.
    """
    nodes = await _choose(jobs, asked, agreement)
    runs = await _ask_all(jobs, asked, nodes, visit)
    alike: dict[TokenIds, list[Run]] = defaultdict(list)
    for run in runs:
        alike[run.answer.tokens].append(run)
    largest = max(alike.values(), key=len, default=[])
    if len(largest) >= agreement.agree:
        return largest
    raise ApiError(
        502,
        "no_agreement",
        f"{len(runs)} of {agreement.among} nodes answered, and {len(largest)} agree at most, not {agreement.agree}: "
        "compare their receipts.",
        retry=False,
        tally={"runs": [run.tally for run in runs]},
    )


async def _choose(jobs: Jobs, asked: Asked, agreement: Agreement) -> list[Address]:
    """One node of each operator, those with most free slots first. Raises `ApiError` 503 for too few operators."""
    operators = await jobs.client.operators()
    chosen: dict[Address, tuple[int, Address]] = {}
    for known in await jobs.client.nodes():
        operator, slots = operators.get(known.node), _free_slots(known, asked)
        if operator is not None and slots is not None:
            one = (slots, known.node)
            chosen[operator] = max(chosen.get(operator, one), one)
    if len(chosen) < agreement.among:
        raise ApiError(
            503,
            "not_enough_operators",
            f"{len(chosen)} registered operators offer the model, {agreement.among} are to be asked: ask fewer.",
            retry_after=5,
            tally=None,
        )
    return [node for _, node in sorted(chosen.values(), reverse=True)[: agreement.among]]


def _free_slots(known: VerifiedAdvert, asked: Asked) -> int | None:
    """How many jobs the node would begin at once with the model; None where it has it not, or is not allowed."""
    allowed = asked.policy.addresses
    if allowed and known.node not in allowed:
        return None
    fitting = [offer for offer in known.advert.offers if asked.model in (offer.name, prefixed(offer.model))]
    return max((offer.free_slots for offer in fitting), default=None)


async def _ask_all(jobs: Jobs, asked: Asked, nodes: Sequence[Address], visit: Visit) -> list[Run]:
    """The runs that came to their end; raises the last error when there is none at all."""
    runs: list[Run] = []
    errors: list[TallyError] = []

    async def ask(node: Address) -> None:
        try:
            runs.append(await jobs.whole(asked, asked.requests[0], visit, node))
        except TallyError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(ask, node)
    if not runs:
        raise translate(errors[-1])
    return runs
