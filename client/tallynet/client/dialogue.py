"""A dialogue with one model, on the record: each question carries all that was said before it, and its job names the
answer before it as its parent, so that the receipts form a chain.

    talk = client.dialogue("tally-tiny", system="Answer in one word.")
    print(talk.say("What is the capital of Japan?").text)
    print(talk.say("And of France?").text)
"""

from collections.abc import Callable, Sequence

from tallynet.client.answer import Answer
from tallynet.client.terms import AskOptions
from tallynet.protocol.request import Message

Ask = Callable[[Sequence[Message], AskOptions], Answer]


class Dialogue:
    """For one thread. An answer that was cut short, or an error, leaves the dialogue as it was: ask again."""

    def __init__(self, ask: Ask, system: str, options: AskOptions) -> None:
        """`ask` puts a whole dialogue to the model. `system` comes first and stays; empty: none."""
        self._ask = ask
        self._options = options
        self.turns: tuple[Message, ...] = (Message("system", system),) if system else ()
        """All that was said, in order."""
        self.answers: list[Answer] = []
        """Those that are part of the dialogue, with their receipts."""

    def say(self, text: str) -> Answer:
        """Ask the next question. Raises what `Client.ask` raises."""
        question = Message("user", text)
        answer = self._ask((*self.turns, question), self._next_options())
        if answer.status.finished:
            self.turns = (*self.turns, question, Message("assistant", answer.text))
            self.answers.append(answer)
        return answer

    def _next_options(self) -> AskOptions:
        """The parents that the user named belong to the first question; then it is the answer before."""
        if not self.answers:
            return self._options
        return AskOptions(**{**self._options, "parents": (self.answers[-1].output,)})
