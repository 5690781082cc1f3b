"""Nodes of a devnet whose engine cheats: the same network, log and receipts, and answers that a replay finds out.

`engine_kinds` has more cheats, made without a network; these are the ones that a wrapper around any engine can do.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from tallynet.devnet.cheats.cheat import CheatingNode
from tallynet.devnet.passing import PassingEngine
from tallynet.engine import Engine, Finish, Generation, Piece
from tallynet.engine.evidence import SKETCH_ENTRIES, read_records
from tallynet.engine.observation import HOTTEST, next_seed
from tallynet.protocol.job import MILLION, Sampling

Bend = Callable[[Generation], Generation]
BendPiece = Callable[[Piece], Piece]


class BentEngine(PassingEngine):
    """An engine that does another thing than it is asked to, after `honest` generations."""

    def __init__(self, engine: Engine, honest: int, bend: Bend, bend_piece: BendPiece) -> None:
        super().__init__(engine)
        self._honest = honest
        self._bend = bend
        self._bend_piece = bend_piece

    @asynccontextmanager
    async def stream(self, generation: Generation) -> AsyncIterator[AsyncIterator[Piece]]:
        honest, self._honest = self._honest > 0, self._honest - 1
        async with self._inner.stream(generation if honest else self._bend(generation)) as pieces:
            yield pieces if honest else self._bent(pieces)

    async def _bent(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        async for piece in pieces:
            yield self._bend_piece(piece)


@dataclass
class EngineCheatingNode(CheatingNode):
    """A node with such engines; each does `honest` generations first."""

    def __post_init__(self) -> None:
        self.engines = self.engines.each(lambda engine: BentEngine(engine, self.honest, self.bend, self.bend_piece))

    def bend(self, generation: Generation) -> Generation:
        return generation

    def bend_piece(self, piece: Piece) -> Piece:
        return piece


class OtherTemperature(EngineCheatingNode):
    kind: ClassVar[str] = "temperature"
    about: ClassVar[str] = "samples at twice the temperature"

    def bend(self, generation: Generation) -> Generation:
        asked = generation.sampling
        heat = min(HOTTEST, 2 * (asked.temperature_millionths or MILLION))
        return replace(
            generation, sampling=Sampling(asked.max_tokens, heat, asked.top_k, asked.top_p_millionths, asked.stop)
        )


class GreedyForSampled(EngineCheatingNode):
    kind: ClassVar[str] = "greedy"
    about: ClassVar[str] = "takes the likeliest token instead of sampling"

    def bend(self, generation: Generation) -> Generation:
        return replace(generation, sampling=Sampling(generation.sampling.max_tokens, stop=generation.sampling.stop))


class OtherSeed(EngineCheatingNode):
    kind: ClassVar[str] = "other-seed"
    about: ClassVar[str] = "samples with noise of its own choice"

    def bend(self, generation: Generation) -> Generation:
        return replace(generation, seed=next_seed(next_seed(generation.seed)))


class PromptEdit(EngineCheatingNode):
    kind: ClassVar[str] = "prompt-edit"
    about: ClassVar[str] = "changes one token of the prompt that it runs"

    def bend(self, generation: Generation) -> Generation:
        prompt, at = generation.prompt, len(generation.prompt) // 2
        vocabulary = min(served.engine.info.vocabulary_size for served in self.engines)
        other = (prompt[at] + 1) % vocabulary
        return replace(generation, prompt=(*prompt[:at], other, *prompt[at + 1 :]))


class Truncated(EngineCheatingNode):
    kind: ClassVar[str] = "truncated"
    about: ClassVar[str] = "stops half-way and calls it the limit"

    def bend(self, generation: Generation) -> Generation:
        asked = generation.sampling
        shorter = Sampling(
            max(1, asked.max_tokens // 2), asked.temperature_millionths, asked.top_k, asked.top_p_millionths, asked.stop
        )
        return replace(generation, sampling=shorter)


class ForcedEnd(EngineCheatingNode):
    kind: ClassVar[str] = "forced-end"
    about: ClassVar[str] = "calls every end the model's own"

    def bend_piece(self, piece: Piece) -> Piece:
        return piece if piece.finish is None else replace(piece, finish=Finish.EOS)


class ForgedSketches(EngineCheatingNode):
    kind: ClassVar[str] = "null-zero"
    about: ClassVar[str] = "forges the evidence: nothing but zeros"

    def bend_piece(self, piece: Piece) -> Piece:
        forged = (replace(record, entries=(0,) * SKETCH_ENTRIES) for record in read_records(piece.evidence))
        return replace(piece, evidence=b"".join(record.pack() for record in forged))


ENGINE_NODES: Final[tuple[type[EngineCheatingNode], ...]] = (
    OtherTemperature,
    GreedyForSampled,
    OtherSeed,
    PromptEdit,
    Truncated,
    ForcedEnd,
    ForgedSketches,
)
