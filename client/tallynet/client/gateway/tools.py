"""Tools of a chat: what is asked of them, put into the request, and calls as OpenAI writes them."""

import dataclasses
import secrets
from collections.abc import Sequence

from tallynet.client.gateway.bodies import AnyObject, ChatBody, ObjectOfSchema
from tallynet.client.gateway.faults import invalid, translate
from tallynet.client.json_text import write_json
from tallynet.client.tools.calls import Call
from tallynet.client.tools.definition import InvalidTools
from tallynet.client.tools.offer import OBJECT, Offer, offer_tools


def read_format(body: ChatBody) -> Offer:
    """What the answer may look like. Raises `ApiError` 400 for a combination that would leave one of its parts out."""
    schema, tools = _schema(body), body.tools or []
    try:
        offer = offer_tools(tools, body.tool_choice or "auto", parallel=body.parallel_tool_calls is not False)
    except InvalidTools as error:
        raise translate(error) from error
    if schema and offer.tools:
        raise invalid(
            "unsupported_parameter",
            "response_format with tools is not supported: an answer held to a schema cannot call. Leave one out.",
            "response_format",
        )
    return dataclasses.replace(offer, schema=schema) if schema else offer


def describe_calls(calls: Sequence[Call]) -> list[dict[str, object]]:
    """As OpenAI writes them, each with an id of its own."""
    return [
        {
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def _schema(body: ChatBody) -> str:
    match body.response_format:
        case ObjectOfSchema(json_schema=named):
            return write_json(named.schema)
        case AnyObject():
            return write_json(OBJECT)
        case _:
            return ""
