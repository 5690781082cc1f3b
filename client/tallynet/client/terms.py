"""What a user asks for beside the words: how long, how random, until when, at what price, of whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from tallynet.client.tools.definition import ToolChoice, ToolMapping
from tallynet.client.wishes import Schema, Wishes, read_wishes
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import MILLION, Sampling, Task
from tallynet.protocol.units import Address, Digest, Wei

DEADLINE_SECONDS = 120.0
LONGEST_DEADLINE_SECONDS = 7 * 24 * 3600.0


class WrongTask(InvalidJob):
    """The model does other work than what is asked of it: it makes vectors, or, if not `embeds`, it makes none."""

    def __init__(self, message: str, *, embeds: bool, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.embeds = embeds


class AskOptions(TypedDict, total=False):
    """The options of `ask` and `stream`; the defaults are those of `read_terms`."""

    max_tokens: int
    """Longest answer, 1 to 8192 tokens; 256 by default."""
    temperature: float
    """0 to 10. 0, the default, always takes the likeliest token."""
    top_k: int
    """Choose among the k likeliest tokens; 0, the default, among all."""
    top_p: float
    """Choose among the fewest likeliest tokens that reach this probability, 0 < top_p ≤ 1; 1 by default."""
    stop: str | Sequence[str]
    """The answer ends before the first of these texts; at most 8, of at most 64 characters."""
    schema: Schema
    """A JSON schema, as a dictionary or a text: the answer is JSON that satisfies it, if `max_tokens` suffice."""
    tools: Sequence[ToolMapping]
    """What the model may call, as OpenAI describes tools; only for models whose chat template takes them. The calls are
    in `Answer.calls`."""
    tool_choice: ToolChoice
    """`auto`, the default: the model calls if it wants. `none`: no tool is offered. `required`, or a tool's name: the
    answer is the JSON of one call, if `max_tokens` suffice."""
    parallel_tool_calls: bool
    """False: one call at most; only possible where a call is required. True by default."""
    logit_bias: Mapping[int, float]
    """Token ids and what is added to their logits, -100 to 100; at most 300."""
    deadline_seconds: float
    """Bounds everything, from looking for a node to the verified receipt; 120 by default, at most a week."""
    max_price_wei: int | None
    """Ceiling for the whole job. Without it what the node advertises is paid, and not a wei more."""
    parents: Sequence[Digest]
    """`Answer.output` of the answers that this question builds on; at most 16."""
    node: Address | None
    """Ask this node and no other."""
    nodes: Sequence[Address]
    """Ask only among these nodes, the best first; empty, the default: among all."""
    audit_consent: bool
    """Whether question and answer may be opened to an auditor who draws this run; anybody may audit. No by default."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The options, read. Bounds that a job has are checked when the job is made."""

    sampling: Sampling
    seconds: float
    max_price: Wei | None
    parents: tuple[Digest, ...]
    node: Address | None
    nodes: frozenset[Address] = frozenset()
    task: Task = Task.GENERATE
    audit_consent: bool = False
    wishes: Wishes = field(default=Wishes(), repr=False)

    @property
    def most_tokens(self) -> int:
        """That are written, and paid as such."""
        return 0 if self.task == Task.SCORE else self.sampling.max_tokens


def read_terms(
    *,
    max_tokens: int = 256,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: str | Sequence[str] = (),
    schema: Schema = "",
    tools: Sequence[ToolMapping] = (),
    tool_choice: ToolChoice = "auto",
    parallel_tool_calls: bool = True,
    logit_bias: Mapping[int, float] | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    max_price_wei: int | None = None,
    parents: Sequence[Digest] = (),
    node: Address | None = None,
    nodes: Sequence[Address] = (),
    audit_consent: bool = False,
) -> Terms:
    """Raises `InvalidJob` for numbers that no job can carry."""
    if not (math.isfinite(temperature) and math.isfinite(top_p)):
        raise InvalidJob(f"temperature is {temperature} and top_p {top_p}: both must be finite numbers")
    if not 0 < deadline_seconds <= LONGEST_DEADLINE_SECONDS:
        raise InvalidJob(f"the deadline is {deadline_seconds} s from now, not within {LONGEST_DEADLINE_SECONDS:g} s")
    sampling = Sampling(
        max_tokens=max_tokens,
        temperature_millionths=round(temperature * MILLION),
        top_k=top_k,
        top_p_millionths=round(top_p * MILLION),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )
    max_price = None if max_price_wei is None else Wei(max_price_wei)
    return Terms(
        sampling, deadline_seconds, max_price, tuple(parents), node, frozenset(nodes), audit_consent=audit_consent,
        wishes=read_wishes(schema, tools, logit_bias or {}, tool_choice=tool_choice, parallel=parallel_tool_calls),
    )  # fmt: skip
