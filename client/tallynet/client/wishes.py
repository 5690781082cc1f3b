"""What a user wants of the answer beside words: a schema, tools, biases, as they stand in a request."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tallynet.client.json_text import write_json
from tallynet.client.tools.definition import InvalidTools, ToolChoice, ToolMapping, read_choice, read_tools
from tallynet.client.tools.offer import offer_tools
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MILLION
from tallynet.protocol.request import Bias, Request

Schema = str | Mapping[str, object]
"""A JSON schema, as JSON or as what JSON stands for."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """As in `Request`; empty for what is not wished."""

    schema: str = ""
    tools: str = ""
    logit_bias: tuple[Bias, ...] = ()

    def added_to(self, request: Request) -> Request:
        """The request with these; its own stay where there is none."""
        return msgspec.structs.replace(
            request,
            schema=self.schema or request.schema,
            tools=self.tools or request.tools,
            logit_bias=self.logit_bias or request.logit_bias,
        )


def read_wishes(
    schema: Schema,
    tools: Sequence[ToolMapping],
    logit_bias: Mapping[int, float],
    *,
    tool_choice: ToolChoice = "auto",
    parallel: bool = True,
) -> Wishes:
    """Raises `InvalidJob` for what is no JSON, for biases that no request can carry, and for tools that contradict
    each other, the choice among them or the schema (`InvalidTools`)."""
    offer = offer_tools(read_tools(tools), read_choice(tool_choice), parallel=parallel)
    if schema and offer.schema:
        raise InvalidTools(
            "A call is required and the answer is held to a schema.",
            parameter="tool_choice",
            remedy="Leave one of the two out.",
        )
    written = schema if isinstance(schema, str) else write_json(schema)
    return Wishes(offer.schema or written, offer.tools, read_biases(logit_bias))


def read_biases(biases: Mapping[int, float]) -> tuple[Bias, ...]:
    """Without those of 0, in the order of the tokens. Raises `InvalidJob` for a bias that is no number."""
    strange = [bias for bias in biases.values() if not math.isfinite(bias)]
    if strange:
        raise InvalidJob(f"a token is biased by {strange[0]}, which is no number", remedy="Use -100 to 100.")
    rounded = sorted((token, round(bias * MILLION)) for token, bias in biases.items())
    return tuple(Bias(token, millionths) for token, millionths in rounded if millionths)
