"""Tools of LangChain's, of whatever kind, as the client takes them."""

from collections.abc import Callable
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from tallynet.client.tools.definition import ToolChoice

Tool: TypeAlias = dict[str, Any] | type | Callable[..., Any] | BaseTool
Choice: TypeAlias = str | dict[str, Any] | bool | None


def describe_tool(tool: Tool, strict: bool | None = None) -> dict[str, Any]:
    """As OpenAI describes it. Raises ValueError for what is none.

    `strict` is not left to LangChain, which would make optional arguments required ones.
    """
    described = convert_to_openai_tool(tool)
    if strict is None or "function" not in described:
        return described
    return {**described, "function": {**described["function"], "strict": strict}}


def read_choice(choice: Choice) -> ToolChoice:
    """`any`, LangChain's word for a call that is required, and True say the same; None and False nothing."""
    if isinstance(choice, bool) or choice is None:
        return "required" if choice else "auto"
    return "required" if choice == "any" else choice
