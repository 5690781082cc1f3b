"""Structured output: a schema of LangChain's as a JSON schema, and the answer read back."""

from collections.abc import AsyncIterator, Iterator, Mapping
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableGenerator, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from tallynet.client.tools.offer import OBJECT
from tallynet.client.tools.schemas import closed
from tallynet.protocol.errors import InvalidJob

Schema = dict[str, Any] | type
Method = Literal["json_schema", "json_mode", "function_calling"]


def schema_of(schema: Schema, method: Method, strict: bool | None) -> Mapping[str, Any]:
    """The JSON schema that the answer is held to. An object of which it does not say whether it may have members that
    it does not name has none, unless `strict` is False: a model would go on and invent some."""
    if method == "json_mode":
        return OBJECT
    told = _parameters(schema) if isinstance(schema, dict) else _of_class(schema)
    return told if strict is False else closed(told)


def parser_of(schema: Schema) -> Runnable[BaseMessage, Any]:
    """Reads an answer that is the JSON itself."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return _whole() | PydanticOutputParser(pydantic_object=schema)
    return _whole() | JsonOutputParser()


def call_parser_of(schema: Schema, name: str) -> Runnable[BaseMessage, Any]:
    """Reads an answer that calls a tool of this `name`."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return _whole() | PydanticToolsParser(tools=[schema], first_tool_only=True)
    return _whole() | JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def with_raw(model: Runnable[Any, Any], parser: Runnable[BaseMessage, Any]) -> Runnable[Any, dict[str, Any]]:
    """The message beside what was read; what is wrong with it is told, and not raised."""
    read = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | read.with_fallbacks([unread], exception_key="parsing_error")


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema in a function of OpenAI's, or the dictionary itself."""
    function = schema["function"] if schema.get("type") == "function" and "function" in schema else schema
    if "name" in function and "parameters" in function:
        return dict(function["parameters"])
    return schema


def _of_class(schema: type) -> dict[str, Any]:
    """In Pydantic's own words, which say all that it checks; of a TypedDict, in LangChain's."""
    if not is_basemodel_subclass(schema):
        return convert_to_json_schema(schema)
    write = getattr(schema, "model_json_schema", None) or getattr(schema, "schema", None)
    if write is None:
        raise InvalidJob(f"{schema!r} is no model of Pydantic's", remedy="Give a class, a TypedDict or a JSON schema.")
    return dict(write())


def _whole() -> Runnable[BaseMessage, BaseMessage]:
    """Lets messages pass. Raises OutputParserException when the answer was cut off, before anybody takes its part for
    all of it."""

    def each(messages: Iterator[BaseMessage]) -> Iterator[BaseMessage]:
        for message in messages:
            yield _checked(message)

    async def each_async(messages: AsyncIterator[BaseMessage]) -> AsyncIterator[BaseMessage]:
        async for message in messages:
            yield _checked(message)

    return RunnableGenerator(each, each_async, name="whole")


def _checked(message: BaseMessage) -> BaseMessage:
    if message.response_metadata.get("finish_reason") == "length":
        raise OutputParserException(
            "The answer was cut off before its JSON was whole: raise max_tokens.", llm_output=message.text
        )
    return message
