"""(1) From a question to a job on its way: find who can do it, sign it, rank them."""

from collections.abc import Sequence

import trio

from tallynet.client.choosing import able, all_too_dear, among, ceiling_of, demand_of
from tallynet.client.dispatch import Dispatch, TellNode, tell_nobody
from tallynet.client.order import Order, place
from tallynet.client.ranking import Candidate, Demand, rank
from tallynet.client.session import Session
from tallynet.client.terms import Terms
from tallynet.protocol.job import Task
from tallynet.protocol.request import Request, decode_request
from tallynet.protocol.units import Address, Digest, prefixed


async def dispatch_new(session: Session, model: str, request: Request, terms: Terms) -> Dispatch:
    """A new job, ready to be handed to the best of those who can do it.

    Raises `NoNodes` when nobody can, or when all are too dear, `InvalidJob`, `Misconfigured`.
    """
    order, candidates = await place_new(session, model, request, terms)
    return _rank(session, order, candidates, demand_of(request, terms.most_tokens, terms.max_price))


async def dispatch_signed(session: Session, order: Order, node: Address | None, tell: TellNode) -> Dispatch:
    """The same for a job that is signed already; to `node` alone, if it is given."""
    job = order.job.job
    candidates = await session.directory.find(prefixed(job.model), node)
    ceiling = job.max_price if order.price_is_capped else None
    tokens = 0 if job.task == Task.SCORE else job.sampling.max_tokens
    return _rank(session, order, candidates, demand_of(decode_request(order.request), tokens, ceiling), tell)


async def place_new(
    session: Session, model: str, request: Request, terms: Terms, nonce: Digest | None = None
) -> tuple[Order, Sequence[Candidate]]:
    """A new job, and who can do it. `model` is a name or a 0x id. Raises what `dispatch_new` raises."""
    candidates = able(among(await session.directory.find(model, terms.node), terms.nodes), terms)
    demand = demand_of(request, terms.most_tokens, terms.max_price)
    key = await session.signer()
    await trio.lowlevel.checkpoint_if_cancelled()  # a deadline of -inf is no time to sign for
    left = trio.current_effective_deadline() - trio.current_time()
    order = place(
        request, candidates[0].offer.model, terms, key=key, domain=session.network.domain, now=session.clock(),
        seconds=min(left, terms.seconds), ceiling=ceiling_of(candidates, demand), nonce=nonce,
    )  # fmt: skip
    return order, candidates


def _rank(
    session: Session, order: Order, candidates: Sequence[Candidate], demand: Demand, tell: TellNode = tell_nobody
) -> Dispatch:
    ranked = rank(candidates, demand, order.job.id)
    if not ranked:
        raise all_too_dear(candidates, demand)
    return Dispatch(session.directory, order, ranked, session.clock, tell)
