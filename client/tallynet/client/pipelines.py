"""Models of the network in the idiom of Hugging Face's `transformers.pipeline`: the same tasks, inputs and shapes.

    translate = pipeline("translation_en_to_fr", model="tally-tiny")
    print(translate("cat")[0]["translation_text"], translate("cat").receipts)

What comes back is a list as there, with `answers` and `receipts` besides, and each dictionary holds its `receipt`. The
model runs on a node, so that whatever is about a model's inside (tensors, devices, tokenizers) is not here.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from tallynet.client.answer import Answer
from tallynet.client.batch import AT_ONCE, ask_each, progress_bar
from tallynet.client.blocking import Client
from tallynet.client.client import AsyncClient
from tallynet.client.documents.summary import summarise
from tallynet.client.order import Prompt
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured, TallyError
from tallynet.protocol.receipt import VerifiedReceipt
from tallynet.protocol.request import Request

Chat = Sequence[Mapping[str, str]]
"""Messages `{"role": …, "content": …}`."""
Row = dict[str, Any]
Run = Callable[[AsyncClient, Any], Awaitable[tuple[Any, Answer]]]

_TRANSLATION = re.compile(r"translation(?:_([a-z]{2})_to_([a-z]{2}))?")
_OPTIONS = {
    "max_new_tokens": "max_tokens", "max_length": "max_tokens", "temperature": "temperature", "top_k": "top_k",
    "top_p": "top_p", "stop_strings": "stop", "stop_sequence": "stop", "deadline_seconds": "deadline_seconds",
    "max_price_wei": "max_price_wei", "node": "node", "nodes": "nodes", "parents": "parents",
    "audit_consent": "audit_consent",
}  # fmt: skip
"""Their names for what is asked for, and ours."""


class Results(list[Any]):
    """What a pipeline returns, in the shape of transformers."""

    answers: tuple[Answer, ...] = ()
    """One for each input, in their order."""

    @property
    def receipts(self) -> tuple[VerifiedReceipt, ...]:
        """What holds the nodes to them."""
        return tuple(answer.receipt for answer in self.answers)


class Pipeline(ABC):
    """One task with one model. Call it with one input, or with a list of them, which are asked at the same time."""

    task: str
    own: tuple[str, ...] = ()
    """Settings that only this task has."""

    def __init__(self, client: Client, model: str, settings: Mapping[str, Any]) -> None:
        self.client = client
        self.model = model
        self._settings = dict(settings)

    def __call__(self, inputs: Any, *, batch_size: int = AT_ONCE, progress: bool = False, **settings: Any) -> Results:
        """`batch_size` is how many are asked at the same time; `progress` shows a bar on stderr.

        Raises what `Client.ask` raises, the first error of several after all have been tried, and TypeError for a
        setting that means nothing here.
        """
        merged = {**self._settings, **settings}
        options = _read_options(merged, self.own)
        one, asked = self._split(inputs)
        made = self._each(asked, partial(self._run, settings=merged, options=options), batch_size, progress)
        results = Results(self._shape([value for value, _ in made], one, merged))
        results.answers = tuple(answer for _, answer in made)
        return results

    def _split(self, inputs: Any) -> tuple[bool, list[Any]]:
        """Whether it is one input, and all of them."""
        return (True, [inputs]) if isinstance(inputs, str) else (False, list(inputs))

    def _shape(self, values: list[Any], one: bool, settings: Row) -> list[Any]:
        """The list that is returned; dictionaries, one for each input."""
        return values

    @abstractmethod
    async def _run(self, client: AsyncClient, asked: Any, settings: Row, options: AskOptions) -> tuple[Any, Answer]:
        """What one input becomes, and the answer that it is read from."""

    def _each(self, asked: Sequence[Any], run: Run, at_once: int, progress: bool) -> list[tuple[Any, Answer]]:
        with progress_bar(len(asked), shown=progress) as tell:
            outcomes = self.client.call(lambda client: ask_each(lambda entry: run(client, entry), asked, at_once, tell))
        for outcome in outcomes:
            if isinstance(outcome, TallyError):
                raise outcome
        return [outcome for outcome in outcomes if not isinstance(outcome, TallyError)]


class TextGeneration(Pipeline):
    """`text-generation`: a text is continued, a chat (a list of messages) is answered.

    Returns [{"generated_text": …}] for one input, and for several a list of such lists. With `return_full_text=False`
    it is only what the model wrote.
    """

    task = "text-generation"
    own = ("return_full_text",)

    def _split(self, inputs: Any) -> tuple[bool, list[Any]]:
        return (True, [inputs]) if isinstance(inputs, str) or _is_chat(inputs) else (False, list(inputs))

    def _shape(self, values: list[Any], one: bool, settings: Row) -> list[Any]:
        return values if one else [[value] for value in values]

    async def _run(
        self, client: AsyncClient, asked: str | Chat, settings: Row, options: AskOptions
    ) -> tuple[Row, Answer]:
        prompt: Prompt = Request(text=asked) if isinstance(asked, str) else asked
        answer = await client.ask(self.model, prompt, **options)
        written: object = answer.text
        if settings.get("return_full_text", True):
            said = {"role": "assistant", "content": answer.text}
            written = asked + answer.text if isinstance(asked, str) else [*asked, said]
        return {"generated_text": written, **_proof(answer)}, answer


class Translation(Pipeline):
    """`translation`, with `tgt_lang` and perhaps `src_lang`, or `translation_en_to_fr`: [{"translation_text": …}]."""

    task = "translation"
    own = ("src_lang", "tgt_lang")

    async def _run(self, client: AsyncClient, asked: str, settings: Row, options: AskOptions) -> tuple[Row, Answer]:
        inputs = {"text": asked, "to": settings.get("tgt_lang") or _missing(self.task, "tgt_lang")}
        if settings.get("src_lang"):
            inputs["from"] = settings["src_lang"]
        result = await client.run_task(self.model, "translate", inputs, **options)
        return {"translation_text": result.value, **_proof(result.answer)}, result.answer


class Summarization(Pipeline):
    """`summarization` of texts of any length, in about `words` words: [{"summary_text": …}]."""

    task = "summarization"
    own = ("words",)

    async def _run(self, client: AsyncClient, asked: str, settings: Row, options: AskOptions) -> tuple[Row, Answer]:
        words = settings.get("words", 120)
        made = await summarise(client, self.model, asked, words=words, **options)
        return {"summary_text": made.text.strip(), **_proof(made.result.answer)}, made.result.answer


class TextClassification(Pipeline):
    """`text-classification` among the `labels` that are given: [{"label": …, "score": …}].

    The score is the probability with which the model wrote this label, as its node says.
    """

    task = "text-classification"
    own = ("labels",)

    async def _run(self, client: AsyncClient, asked: str, settings: Row, options: AskOptions) -> tuple[Row, Answer]:
        inputs = {"text": asked, "labels": settings.get("labels") or _missing(self.task, "labels")}
        result = await client.run_task(self.model, "classify", inputs, **options)
        score = math.exp(min(0.0, sum(result.answer.logprobs)))
        return {"label": result.value, "score": score, **_proof(result.answer)}, result.answer


class FeatureExtraction(Pipeline):
    """`feature-extraction`: for one text [[vector]], for several a list of these. The vector stands for the whole text:
    where transformers has one for each token, there is one here."""

    task = "feature-extraction"

    def _shape(self, values: list[Any], one: bool, settings: Row) -> list[Any]:
        return values if one else [[value] for value in values]

    async def _run(
        self, client: AsyncClient, asked: str, settings: Row, options: AskOptions
    ) -> tuple[list[list[float]], Answer]:
        (embedding,) = await client.embed(self.model, asked)
        return [list(embedding.vector)], embedding.answer


PIPELINES = {kind.task: kind for kind in (TextGeneration, Summarization, TextClassification, FeatureExtraction)}


def pipeline(
    task: str, model: str, *, client: Client | None = None, network: Path | str | None = None, **settings: Any
) -> Pipeline:
    """A pipeline for `task`, as transformers calls it, with a model of the network: its name or id.

    `client` is used if there is one, or else a new one of the network file `network`. `settings` hold for every call:
    `max_new_tokens`, `do_sample`, `temperature`, `top_k`, `top_p`, and those of `AskOptions`. Raises `Misconfigured`
    for a task that is not here.
    """
    translation = _TRANSLATION.fullmatch(task)
    kind = Translation if translation else PIPELINES.get(task)
    if kind is None:
        names = ", ".join(sorted([*PIPELINES, "translation", "translation_xx_to_yy"]))
        raise Misconfigured(f"There is no pipeline {task!r} here.", remedy=f"There are: {names}.")
    if translation and translation[2]:
        settings = {"src_lang": translation[1], "tgt_lang": translation[2], **settings}
    return kind(client or Client(network), model, settings)


def _read_options(settings: Row, others: Sequence[str]) -> AskOptions:
    """Our options. Without `do_sample` the likeliest token is taken, whatever the temperature is said to be."""
    unknown = settings.keys() - _OPTIONS.keys() - {"do_sample", *others}
    if unknown:
        raise TypeError(f"{', '.join(sorted(unknown))}: no setting of a pipeline here")
    read = {_OPTIONS[name]: value for name, value in settings.items() if name in _OPTIONS and value is not None}
    if settings.get("do_sample", False):
        return cast(AskOptions, {"temperature": 1.0, **read})
    return cast(AskOptions, {**read, "temperature": 0.0, "top_k": 0, "top_p": 1.0})


def _is_chat(inputs: object) -> bool:
    """Whether it is one chat; several are a list of lists."""
    return isinstance(inputs, Sequence) and bool(inputs) and all(isinstance(turn, Mapping) for turn in inputs)


def _missing(task: str, name: str) -> NoReturn:
    raise Misconfigured(f"The pipeline {task} needs {name}.", remedy=f"Write pipeline({task!r}, …, {name}=…).")


def _proof(answer: Answer) -> Row:
    return {"receipt": answer.receipt, "evidence": answer.evidence}
