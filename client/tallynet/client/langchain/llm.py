"""A model for LangChain that goes on with texts as they are, without a chat template."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseLLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult

from tallynet.client.answer import Answer
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.batch import AT_ONCE, ask_each
from tallynet.client.client import AsyncClient
from tallynet.client.langchain.access import WritingAccess
from tallynet.client.langchain.answers import describe_answer
from tallynet.client.langchain.bridge import run, stream_pieces
from tallynet.client.langchain.messages import make_text_request
from tallynet.protocol.errors import TallyError


class TallynetLLM(WritingAccess, BaseLLM):
    """`TallynetLLM(model="base-model")`. `generation_info` names job, node and evidence."""

    @property
    def _llm_type(self) -> str:
        return "tallynet"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop}

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return self._result(self.opened().call(lambda client: self._ask_all(client, prompts, stop, kwargs)))

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return self._result(await run(self.opened(), lambda client: self._ask_all(client, prompts, stop, kwargs)))

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with self.opened().open_stream(lambda client: self._begin(client, prompt, stop, kwargs)) as stream:
            for piece in stream:
                if run_manager:
                    run_manager.on_llm_new_token(piece)
                yield GenerationChunk(text=piece)
        yield GenerationChunk(text="", generation_info=describe_answer(self.told(stream.answer)))

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        async def begin(client: AsyncClient) -> AnswerStream:
            return self._begin(client, prompt, stop, kwargs)

        client = self.opened()
        stream = await run(client, begin)
        async with aclosing(stream_pieces(client, stream)) as pieces:
            async for piece in pieces:
                if run_manager:
                    await run_manager.on_llm_new_token(piece)
                yield GenerationChunk(text=piece)
        yield GenerationChunk(text="", generation_info=describe_answer(self.told(stream.answer)))

    def _begin(self, client: AsyncClient, prompt: str, stop: list[str] | None, changes: dict[str, Any]) -> AnswerStream:
        request = make_text_request(prompt, changes.get("documents", ()), changes.get("template", ""))
        return client.stream(changes.get("model", self.model), request, **self.options(stop, changes))

    async def _ask_all(
        self, client: AsyncClient, prompts: list[str], stop: list[str] | None, changes: dict[str, Any]
    ) -> list[Answer]:
        """The answers in order; the first error, when all have been asked."""

        async def ask(prompt: str) -> Answer:
            async with self._begin(client, prompt, stop, changes) as stream:
                return await stream.finish()

        outcomes = await ask_each(ask, prompts, AT_ONCE, lambda _: None)
        for outcome in outcomes:
            if isinstance(outcome, TallyError):
                raise outcome
        return [outcome for outcome in outcomes if not isinstance(outcome, TallyError)]

    def _result(self, answers: list[Answer]) -> LLMResult:
        infos = [describe_answer(self.told(answer)) for answer in answers]
        made = [
            [Generation(text=answer.text, generation_info=info)] for answer, info in zip(answers, infos, strict=True)
        ]
        usage = {
            "prompt_tokens": sum(answer.usage.prompt_tokens for answer in answers),
            "completion_tokens": sum(answer.usage.completion_tokens for answer in answers),
            "total_tokens": sum(answer.usage.total_tokens for answer in answers),
        }
        return LLMResult(generations=made, llm_output={"token_usage": usage, "model_name": self.model})
