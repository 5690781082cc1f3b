"""(1) Who may do a job: able, allowed and not too dear, by what the adverts say."""

from collections.abc import Collection, Sequence

from tallynet.client.market import REPLAYABLE
from tallynet.client.order import HIGHEST_PRICE
from tallynet.client.ranking import BYTES_PER_TOKEN, Candidate, Demand
from tallynet.client.terms import Terms, WrongTask
from tallynet.protocol.advert import Offer
from tallynet.protocol.errors import InvalidJob, NoNodes
from tallynet.protocol.job import Task
from tallynet.protocol.request import Request
from tallynet.protocol.units import Address, Wei

TEMPLATE_SPACE = 4
"""Templates write tools with line breaks and indentation: with so many times their bytes at most."""


def able(candidates: Sequence[Candidate], terms: Terms) -> Sequence[Candidate]:
    """Those whose advert says that the model does what is asked. Raises `WrongTask` when there is none."""
    found = [candidate for candidate in candidates if _does(candidate.offer, terms.task)]
    if not found and terms.task == Task.SCORE:
        raise InvalidJob(
            f"the model {candidates[0].offer.name!r} scores no texts",
            remedy="Ask a model that generates, on a node whose work can be replayed.",
        )
    if not found:
        embeds = candidates[0].offer.task == Task.EMBED
        raise WrongTask(
            f"the model {candidates[0].offer.name!r} {'makes vectors' if embeds else 'makes no vectors'}",
            embeds=embeds,
            remedy="Use `embed` for it." if embeds else "Use `ask`, or another model.",
        )
    return found


def _does(offer: Offer, task: Task) -> bool:
    """What generates and can be replayed is expected to score; it refuses if it can't."""
    return offer.task == task or (task == Task.SCORE and offer.task == Task.GENERATE and offer.evidence == REPLAYABLE)


def among(candidates: Sequence[Candidate], nodes: Collection[Address]) -> Sequence[Candidate]:
    """Those that the user allows; all when there is no choice of theirs. Raises `NoNodes`."""
    allowed = [candidate for candidate in candidates if not nodes or candidate.node in nodes]
    if not allowed:
        raise NoNodes(
            f"None of the {len(nodes)} allowed nodes offers the model.",
            remedy="Allow another node, or ask for a model that the allowed ones serve.",
        )
    return allowed


def demand_of(request: Request, most_tokens: int, max_price: Wei | None) -> Demand:
    said = [turn.content for turn in request.messages]
    said += [call.name + call.arguments for turn in request.messages for call in turn.tool_calls]
    size = sum(len(text.encode()) for text in (request.text, *said)) + TEMPLATE_SPACE * len(request.tools.encode())
    return Demand(size + BYTES_PER_TOKEN * len(request.tokens), len(request.messages), most_tokens, max_price)


def ceiling_of(candidates: Sequence[Candidate], demand: Demand) -> Wei:
    """The user's ceiling, or room for the longest job at the dearest node; (19) then still checks its advert."""
    if demand.max_price is not None:
        return demand.max_price
    dearest = max(candidate.offer.price(demand.most_prompt_tokens, demand.max_tokens) for candidate in candidates)
    return Wei(min(dearest, HIGHEST_PRICE))


def all_too_dear(candidates: Sequence[Candidate], demand: Demand) -> NoNodes:
    least = min(candidate.offer.price(1, demand.max_tokens) for candidate in candidates)
    return NoNodes(
        f"The job may cost {least} wei or more at any node, its ceiling is {demand.max_price} wei.",
        remedy="Raise the ceiling or ask for fewer tokens.",
    )
