"""What may be said after a verification, and what may not. The levels are those of spec chapter 6."""

from collections.abc import Iterator
from enum import StrEnum

from tallynet.audit.sampled import Sampled
from tallynet.audit.verify import Verification
from tallynet.protocol.bundle_checks import State


class Level(StrEnum):
    """How far the evidence reaches; each includes the ones before it."""

    NONE = "none"
    SIGNED = "signed"
    """Client and node signed, and the texts are the ones that they committed to."""
    LOGGED = "logged"
    """The run is in a log whose root the node signed."""
    ANCHORED = "anchored"
    """The contract holds that root, in time, and the log has not shrunk since."""
    SAMPLED = "sampled"
    """An auditor replayed what a block drew of the node's runs; this one was not drawn."""
    REPLAYED = "replayed"
    """This run was drawn, and the auditor's replay passed it."""


def level(verification: Verification, sampled: Sampled | None = None) -> Level:
    """The highest level of which every check held; `sampled` is what a sample says of this run."""
    if verification.failure is not None:
        return Level.NONE
    if verification.state(9) is not State.OK:
        return Level.SIGNED
    anchored = all(verification.state(number) is State.OK for number in (11, 12, 13))
    if not anchored:
        return Level.LOGGED
    if sampled is None:
        return Level.ANCHORED
    return Level.SAMPLED if sampled.run is None else Level.REPLAYED


def not_proven(verification: Verification, sampled: Sampled | None = None) -> Iterator[str]:
    """What remains open, each as the end of the sentence "it is not proven …"."""
    if sampled is None:
        yield "that the answer is true, or that this model gave it: the run was not replayed"
    elif sampled.run is None:
        yield "that the answer is true, or that this model gave it: other runs of the node were replayed"
    else:
        yield "that the answer is true; that this model gave it is the auditor's word"
    yield "who stands behind the keys of the client and the node"
    yield "the times and the runtime written in the leaf: they are the node's word"
    if verification.state(2) is not State.OK:
        yield "that chain and contract are the ones you mean: they are the file's word"
    if verification.state(9) is not State.OK:
        yield "that the run stays in the node's log: it is not anchored in this file"
    elif verification.state(11) is not State.OK:
        yield "that the log the node signed is on the chain: time and block are the file's word"
