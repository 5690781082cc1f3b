"""Taking the stake of a node that was found out: by one transaction, or by asking in public and waiting."""

from tallynet.devnet.cheats.detective import Finding
from tallynet.devnet.deployment import ANSWER_SECONDS
from tallynet.devnet.world import MovableClock, World
from tallynet.ledger.ledger import Slashing
from tallynet.protocol.units import Address

MARGIN_SECONDS = 2
"""Block times are whole seconds."""


async def convict(node: Address, finding: Finding, world: World, clock: MovableClock) -> Slashing | None:
    """What the contract took, or None where it has nothing to judge. Raises `Refused` when it does not agree."""
    if finding.fault is not None:
        await world.ledger.try_slash(world.auditor.address, finding.fault)  # the dry run comes first
        return await world.ledger.slash(world.auditor, finding.fault)
    if finding.withheld is None:
        return None
    await world.ledger.challenge(world.auditor, node, finding.withheld)
    clock.let_pass(ANSWER_SECONDS + MARGIN_SECONDS)
    await world.mine()
    return await world.ledger.finalize(world.auditor, node, finding.withheld)
