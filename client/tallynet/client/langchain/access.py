"""What all our LangChain classes have in common: which model, of which network, and the client that is asked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from tallynet.client.answer import Answer
from tallynet.client.blocking import Client
from tallynet.client.terms import DEADLINE_SECONDS, AskOptions
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.units import Address, Digest

SAMPLING = ("max_tokens", "temperature", "top_k", "top_p")
WISHES = ("schema", "tools", "tool_choice", "parallel_tool_calls", "logit_bias")
OTHERS = ("model", "timeout", "max_price_wei", "parents", "documents", "template", "stream")
"""What else can be given with a call; `stream` is LangChain's own."""


class Access(BaseModel):
    """A model of the network."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str
    """Its name, or its id 0x…."""
    network: Path | str | None = None
    """The network file; by default the user's own."""
    client: Client | None = Field(default=None, exclude=True, repr=False)
    """Used if there is one, and then not closed here; otherwise one is opened, and closed when the program ends."""
    timeout: float | None = None
    """Seconds until the whole answer; 120 by default."""
    max_price_wei: int | None = None
    """Ceiling of each job; by default what is advertised."""
    nodes: Sequence[str] = ()
    """Ask only these, 0x…."""
    on_answer: Callable[[Answer], None] | None = Field(default=None, exclude=True, repr=False)
    """Told every answer with its receipt, to save or to check it: `on_answer=answers.append`."""

    _own: Client | None = PrivateAttr(default=None)

    def opened(self) -> Client:
        """The client. Raises `Misconfigured` for a network file that cannot be read."""
        if self.client is not None:
            return self.client
        if self._own is None:
            self._own = Client(self.network)
        return self._own

    def told(self, answer: Answer) -> Answer:
        """The same answer, when whoever wants to know of it has been told."""
        if self.on_answer is not None:
            self.on_answer(answer)
        return answer


class WritingAccess(Access):
    """A model that writes."""

    temperature: float | None = None
    """0, the default, takes the likeliest token."""
    max_tokens: int | None = None
    """Longest answer; 256 by default."""
    top_k: int | None = None
    top_p: float | None = None
    stop: list[str] | None = None
    """The answer ends before these."""
    max_retries: int | None = None
    """Without effect: the client goes from node to node by itself with one signed job, which is paid once. A retry of
    LangChain's (`with_retry`) would be another job."""

    def options(self, stop: Sequence[str] | None, changes: dict[str, Any]) -> AskOptions:
        """Ours for one call; `changes` are those that are given with the call. Raises `InvalidJob` for one that has no
        meaning here: it would be passed over."""
        strange = changes.keys() - {*SAMPLING, *WISHES, *OTHERS}
        if strange:
            raise InvalidJob(f"there is no option {min(strange)!r}", remedy="Leave it out.")
        given: dict[str, Any] = {name: changes.get(name, getattr(self, name)) for name in SAMPLING}
        given |= {name: changes.get(name) for name in WISHES}
        options = AskOptions(
            deadline_seconds=changes.get("timeout", self.timeout) or DEADLINE_SECONDS,
            max_price_wei=changes.get("max_price_wei", self.max_price_wei),
            nodes=[Address(read_hex(node)) for node in self.nodes],
            stop=list(stop if stop is not None else self.stop or ()),
            parents=[Digest(read_hex(parent)) for parent in changes.get("parents", ())],
        )
        return cast(AskOptions, {**{name: value for name, value in given.items() if value is not None}, **options})


def read_hex(text: str) -> bytes:
    """Bytes as they are written everywhere, with or without 0x. Raises `InvalidJob`."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise InvalidJob(f"{text[:80]!r} is not hex", remedy="Write 0x and hex digits.") from error
