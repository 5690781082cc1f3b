"""Many questions at once: the answers in the order of the questions, and in place of a failed one its error.

One that fails ends no other: what has been answered has been paid for.
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
