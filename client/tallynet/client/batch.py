"""Many questions at once: the answers in the order of the questions.

With `ask_each` one that fails ends no other, and its error stands in its place: what has been answered has been paid
for. With `ask_all` the first that fails ends the others: they are of use only together.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import trio

from tallynet.client.answer import Answer
from tallynet.protocol.errors import TallyError

Outcome = Answer | TallyError
Tell = Callable[[int], None]
"""Told how many questions are done, after each."""

AT_ONCE = 8
"""Jobs of one call that are under way together."""

Q = TypeVar("Q")
A = TypeVar("A")


async def ask_each(
    ask: Callable[[Q], Awaitable[A]], prompts: Sequence[Q], at_once: int, tell: Tell
) -> list[A | TallyError]:
    """`ask` is called for every prompt, at most `at_once` at a time. Raises ValueError for less than one at a time."""
    if at_once < 1:
        raise ValueError(f"{at_once} questions at a time is no way to ask any")
    outcomes: dict[int, A | TallyError] = {}
    places = trio.CapacityLimiter(at_once)

    async def ask_one(number: int, prompt: Q) -> None:
        async with places:
            try:
                outcomes[number] = await ask(prompt)
            except TallyError as error:
                outcomes[number] = error
        tell(len(outcomes))

    async with trio.open_nursery() as nursery:
        for number, prompt in enumerate(prompts):
            nursery.start_soon(ask_one, number, prompt)
    return [outcomes[number] for number in range(len(prompts))]


async def ask_all(
    ask: Callable[[Q], Awaitable[A]], prompts: Sequence[Q], at_once: int = AT_ONCE, tell: Tell = lambda done: None
) -> list[A]:
    """As `ask_each`. The first `TallyError` of `ask` ends the others and is raised."""
    failed: list[TallyError] = []
    outcomes: list[A | TallyError] = []

    async def ask_or_end(prompt: Q) -> A:
        try:
            return await ask(prompt)
        except TallyError as error:
            failed.append(error)
            scope.cancel()
            raise

    with trio.CancelScope() as scope:
        outcomes = await ask_each(ask_or_end, prompts, at_once, tell)
    if failed:
        raise failed[0]
    return [outcome for outcome in outcomes if not isinstance(outcome, TallyError)]


@contextmanager
def progress_bar(count: int, *, shown: bool) -> Iterator[Tell]:
    """A bar on stderr while the block lasts; nothing when it is not to be shown."""
    if not shown:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Asking", total=count)
        yield lambda done: progress.update(task, completed=done)
