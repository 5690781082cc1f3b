"""The ledger of a network, for as long as it is needed. Imports web3 only once it is opened."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tallynet.ledger.ledger import Ledger
from tallynet.protocol.eip712 import Domain


@asynccontextmanager
async def open_ledger(rpc_url: str, domain: Domain, confirmations: int) -> AsyncIterator[Ledger]:
    """Speak to the contract of `domain` through `rpc_url` until the block is left.

    `confirmations` (≥ 1) counts the anchor's own block, as the network file does. Raises `ChainUnreachable`, and
    `Misconfigured` for another chain or for an address without the contract.
    """
    from tallynet.ledger.chain import ChainLedger, ChainSettings  # slow to import

    settings = ChainSettings(confirmations=confirmations - 1)  # these count the blocks that follow it
    ledger = await ChainLedger.connect(rpc_url, domain.contract, chain_id=domain.chain_id, settings=settings)
    try:
        yield ledger
    finally:
        await ledger.aclose()
