"""What is on offer: the offers of all nodes, gathered by model."""

from collections.abc import Iterable
from dataclasses import dataclass

from tallynet.protocol.advert import Offer, VerifiedAdvert
from tallynet.protocol.units import ModelId, Wei

REPLAYABLE = "replayable"


@dataclass(frozen=True, slots=True)
class ModelOnOffer:
    """One model and the span of what its nodes say about it."""

    model: ModelId
    """What the model is: the digest of its files."""
    name: str
    """What most of its nodes call it; anybody may call anything so."""
    nodes: int
    context_length: int
    """Of the node that takes most, in tokens."""
    prompt_price: Wei
    """Per token, of the node with the cheapest answers."""
    completion_price: Wei
    tokens_per_second: int
    """Of the node that says it is fastest."""
    free_slots: int
    """Of all nodes together."""
    task: int
    """What the model does, a number of `job.Task`."""
    evidence: str
    """Of the node that proves least: `signature-only` when one of them cannot show that it ran this model."""


def gather(adverts: Iterable[VerifiedAdvert]) -> list[ModelOnOffer]:
    """All models, those with most nodes first."""
    offers: dict[ModelId, list[Offer]] = {}
    for known in adverts:
        for offer in known.advert.offers:
            offers.setdefault(offer.model, []).append(offer)
    models = [_model(model, those) for model, those in offers.items()]
    return sorted(models, key=lambda model: (-model.nodes, model.name, model.model))


def _model(model: ModelId, offers: list[Offer]) -> ModelOnOffer:
    names = [offer.name for offer in offers]
    cheapest = min(offers, key=lambda offer: (offer.completion_price, offer.prompt_price))
    return ModelOnOffer(
        model=model,
        name=max(sorted(set(names)), key=names.count),
        nodes=len(offers),
        context_length=max(offer.context_length for offer in offers),
        prompt_price=cheapest.prompt_price,
        completion_price=cheapest.completion_price,
        tokens_per_second=max(offer.tokens_per_second for offer in offers),
        free_slots=sum(offer.free_slots for offer in offers),
        task=offers[0].task,
        evidence=next((offer.evidence for offer in offers if offer.evidence != REPLAYABLE), REPLAYABLE),
    )
