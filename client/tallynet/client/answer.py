"""What a client gets: the text, and everything that it takes to hold the node to it."""

from dataclasses import dataclass, field
from pathlib import Path

from tallynet.client.dispatch import Failure
from tallynet.client.order import Order
from tallynet.client.tools.calls import Parts, name_calls, names_of, take_apart
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.leaf import Status
from tallynet.protocol.receipt import SignedReceipt, VerifiedReceipt
from tallynet.protocol.request import Message, ToolCall, decode_request
from tallynet.protocol.units import Address, Digest, JobId, ModelId, TokenIds, Wei
from tallynet.protocol.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as counted by the node, and by us where we can."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose chunks and receipt have all been checked. Not checked: that the model really said it."""

    chunks: tuple[ChunkBody, ...] = field(repr=False)
    prompt: TokenIds = field(repr=False)
    """The prompt as the node told us the model saw it; the receipt commits to it."""
    receipt: VerifiedReceipt = field(repr=False)
    signed_receipt: SignedReceipt = field(repr=False)
    order: Order = field(repr=False)
    model_name: str
    """What the node calls the model."""
    seconds_to_first_token: float | None
    """From the question to the first verified chunk; None for an answer without any."""
    seconds: float
    """From the question to the verified receipt."""
    failures: tuple[Failure, ...] = ()
    """Nodes that were tried first, and what was wrong with them."""

    @property
    def text(self) -> str:
        return "".join(body.text for body in self.chunks)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Calls of the tools that were offered, each with an id of its own; `text` has them too."""
        return name_calls(self.job, self._parts.calls)

    @property
    def turn(self) -> Message:
        """The answer as a turn of the dialogue that goes on. What `Message("tool", …, tool_call_id=call.id)` says of
        each call comes after it."""
        return Message("assistant", self._parts.text, tool_calls=self.calls)

    @property
    def _parts(self) -> Parts:
        return take_apart(self.text, names_of(decode_request(self.order.request).tools))

    @property
    def tokens(self) -> TokenIds:
        return tuple(token for body in self.chunks for token in body.tokens)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """One per token, as the node states them; a replay can check them."""
        return tuple(logprob for body in self.chunks for logprob in body.logprobs)

    @property
    def status(self) -> Status:
        """How it ended; `status.finished` is False for an answer that was cut short."""
        return self.receipt.leaf.status

    @property
    def node(self) -> Address:
        return self.receipt.node

    @property
    def model(self) -> ModelId:
        return self.receipt.leaf.model

    @property
    def job(self) -> JobId:
        return self.order.job.id

    @property
    def output(self) -> Digest:
        """The answer's commitment: name it in `parents` of a job that builds on this one."""
        return self.receipt.leaf.output

    @property
    def index(self) -> int:
        """Where the run stands in the node's log."""
        return self.receipt.receipt.index

    @property
    def usage(self) -> Usage:
        return Usage(self.receipt.leaf.prompt_tokens, self.receipt.leaf.completion_tokens)

    @property
    def price(self) -> Wei:
        return self.receipt.leaf.price

    @property
    def evidence(self) -> str:
        """What has been checked so far: `signed`. The bundle that `wait_for_anchor` returns is `anchored`."""
        return "signed"

    @property
    def tokens_per_second(self) -> float | None:
        """From the first chunk to the end, as seen here; None for less than two chunks."""
        if self.seconds_to_first_token is None or len(self.chunks) < 2:
            return None
        later = sum(len(body.tokens) for body in self.chunks[1:])
        return later / max(self.seconds - self.seconds_to_first_token, 1e-6)

    def bundle(self) -> Bundle:
        """The run with everything that it takes to check it. Whoever has it can read the whole conversation."""
        return Bundle(
            domain=self.order.domain,
            node=self.node,
            job=self.order.signed,
            receipt=self.signed_receipt,
            opening=Whole(self.order.secret, self.order.request, self.prompt, self.chunks),
        )

    def save(self, path: Path | str) -> Path:
        """Write the bundle, not yet anchored, to `path`. Raises `Misconfigured` when it cannot be written."""
        return save_bundle(self.bundle(), path)


def save_bundle(bundle: Bundle, path: Path | str) -> Path:
    """Write a bundle whole or not at all, mode 0600: it may open the conversation to its reader.

    Raises `Misconfigured` when it cannot be written, `InvalidBundle` for one over its caps.
    """
    write_whole(Path(path), write_bundle(bundle).encode(), "bundle", mode=0o600)
    return Path(path)
