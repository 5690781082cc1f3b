"""All cheats of the engine layer, by name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from transformers import PreTrainedModel

from tallynet.audit.calibration import Attack
from tallynet.audit.judgement import Ending
from tallynet.devnet.cheats.engine_cheat import EngineCheat, Ground, as_asked
from tallynet.devnet.cheats.engine_forgers import constant, cross_fingerprint, mean, sign_flipped, zero
from tallynet.devnet.cheats.engine_weights import quantised, smaller, tuned, without_last_layer
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import GROUP_TOKENS
from tallynet.engine.observation import Claim, next_seed
from tallynet.engine.rehearsal import prefill, records_of, teach
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.request import Request

HIDDEN_PROMPT = "Answer in as few words as you can."
HEAT = 1.1
HOT = 1_500_000
"""Asked where the temperature is tampered with: a model that is sure of every token writes the same at any other."""
NARROWER = 100_000
"""By how much top-p is lowered, in millionths."""
PADDING = 8
INT8, INT4 = partial(quantised, bits=8), partial(quantised, bits=4)


def _weights(name: str, make: Callable[[PreTrainedModel], PreTrainedModel]) -> Callable[..., list[Claim]]:
    def claims(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
        return ground.run(asked, ground.variant(name, make))

    return claims


def _sampled(change: Callable[[Sampling], Sampling]) -> Callable[..., list[Claim]]:
    def claims(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
        changed = [replace(job, sampling=change(job.sampling)) for job in asked]
        return _own_evidence(ground, as_asked(ground.run(changed), asked))

    return claims


def _prompted(change: Callable[[Ground, Generation], Generation]) -> Callable[..., list[Claim]]:
    """Runs with another prompt than it tells; the evidence is what it measured, under the keys of what it tells."""

    def claims(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
        made = ground.run([change(ground, job) for job in asked])
        told = zip(as_asked(made, asked), made, strict=True)
        return [replace(claim, records=records_of(claim, prefill(ground.model, real)[1])) for claim, real in told]

    return claims


def _own_evidence(ground: Ground, claims: Sequence[Claim]) -> list[Claim]:
    """With the real model's evidence for the tokens told: what a cheat has that only touches the sampler."""
    taught = [(claim, *teach(ground.model, claim)) for claim in claims]
    return [replace(claim, records=records, logprobs=logprobs) for claim, records, logprobs in taught]


