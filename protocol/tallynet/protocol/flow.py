"""(7) A flow: a graph of steps over several models, each step one job or several, each job naming what it builds on.

A step's prompt is a template over the flow's inputs and the results of other steps. What a template names is what the
step builds on: the graph has no other edges. Nothing in a definition has been checked as a whole until it is wrapped
in a `flow_rules.CheckedFlow`. Source: spec chapter 7.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tallynet.protocol.job import MAX_STOP_CHARACTERS, MAX_STOP_STRINGS, MAX_TOKENS, MILLION, Bytes32, Sampling
from tallynet.protocol.request import MAX_DOCUMENTS
from tallynet.protocol.units import Digest

MAX_STEPS = 64
MAX_INPUTS = 32
MAX_RUNS = 256
"""Most jobs that one flow can take, whatever the models answer."""
MAX_ITEMS = 64
"""Most items that a map can go over."""
MAX_BALLOTS = 16
MAX_ROUNDS = 7
MAX_WIDTH = 16
MAX_TEMPLATE_CHARACTERS = 16 * 1024
MAX_ACCEPT_CHARACTERS = 64
MAX_TASK_INPUTS = 32

Name = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
"""Of a step or an input, as templates call it."""
FlowName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,63}\Z")]
ModelName = Annotated[str, Meta(pattern=r"\A[!-~]{1,96}\Z")]
"""What nodes call a model, or its id, `0x` and 64 hex digits."""
TemplateText = Annotated[str, Meta(min_length=1, max_length=MAX_TEMPLATE_CHARACTERS)]
TaskLabel = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,63}@[1-9][0-9]{0,3}\Z")]
"""Name and version of a prompt template's file."""
TaskText = Annotated[str, Meta(max_length=MAX_TEMPLATE_CHARACTERS)]
TaskInput = (
    TaskText
    | bool
    | Annotated[int, Meta(ge=0, lt=2**31)]
    | Annotated[tuple[TaskText, ...], Meta(max_length=MAX_DOCUMENTS)]
)
"""What a prompt template is filled in with; texts are templates of a flow themselves."""


class Kind(StrEnum):
    """What an input or a result is."""

    TEXT = "text"
    LIST = "list"
    """Of texts."""


class Split(StrEnum):
    """How one text becomes a list."""

    LINES = "lines"
    """Its lines without white space around them, empty ones left out."""
    JSON = "json"
    """It is a JSON array of strings."""


class Choice(StrEnum):
    """How one of several ballots is chosen."""

    MAJORITY = "majority"
    """What most of them say, upper and lower case, white space and a point at the end aside."""
    AGREEMENT = "agreement"
    """The one that shares most words with the others."""


class Map(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One job for every item of a list; the template calls it `item`, its number from 1 `number`."""

    over: Name
    """An input or a step; a text is split."""
    split: Split = Split.LINES
    most: Annotated[int, Meta(ge=1, le=MAX_ITEMS)] = 16
    """More items end the flow."""


class Reduce(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A list into one text: a job for each group of `width` items, and so again with the answers, until one is left."""

    of: Name
    """A step or an input that is a list. The template calls the group `items`."""
    width: Annotated[int, Meta(ge=2, le=MAX_WIDTH)] = 8


class Vote(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The same question several times, and one of the answers."""

    ballots: Annotated[int, Meta(ge=2, le=MAX_BALLOTS)]
    by: Choice = Choice.MAJORITY
    also: Annotated[tuple[ModelName, ...], Meta(max_length=MAX_BALLOTS - 1)] = ()
    """Models that take turns with the step's own."""


class Critic(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A draft, a critique of it, a better draft, and so on until the critique accepts one or the rounds are over."""

    prompt: TemplateText
    """Of the critique; calls the draft `draft`."""
    accept: Annotated[str, Meta(min_length=1, max_length=MAX_ACCEPT_CHARACTERS, pattern=r"\A[!-~]([ -~]*[!-~])?\Z")]
    """A critique that begins with this, upper and lower case aside, accepts the draft."""
    revise: TemplateText
    """Of the better draft; calls what it has `draft` and `critique`."""
    rounds: Annotated[int, Meta(ge=1, le=MAX_ROUNDS)] = 2
    """Most critiques, each followed by a better draft."""
    model: ModelName | None = None
    """Of the critique; the step's own by default."""


class TaskWords(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file of a prompt template that a step's words were made with, and from what.

    The words stand in the step. This is what its jobs say of them, and what whoever has the file can compare.
    """

    template: TaskLabel
    digest: Annotated[Digest, Bytes32]
    """SHA-256 of the file; every request of the step's prompt carries it."""
    inputs: Annotated[dict[Name, TaskInput], Meta(max_length=MAX_TASK_INPUTS)] = {}
    """Without those that the file has a default for and that were left out."""
    documents: Annotated[tuple[TemplateText, ...], Meta(max_length=MAX_DOCUMENTS)] = ()
    """Templates of the passages in the prompt, whose SHA-256 its requests carry too."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer, or with one of `map`, `reduce`, `vote` and `critic` a result of several."""

    model: ModelName
    prompt: TemplateText
    system: Annotated[str, Meta(max_length=MAX_TEMPLATE_CHARACTERS)] = ""
    """A template too; instructions that come before the prompt."""
    raw: bool = False
    """The model goes on with the text as it is, without a chat template."""
    max_tokens: Annotated[int, Meta(ge=1, le=MAX_TOKENS)] = 256
    temperature: Annotated[float, Meta(ge=0, le=10)] = 0.0
    """0 always takes the likeliest token."""
    top_k: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    stop: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=MAX_STOP_CHARACTERS)], ...],
        Meta(max_length=MAX_STOP_STRINGS),
    ] = ()
    map: Map | None = None
    reduce: Reduce | None = None
    vote: Vote | None = None
    critic: Critic | None = None
    task: TaskWords | None = None
    """Where its prompt comes from, if it was not written for this flow."""

    @property
    def shape(self) -> Map | Reduce | Vote | Critic | None:
        """What makes it more than one answer."""
        return self.map or self.reduce or self.vote or self.critic

    @property
    def kind(self) -> Kind:
        """What its result is."""
        return Kind.LIST if self.map else Kind.TEXT

    @property
    def sampling(self) -> Sampling:
        """Of all its jobs: fractions rounded to millionths, halves to the even one."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature_millionths=round(self.temperature * MILLION),
            top_k=self.top_k,
            top_p_millionths=max(1, round(self.top_p * MILLION)),
            stop=self.stop,
        )

    @property
    def models(self) -> tuple[str, ...]:
        """All models that its jobs may be for, by name, the step's own first."""
        others = self.vote.also if self.vote else (self.critic.model,) if self.critic and self.critic.model else ()
        return tuple(dict.fromkeys((self.model, *others)))


class Flow(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The definition. Its last step gives the flow's result."""

    name: FlowName
    steps: Annotated[dict[Name, Step], Meta(min_length=1, max_length=MAX_STEPS)]
    """By name, in an order in which each comes after those that it builds on."""
    inputs: Annotated[dict[Name, Kind], Meta(max_length=MAX_INPUTS)] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that it names, once."""
        return tuple(dict.fromkeys(model for step in self.steps.values() for model in step.models))

    @property
    def last(self) -> str:
        """The step whose result is the flow's."""
        return next(reversed(self.steps))
