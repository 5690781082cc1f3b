"""What tools become in a request: a list as chat templates take it, and where a call is required the schema of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallynet.client.json_text import write_json
from tallynet.client.tools.definition import Choice, InvalidTools, NamedTool, Tool
from tallynet.client.tools.schemas import closed, moved

OBJECT: Mapping[str, object] = {"type": "object"}
NOTHING: Mapping[str, object] = {"type": "object", "properties": {}}
"""The arguments of a function that takes none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Members of a request, empty where there is nothing to say, and the names that can be called."""

    tools: str = ""
    schema: str = ""
    """Of the JSON of one call, where a call is required."""
    names: frozenset[str] = frozenset()


def offer_tools(tools: Sequence[Tool], choice: Choice = "auto", *, parallel: bool = True) -> Offer:
    """`parallel` is False when the model must not call twice in one answer.

    Raises `InvalidTools` for what contradicts itself, and for what nothing would make the model keep to.
    """
    # (1) every tool has a name of its own
    names = [tool.function.name for tool in tools]
    if len(set(names)) < len(names):
        raise InvalidTools("Two tools have the same name.", parameter="tools", remedy="Rename one.")
    _check_choice(choice, names)
    if not tools or choice == "none":
        return Offer()
    chosen = _chosen(choice, tools)
    if not chosen:
        _check_free(tools, parallel)
    return Offer(
        write_json([_as_templates_want(tool) for tool in tools]),
        write_json({"anyOf": [_schema_of_call(tool, place) for place, tool in enumerate(chosen)]}) if chosen else "",
        frozenset(names),
    )


def _check_choice(choice: Choice, names: Sequence[str]) -> None:
    # (2) what has to be called is offered
    if choice == "required" and not names:
        raise InvalidTools("A call is required and no tool is offered.", parameter="tool_choice", remedy="Offer tools.")
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        raise InvalidTools(
            f"tool_choice names {choice.function.name!r}, which is not among the tools.",
            parameter="tool_choice",
            remedy="Name one that is offered.",
        )


def _check_free(tools: Sequence[Tool], parallel: bool) -> None:
    # (3) a model that is free to call is not promised to call only once
    if not parallel:
        raise InvalidTools(
            "parallel_tool_calls: false is only possible with a tool_choice that requires a call: nothing else keeps "
            "a model from calling twice.",
            parameter="parallel_tool_calls",
            remedy="Leave it out, or require a call.",
            possible=False,
        )
    # (4) nor to keep to the schema of the arguments
    strict = next((place for place, tool in enumerate(tools) if tool.function.strict), None)
    if strict is not None:
        raise InvalidTools(
            "strict is only possible with a tool_choice that requires a call: then arguments keep to their schema.",
            parameter=f"tools[{strict}].function.strict",
            remedy="Leave it out, or require a call.",
            possible=False,
        )


def _chosen(choice: Choice, tools: Sequence[Tool]) -> list[Tool]:
    """Those of which one has to be called; none where the model is free."""
    if isinstance(choice, NamedTool):
        return [tool for tool in tools if tool.function.name == choice.function.name]
    return list(tools) if choice == "required" else []


def _as_templates_want(tool: Tool) -> dict[str, object]:
    """Every template reads these members, and some fail where one is missing."""
    function = tool.function
    told = {"name": function.name, "description": function.description, "parameters": function.parameters or OBJECT}
    return {"type": "function", "function": told}


def _schema_of_call(tool: Tool, place: int) -> dict[str, object]:
    """`place` is where it stands among the schemas of other calls. The arguments are those that the tool names, unless
    it says that there may be others: a model would go on and invent some."""
    function = tool.function
    arguments = moved(closed(function.parameters or NOTHING), f"/anyOf/{place}/properties/arguments")
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
