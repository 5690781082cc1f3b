"""`POST /v1/embeddings`. Nodes run text generation only, so every model that is on offer is refused by name here.

This is where embedding jobs go in: `embed` is given what was asked, and says what is answered.
"""

from tallynet.client.gateway.bodies import EmbeddingsBody
from tallynet.client.gateway.connection import Payload
from tallynet.client.gateway.faults import ApiError
from tallynet.client.gateway.jobs import Jobs
from tallynet.client.gateway.visit import Visit
from tallynet.protocol.units import prefixed


async def embed(jobs: Jobs, body: EmbeddingsBody, visit: Visit) -> tuple[Payload, dict[str, str]]:
    """The answer's body and headers. Raises `ApiError` 400 for a model without embeddings, 404 for an unknown one."""
    on_offer = await jobs.client.models()
    found = next((known for known in on_offer if body.model in (known.name, prefixed(known.model))), None)
    if found is None:
        raise ApiError(404, "model_not_found", f"No node offers the model {body.model[:100]!r}.", param="model")
    visit.served = found.name
    raise ApiError(
        400,
        "model_without_embeddings",
        f"The model {found.name!r} generates text and gives no embeddings: use another model.",
        param="model",
    )
