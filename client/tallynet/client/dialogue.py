"""A dialogue with one model, on the record: each question carries all that was said before it, and its job names the
answer before it as its parent, so that the receipts form a chain.

    talk = client.dialogue("tally-tiny", system="Answer in one word.")
    print(talk.say("What is the capital of Japan?").text)
    print(talk.say("And of France?").text)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tallynet.client.answer import Answer
from tallynet.client.terms import AskOptions
from tallynet.protocol.request import Message

if TYPE_CHECKING:
    from tallynet.client.blocking import BlockingStream

Open = Callable[[Sequence[Message], AskOptions], "BlockingStream"]


class Dialogue:
    """For one thread. An answer that was cut short, or an error, leaves the dialogue as it was: ask again."""

    def __init__(self, open_stream: Open, system: str, options: AskOptions) -> None:
        """`open_stream` puts a whole dialogue to the model. `system` comes first and stays; empty: none."""
        self._open = open_stream
        self._options = options
        self.turns: tuple[Message, ...] = (Message("system", system),) if system else ()
        """All that was said, in order."""
        self.answers: list[Answer] = []
        """Those that are part of the dialogue, with their receipts."""

    def say(self, text: str) -> Answer:
        """Ask the next question. Raises what `Client.ask` raises."""
        with self.stream(text) as stream:
            for _ in stream:
                continue
        return stream.answer

    @contextmanager
    def stream(self, text: str) -> Iterator["BlockingStream"]:
        """As `say`, in pieces: see `Client.stream`. Left early, or by an error, it is no part of the dialogue."""
        question = Message("user", text)
        with self._open((*self.turns, question), self._next_options()) as stream:
            yield stream
        if stream.finished and stream.answer.status.finished:
            self.turns = (*self.turns, question, stream.answer.turn)
            self.answers.append(stream.answer)

    def _next_options(self) -> AskOptions:
        """The parents that the user named belong to the first question; then it is the answer before."""
        if not self.answers:
            return self._options
        return AskOptions(**{**self._options, "parents": (self.answers[-1].output,)})
