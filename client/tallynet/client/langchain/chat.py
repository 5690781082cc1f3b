"""A chat model for LangChain. Each call is one job; `response_metadata` names it, its node and its evidence."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.client import AsyncClient
from tallynet.client.langchain.access import WritingAccess
from tallynet.client.langchain.bridge import run, stream_pieces
from tallynet.client.langchain.messages import describe_answer, describe_usage, make_request


class ChatTallynet(WritingAccess, BaseChatModel):
    """`ChatTallynet(model="tally-tiny", temperature=0)`. A call may name another `model`, `documents` (SHA-256 in hex
    of the passages in the words, sealed with them) and `parents` (the `output` of the answers that it builds on)."""

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
            for piece in stream:
                chunk = _piece(piece)
                if run_manager:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        yield self._end(stream.answer)

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
        async with aclosing(stream_pieces(client, stream)) as pieces:
            async for piece in pieces:
                chunk = _piece(piece)
                if run_manager:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        yield self._end(stream.answer)

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
        metadata, usage = describe_answer(self.told(answer)), describe_usage(answer)
        message = AIMessage(content=answer.text, response_metadata=metadata, usage_metadata=usage)
        output = {"model_name": metadata["model_name"], "token_usage": dict(usage)}
        return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)

    def _end(self, answer: Answer) -> ChatGenerationChunk:
        """The last chunk: no words, but everything about them."""
        metadata, usage = describe_answer(self.told(answer)), describe_usage(answer)
        return ChatGenerationChunk(
            message=AIMessageChunk(content="", response_metadata=metadata, usage_metadata=usage, chunk_position="last")
        )


def _piece(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))
