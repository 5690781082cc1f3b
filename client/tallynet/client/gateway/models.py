"""`/v1/models`: what is on offer, by the name to ask for."""

from collections.abc import Sequence

from tallynet.client.gateway.faults import ApiError
from tallynet.client.market import ModelOnOffer
from tallynet.protocol.job import Task
from tallynet.protocol.units import prefixed


def describe_model(model: ModelOnOffer, all_models: Sequence[ModelOnOffer]) -> dict[str, object]:
    """A name that stands for several models is no name to ask for: each of them is listed by its id then."""
    shared = sum(other.name == model.name for other in all_models) > 1
    return {
        "id": prefixed(model.model) if shared else model.name,
        "object": "model",
        "created": 0,
        "owned_by": "tallynet",
        "tally": {
            "name": model.name,
            "model": prefixed(model.model),
            "nodes": model.nodes,
            "task": Task(model.task).name.lower() if model.task in tuple(Task) else str(model.task),
            "context_length": model.context_length,
            "prompt_price_wei": model.prompt_price,
            "completion_price_wei": model.completion_price,
            "tokens_per_second": model.tokens_per_second,
        },
    }


def find_model(name: str, on_offer: Sequence[ModelOnOffer]) -> ModelOnOffer:
    """By name or id. Raises `ApiError` 404."""
    found = next((model for model in on_offer if name in (model.name, prefixed(model.model))), None)
    if found is None:
        names = ", ".join(sorted({model.name for model in on_offer})[:8])
        raise ApiError(404, "model_not_found", f"No node offers {name[:100]!r}. On offer: {names}.", param="model")
    return found
