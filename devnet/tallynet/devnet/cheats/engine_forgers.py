"""Evidence made without the model, or without running it: honest tokens with forged records.

Every verifier that compares fingerprints has to be tried with these; published ones pass some of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from tallynet.devnet.cheats.engine_cheat import Ground
from tallynet.engine.engine import Generation
from tallynet.engine.evidence import SKETCH_ENTRIES, Record
from tallynet.engine.observation import Claim
from tallynet.engine.rehearsal import prefill, records_of

ZERO = (0,) * SKETCH_ENTRIES
CONSTANT = (100,) * SKETCH_ENTRIES


def zero(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    return [
        _forged(claim, lambda record: replace(record, entries=(0,) * SKETCH_ENTRIES)) for claim in ground.honest(asked)
    ]


def constant(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    """Of the right size, which it may know from honest runs."""
    return [_forged(claim, lambda record: replace(record, entries=CONSTANT)) for claim in ground.honest(asked)]


def sign_flipped(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    return [
        _forged(claim, lambda record: replace(record, entries=tuple(-entry for entry in record.entries)))
        for claim in ground.honest(asked)
    ]


def mean(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    """Right keys, and for every token the mean hidden state of all the runs."""
    made = ground.honest(asked)
    average = torch.cat([prefill(ground.model, claim)[1] for claim in made]).mean(dim=0)
    return [replace(claim, records=records_of(claim, average.expand(len(claim.tokens), -1))) for claim in made]


def cross_fingerprint(ground: Ground, asked: Sequence[Generation]) -> list[Claim]:
    """The records of an honest run of another prompt in place of its own, as many as it needs."""
    made = ground.honest(asked)
    others = ground.honest([replace(one, prompt=(*one.prompt[:1], *one.prompt[:0:-1])) for one in asked])
    return [
        replace(claim, records=tuple(other.records[at % len(other.records)] for at in range(len(claim.records))))
        for claim, other in zip(made, others, strict=True)
    ]


def _forged(claim: Claim, forge: Callable[[Record], Record]) -> Claim:
    return replace(claim, records=tuple(forge(record) for record in claim.records))