def _other_seed(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    seeds = [replace(job, seed=next_seed(next_seed(job.seed))) for job in asked]
    return _own_evidence(ground, as_asked(ground.run(seeds), asked))


def _cheap_tokens(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    return _own_evidence(ground, ground.run(asked, ground.cheap))


def _with_system_prompt(ground: Ground, job: Generation) -> Generation:
    extra = ground.replayer.encode(Request(text=HIDDEN_PROMPT))
    return replace(job, prompt=(*job.prompt[:1], *extra, *job.prompt[1:]))


def _with_one_token_changed(ground: Ground, job: Generation) -> Generation:
    at = len(job.prompt) // 2
    other = 3 + (job.prompt[at] + 1) % (ground.model.config.vocab_size - 3)
    return replace(job, prompt=(*job.prompt[:at], other, *job.prompt[at + 1 :]))


def _truncated(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    return [_cut(claim, max(1, len(claim.tokens) // 2)) for claim in ground.honest(asked)]


def _cut(claim: Claim, count: int) -> Claim:
    groups = -(-count // GROUP_TOKENS)
    return replace(claim, tokens=claim.tokens[:count], logprobs=claim.logprobs[:count], records=claim.records[:groups])


def _forced_end(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    """Writes an end token in the middle, and measures honestly how unlikely it is."""
    end = min(ground.replayer.ends)
    cut = [_cut(claim, max(1, len(claim.tokens) // 2)) for claim in ground.honest(asked)]
    return _own_evidence(ground, [replace(claim, tokens=(*claim.tokens[:-1], end)) for claim in cut])


def _padded(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    """Goes on after the end, to be paid for more."""
    end = min(ground.replayer.ends)
    made = []
    for claim in ground.honest(asked):
        body = claim.tokens if claim.tokens[-1] in ground.replayer.ends else (*claim.tokens[:-1], end)
        made.append(replace(claim, tokens=(*body, *claim.tokens[:PADDING])))
    return _own_evidence(ground, made)


def _says(word: str) -> Callable[[Ground, Claim], Ending]:
    return lambda ground, claim: ground.ending(claim, word)


def _hotter(sampling: Sampling) -> Sampling:
    return _resampled(sampling, heat=round((sampling.temperature_millionths or MILLION) * HEAT))


def _narrower(sampling: Sampling) -> Sampling:
    return _resampled(sampling, top_p=sampling.top_p_millionths - NARROWER)


def _greedy(sampling: Sampling) -> Sampling:
    return _resampled(sampling, heat=0)


def _resampled(sampling: Sampling, *, heat: int | None = None, top_p: int | None = None) -> Sampling:
    return Sampling(
        sampling.max_tokens,
        sampling.temperature_millionths if heat is None else heat,
        sampling.top_k,
        sampling.top_p_millionths if top_p is None else top_p,
        sampling.stop,
    )


ENGINE: Final[tuple[EngineCheat, ...]] = (
    EngineCheat("smaller-model", "answers with half the layers", _weights("smaller", smaller)),
    EngineCheat("dropped-layer", "leaves the last layer out", _weights("dropped", without_last_layer)),
    EngineCheat("int4-weights", "rounds all weights to 4 bits", _weights("int4", INT4)),
    EngineCheat(
        "int8-weights", "rounds all weights to 8 bits", _weights("int8", partial(quantised, bits=8)), must=False
    ),
    EngineCheat("lora", "adds a low-rank change of 1 %", _weights("lora", tuned), must=False),
    EngineCheat("temperature", "samples at 1.1 times the temperature", _sampled(_hotter), must=False, heat=HOT),
    EngineCheat("top-p", "samples from a filter narrower by 0.1", _sampled(_narrower), must=False, top_p=950_000),
    EngineCheat("greedy", "takes the likeliest token instead of sampling", _sampled(_greedy)),
    EngineCheat("other-seed", "samples with noise of its own choice", _other_seed),
    EngineCheat(
        "hidden-system-prompt", "runs with a system prompt that it does not tell", _prompted(_with_system_prompt)
    ),
    EngineCheat("prompt-edit", "changes one token of the prompt", _prompted(_with_one_token_changed)),
    EngineCheat("truncated", "stops half-way and calls it the limit", _truncated, _says("length")),
    EngineCheat("forced-end", "writes an end token half-way", _forced_end, _says("eos")),
    EngineCheat("padded", "goes on after the end", _padded, _says("length")),
    EngineCheat("cheap-tokens", "a small model writes, the real one measures", _cheap_tokens),
    EngineCheat("replayed-fingerprint", "shows the sketches of another run", cross_fingerprint),
    EngineCheat("null-zero", "forges sketches: nothing", zero),
    EngineCheat("null-constant", "forges sketches: the same numbers always", constant),
    EngineCheat("null-mean", "forges sketches from the mean hidden state", mean),
    EngineCheat("null-sign-flipped", "forges sketches: every sign turned", sign_flipped),
)

NULL_FORGERS: Final[tuple[EngineCheat, ...]] = tuple(cheat for cheat in ENGINE if cheat.kind.startswith("null-"))


def _attack(cheat: EngineCheat) -> Attack:
    return lambda replayer, asked: cheat.claims(Ground(replayer), asked)


ATTACKS: Final[dict[str, Attack]] = {
    cheat.kind: _attack(cheat) for cheat in ENGINE if cheat.kind not in ("truncated", "forced-end", "padded")
}
"""Those that leave a trace in the scores; the others are told by the end of the answer, exactly."""
