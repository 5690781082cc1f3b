"""LangChain's standard tests against a real network, whose tiny model keeps to grammars and understands nothing."""

import json
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel

from tallynet.client.langchain import ChatTallynet
from tallynet.protocol.errors import Refused
from tests.client.langchain.tiny import NAME, client

pytestmark = pytest.mark.langchain

CALL: Any = {"name": "weather", "args": {}, "id": "1", "type": "tool_call"}


class Translation(BaseModel):
    french: Literal["chat", "chien", "maison"]


class TestTiny(ChatModelIntegrationTests):
    """A call that is required comes, of the right tool and with arguments of the right types."""

    @property
    def chat_model_class(self) -> type[ChatTallynet]:
        return ChatTallynet

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": NAME, "client": client(), "max_tokens": 100}

    @pytest.mark.xfail(strict=True, reason="The argument has to be the number in the question; any number comes.")
    def test_tool_calling(self, model: BaseChatModel) -> None:
        super().test_tool_calling(model)

    @pytest.mark.xfail(strict=True, reason="The argument has to be the number in the question; any number comes.")
    async def test_tool_calling_async(self, model: BaseChatModel) -> None:
        await super().test_tool_calling_async(model)

    @pytest.mark.xfail(strict=True, reason="The argument has to be the name in the question; any text comes.")
    def test_unicode_tool_call_integration(
        self, model: BaseChatModel, *, tool_choice: str | None = None, force_tool_call: bool = True
    ) -> None:
        super().test_unicode_tool_call_integration(model, tool_choice=tool_choice, force_tool_call=force_tool_call)

    @pytest.mark.xfail(strict=True, reason="No call is required, and a model that never saw tools makes none.")
    @pytest.mark.parametrize("model", [{}, {"output_version": "v1"}], indirect=True)
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)


def test_model_whose_template_takes_no_tools_says_so() -> None:
    model = ChatTallynet(model="tally-tiny", client=client())

    with pytest.raises(Refused, match="takes no tools"):
        model.bind_tools([{"name": "weather"}], tool_choice="any").invoke("How warm is it?")
    with pytest.raises(Refused, match="takes no tools"):
        model.invoke([AIMessage("", tool_calls=[CALL]), ToolMessage("21", tool_call_id="1")])


def test_model_whose_template_takes_no_tools_gives_structured_output() -> None:
    model = ChatTallynet(model="tally-tiny", client=client())
    told = model.with_structured_output(Translation).invoke("How do you say cat in French?")

    assert told == Translation(french="chat")


def test_required_call_keeps_to_definitions() -> None:
    place = {"type": "object", "properties": {"inside": {"type": "boolean"}}, "required": ["inside"]}
    parameters = {
        "type": "object",
        "properties": {"here": {"$ref": "#/$defs/Place"}, "there": {"$ref": "#/$defs/Place"}},
        "required": ["here", "there"],
        "$defs": {"Place": place},
    }
    tools = [{"type": "function", "function": {"name": "go", "parameters": parameters}}]
    (call,) = client().ask(NAME, "Go.", tools=tools, tool_choice="go").calls

    told = json.loads(call.arguments)
    assert call.name == "go" and list(told) == ["here", "there"]
    assert all(isinstance(one["inside"], bool) and len(one) == 1 for one in told.values())
