"""All cheats of a layer, one after the other, on one ledger and with the same work."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tallynet.devnet.cheats.cheat import CheatingNode, LedgerCheat
from tallynet.devnet.cheats.report import HONEST, Result
from tallynet.devnet.cheats.trial import try_one
from tallynet.devnet.world import Clock, MovableClock, World

OpenWorld = Callable[[Clock], AbstractAsyncContextManager[World]]


async def try_all(
    kinds: Sequence[type[CheatingNode]], open_world: OpenWorld, folder: Path, say: Callable[[str], None]
) -> list[Result]:
    """What came of an honest node, and then of each kind. Logs go to `folder`; `say` hears how far it is."""
    clock = MovableClock()
    async with open_world(clock) as world:
        say("an honest node…")
        results = [await try_one(None, world, clock, folder / HONEST)]
        for kind in kinds:
            say(f"{kind.kind}: {kind.about}…")
            results.append(await try_one(LedgerCheat(kind), world, clock, folder / kind.kind))
    return results
