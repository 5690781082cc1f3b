"""A chat model for LangChain. Each call is one job; `response_metadata` names it, its node and its evidence."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.client import AsyncClient
from tallynet.client.langchain.access import WritingAccess
from tallynet.client.langchain.answers import Telling, make_message
from tallynet.client.langchain.bridge import run, stream_pieces
from tallynet.client.langchain.messages import make_request
from tallynet.client.langchain.structured import Method, Schema, call_parser_of, parser_of, schema_of, with_raw
from tallynet.client.langchain.tools import Choice, Tool, describe_tool, read_choice


class ChatTallynet(WritingAccess, BaseChatModel):
    """`ChatTallynet(model="tally-tiny", temperature=0)`. A call may name another `model`, `documents` (SHA-256 in hex
    of the passages in the words, sealed with them) and `parents` (the `output` of the answers that it builds on)."""

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: Choice = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call; its chat template has to take them.

        `tool_choice`: `auto` (or None, False), `none`, `any` (or `required`, True), or one tool's name; the last two
        hold the answer to the JSON of one call. `strict` and `parallel_tool_calls=False` are only possible with those:
        else `InvalidTools`, when it is asked.
        """
        described = [describe_tool(tool, strict) for tool in tools]
        choice, parallel = read_choice(tool_choice), parallel_tool_calls is not False
        return self.bind(tools=described, tool_choice=choice, parallel_tool_calls=parallel, **kwargs)

    def with_structured_output(
        self,
        schema: Schema,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model with answers that are JSON, read back as `schema`: a class of Pydantic's, a TypedDict, or a JSON
        schema.

        By `json_schema` the node chooses no token that the schema forbids; by `json_mode` none that is not part of a
        JSON object. The model sees no schema in either, so say in the prompt what is wanted. By `function_calling` it
        sees the schema as a tool, which its chat template has to take, and is held to one call of it.
        """
        if method == "function_calling":
            tool = describe_tool(schema, strict)
            name = tool["function"]["name"]
            options, parser = {"tools": [tool], "tool_choice": name}, call_parser_of(schema, name)
        else:
            options, parser = {"schema": schema_of(schema, method, strict)}, parser_of(schema)
        traced = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        model = self.bind(**options, ls_structured_output_format=traced, **kwargs)
        return with_raw(model, parser) if include_raw else model | parser

    @property
    def _llm_type(self) -> str:
        return "tallynet-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "tallynet"
        params["ls_model_name"] = kwargs.get("model", self.model)
        if stop or self.stop:
            params["ls_stop"] = stop or self.stop
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self.opened().call(lambda client: self._ask(client, messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(await run(self.opened(), lambda client: self._ask(client, messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self.opened().open_stream(lambda client: self._begin(client, messages, stop, kwargs)) as stream:
            telling = Telling(stream)
            for piece in stream:
                for chunk in telling.piece(piece):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield telling.end(self.told(stream.answer))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async def begin(client: AsyncClient) -> AnswerStream:
            return self._begin(client, messages, stop, kwargs)

        client = self.opened()
        stream = await run(client, begin)
        telling = Telling(stream)
        async with aclosing(stream_pieces(client, stream)) as pieces:
            async for piece in pieces:
                for chunk in telling.piece(piece):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        yield telling.end(self.told(stream.answer))

    async def _ask(
        self, client: AsyncClient, messages: list[BaseMessage], stop: list[str] | None, changes: dict[str, Any]
    ) -> Answer:
        async with self._begin(client, messages, stop, changes) as stream:
            return await stream.finish()

    def _begin(
        self, client: AsyncClient, messages: list[BaseMessage], stop: list[str] | None, changes: dict[str, Any]
    ) -> AnswerStream:
        request = make_request(messages, changes.get("documents", ()), changes.get("template", ""))
        return client.stream(changes.get("model", self.model), request, **self.options(stop, changes))

    def _result(self, answer: Answer) -> ChatResult:
        message = make_message(self.told(answer))
        output = {"model_name": answer.model_name, "token_usage": dict(message.usage_metadata or {})}
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)
