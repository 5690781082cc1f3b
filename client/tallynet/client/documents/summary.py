"""A text of any length in few words: its parts are summarised, then their summaries, until one is left.

Each summary of summaries names the answers that it was made from as its parents, so that the receipts form a tree from
the last one down to the parts of the text, whose digests stand in their requests.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from tallynet.client.answer import Answer
from tallynet.client.batch import ask_all
from tallynet.client.client import AsyncClient
from tallynet.client.conversation import NodeRefused
from tallynet.client.documents.length import characters_that_fit, is_too_long
from tallynet.client.documents.passage import cut_text
from tallynet.client.tasks.result import TaskResult
from tallynet.client.terms import AskOptions
from tallynet.protocol.errors import Misconfigured, UnfitAnswer
from tallynet.protocol.job import MAX_PARENTS
from tallynet.protocol.units import Digest, JobId
from tallynet.templates.template import Template

SUMMARY_TOKENS = 512
AT_ONCE = 4
"""Jobs that are under way together."""
SMALLEST = 200
"""Characters; a part is not cut further."""
INSTRUCTIONS = 600
"""Characters that the template adds, at most."""
MAX_TEXT = 4 * 1024 * 1024
"""Characters."""

Tell = Callable[[int, int], None]
"""Told how many of the parts that are known so far have been summarised."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The last summary and all answers behind it."""

    result: TaskResult
    answers: tuple[Answer, ...]
    """Of the parts first, the last one last."""

    @property
    def text(self) -> str:
        """The last summary, in the model's own words."""
        return self.result.text


@dataclass(frozen=True, slots=True)
class _Part:
    """A text to be summarised: a piece of the original, or a summary already."""

    text: str
    result: TaskResult | None = None
    """Of a summary."""
    made_from: Sequence[Digest] = ()
    """Of a piece of some summaries: their answers."""

    @property
    def parents(self) -> Sequence[Digest]:
        """What a job that is made from it names: the answers behind it; none for a piece of the original."""
        return self.made_from if self.result is None else (self.result.answer.output,)


async def summarise(
    client: AsyncClient,
    model: str,
    text: str,
    *,
    words: int = 120,
    characters: int | None = None,
    task: str | Template = "summarise",
    templates: Path | None = None,
    tell: Tell = lambda done, total: None,
    **options: Unpack[AskOptions],
) -> Summary:
    """Summarise a text in about `words` words. `characters` is how long a part may be; by default what fits the
    model's context. A part that a node finds too long is cut in two: refused jobs are not paid.

    Raises `Misconfigured` for an empty or enormous text, `UnfitAnswer` when the summaries do not get shorter, and what
    `run_task` raises.
    """
    if not text.strip() or len(text) > MAX_TEXT:
        raise Misconfigured(f"The text has {len(text)} characters.", remedy=f"Give it 1 to {MAX_TEXT}.")
    asked = AskOptions(**{"max_tokens": SUMMARY_TOKENS, **options})
    if characters is None:
        characters = await characters_that_fit(client, model, asked["max_tokens"]) - INSTRUCTIONS
    run = _Run(client, model, task, templates, words, asked, max(characters, SMALLEST), tell)
    return await run.reduce([_Part(piece) for piece in cut_text(text, run.characters)])


@dataclass
class _Run:
    """One text on its way."""

    client: AsyncClient
    model: str
    task: str | Template
    templates: Path | None
    words: int
    options: AskOptions
    characters: int
    """How long a part may be; less as soon as a node finds one too long."""
    tell: Tell
    done: int = 0

    async def reduce(self, parts: list[_Part]) -> Summary:
        """Summarise the parts, then their summaries, until one is left. Raises what `summarise` raises."""
        answers: dict[JobId, Answer] = {}
        groups = [[part] for part in parts]
        while True:
            last = len(groups) == 1
            parts = [part for made in await self._each(groups, is_part=not last) for part in made]
            results = [part.result for part in parts if part.result is not None]
            answers |= {result.answer.job: result.answer for result in results}
            if len(results) == 1:
                return Summary(results[0], tuple(answers.values()))
            groups = self._grouped(parts)

    def _grouped(self, parts: list[_Part]) -> list[list[_Part]]:
        """Neighbours that fit together. Raises `UnfitAnswer` when none do: else it would never end."""
        groups: list[list[_Part]] = [[]]
        for part in parts:
            size = sum(len(other.text) + 2 for other in groups[-1]) + len(part.text)
            if groups[-1] and (size > self.characters or len(groups[-1]) == MAX_PARENTS):
                groups.append([])
            groups[-1].append(part)
        if len(groups) == len(parts):
            text = parts[0].text
            raise UnfitAnswer(
                f"The summaries do not get shorter: one has {len(text)} characters, a part may have {self.characters}.",
                text=text,
                remedy="Ask for fewer words, or a model with a longer context.",
            )
        return groups

    async def _each(self, groups: Sequence[Sequence[_Part]], *, is_part: bool) -> list[list[_Part]]:
        """Summarise some groups at a time; the first error ends the others. A lone summary is left as it is."""
        before, total = self.done, self.done + len(groups)

        async def make(group: Sequence[_Part]) -> list[_Part]:
            lone = len(group) == 1 and group[0].result is not None
            return list(group) if lone else await self._make(group, is_part=is_part)

        def note(done: int) -> None:
            self.done = before + done
            self.tell(self.done, total)

        note(0)
        return await ask_all(make, groups, AT_ONCE, note)

    async def _make(self, group: Sequence[_Part], *, is_part: bool) -> list[_Part]:
        """The summary of one group, or of each half of it when the nodes find it too long."""
        texts = [part.text for part in group]
        parents = [parent for part in group for parent in part.parents]
        try:
            return [await self._ask(texts, parents, is_part=is_part)]
        except NodeRefused as error:
            if not is_too_long(error) or len("".join(texts)) < 2 * SMALLEST:
                raise
        half = len("\n\n".join(texts)) // 2 + 1
        self.characters = min(self.characters, half)
        made: list[_Part] = []
        for text in cut_text("\n\n".join(texts), half):
            made += await self._make([_Part(text, made_from=parents)], is_part=True)
        return made

    async def _ask(self, texts: Sequence[str], parents: Sequence[Digest], *, is_part: bool) -> _Part:
        known = tuple(self.options.get("parents", ()))
        result = await self.client.run_task(
            self.model,
            self.task,
            {"text": "\n\n".join(texts), "words": self.words, "part": is_part},
            documents=[Digest(hashlib.sha256(text.encode()).digest()) for text in texts],
            templates=self.templates,
            **AskOptions(**{**self.options, "parents": (*known, *parents)[:MAX_PARENTS]}),
        )
        return _Part(result.text.strip(), result)
