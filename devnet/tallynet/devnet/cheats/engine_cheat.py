"""What a cheat of the engine layer is: it takes jobs and a model, and makes claims that are not what was asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from transformers import PreTrainedModel

from tallynet.audit.judgement import Ending
from tallynet.devnet.cheats.engine_weights import smaller
from tallynet.engine.engine import Generation
from tallynet.engine.observation import Claim
from tallynet.engine.rehearsal import rehearse
from tallynet.engine.replay import Replayer
from tallynet.protocol.job import MILLION

SLOTS = 16


@dataclass
class Ground:
    """The promised model, as its node has it, and what is made of it."""

    replayer: Replayer
    _models: dict[str, PreTrainedModel] = field(default_factory=dict)
    _honest: dict[tuple[Generation, ...], list[Claim]] = field(default_factory=dict)

    @property
    def model(self) -> PreTrainedModel:
        return self.replayer.model

    def variant(self, name: str, make: Callable[[PreTrainedModel], PreTrainedModel]) -> PreTrainedModel:
        """Another model, made once."""
        if name not in self._models:
            self._models[name] = make(self.model)
        return self._models[name]

    def run(self, asked: Sequence[Generation], model: PreTrainedModel | None = None) -> list[Claim]:
        """What a model answers, honestly told."""
        return rehearse(model or self.model, self.replayer.ends, asked, slots=SLOTS)

    def honest(self, asked: Sequence[Generation]) -> list[Claim]:
        key = tuple(asked)
        if key not in self._honest:
            self._honest[key] = self.run(asked)
        return self._honest[key]

    @cached_property
    def cheap(self) -> PreTrainedModel:
        return self.variant("smaller", smaller)

    def ending(self, claim: Claim, said: str | None = None, *, same_prompt: bool = True) -> Ending:
        """How the auditor sees the end of a run that claims to have ended by `said`; None tells the truth."""
        retold = self.replayer.retell(claim)
        name = retold.finish.name.lower() if retold.finish is not None else ""
        return Ending(said or name, name, finished=True, early=retold.left, same_text=True, same_prompt=same_prompt)


@dataclass(frozen=True, slots=True)
class EngineCheat:
    """One way to cheat."""

    kind: str
    """Its name, on the command line and in reports."""
    about: str
    """What it does, in a few words."""
    claims: Callable[[Ground, Sequence[Generation]], list[Claim]]
    """Runs the jobs its own way and tells of them as if they were honest."""
    says: Callable[[Ground, Claim], Ending] = Ground.ending
    """How such a run claims to have ended."""
    must: bool = True
    """Whether a single run of 256 tokens has to be enough."""
    heat: int = MILLION
    top_p: int = MILLION
    """Temperature and top-p of the jobs that it is tried on, in millionths."""


def as_asked(made: Sequence[Claim], asked: Sequence[Generation]) -> list[Claim]:
    """The same tokens, told as the answers to other jobs."""
    return [
        replace(claim, prompt=job.prompt, sampling=job.sampling, seed=job.seed)
        for claim, job in zip(made, asked, strict=True)
    ]
