"""The ledger on a real chain, behind any Ethereum RPC endpoint.

What is asked of the endpoint is in `rpc`, the only module that imports web3. That takes seconds, so name this one
where it is used.
"""

from dataclasses import dataclass, field
from typing import Final, Self

import trio

from tallynet.ledger.contract import ContractLedger
from tallynet.ledger.outbox import Call, Outbox, Pacing
from tallynet.ledger.rpc import NO_ADDRESS, Endpoint, Rpc
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Wei

DEFAULT_BOND: Final = Wei(10**16)
"""Of the first challenge against a node: a hundredth of a coin."""

DEFAULT_ANSWER_SECONDS: Final = 86_400
"""Time to answer a challenge: a day."""


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """How a chain is spoken to."""

    confirmations: int = 12
    """Blocks that must follow an anchor's block before it is relied on."""
    timeout_seconds: float = 10.0
    """For one answer of an RPC URL."""
    blocks_per_query: int = 2000
    """Endpoints refuse to search more blocks than some bound at once."""
    pacing: Pacing = field(default_factory=Pacing)


class ChainLedger(ContractLedger):
    """Keeps the promise of `ledger.Ledger` through an RPC endpoint. Made by `connect` or `deploy`."""

    _rpc: Rpc

    @classmethod
    async def connect(
        cls,
        endpoint: Endpoint,
        contract: Address,
        *,
        chain_id: int | None = None,
        settings: ChainSettings | None = None,
    ) -> Self:
        """Speak to the ledger contract at `contract`, on chain `chain_id` if that is given.

        Raises `Misconfigured` if it is another chain, or something else is at that address.
        """
        settings = settings or ChainSettings()
        rpc = Rpc(endpoint, settings.timeout_seconds)
        try:
            return await cls._open(rpc, contract, chain_id, settings)
        except BaseException:
            rpc.close()
            raise

    @classmethod
    async def deploy(
        cls,
        endpoint: Endpoint,
        deployer: Key,
        *,
        minimum_stake: Wei,
        unbonding_seconds: int,
        challenge_bond: Wei = DEFAULT_BOND,
        answer_seconds: int = DEFAULT_ANSWER_SECONDS,
        settings: ChainSettings | None = None,
    ) -> Self:
        """Put a new ledger contract on the chain, paid by `deployer`, who gets no power over it."""
        settings = settings or ChainSettings()
        rpc = Rpc(endpoint, settings.timeout_seconds)
        try:
            chain_id = await rpc.chain_id()
            terms = (minimum_stake, unbonding_seconds, challenge_bond, answer_seconds)
            call = Call(None, rpc.creation(*terms), Wei(0))
            receipt = await Outbox(rpc, settings.pacing).post(deployer, call)
            return await cls._open(rpc, receipt.contract or NO_ADDRESS, chain_id, settings)
        except BaseException:
            rpc.close()
            raise

    @classmethod
    async def _open(cls, rpc: Rpc, contract: Address, chain_id: int | None, settings: ChainSettings) -> Self:
        domain = Domain(await rpc.chain_id(), contract)
        # (1) it is the chain that the network file names
        if chain_id not in (None, domain.chain_id):
            raise Misconfigured(
                f"the RPC endpoint serves chain {domain.chain_id}, not {chain_id}",
                remedy="Correct the RPC URL, or use the network file of that chain.",
            )
        # (2) there is a contract, and (3) it is a ledger that accepts signatures made for this domain
        await rpc.bind(domain)
        ledger = cls(
            rpc,
            domain,
            first_block=await rpc.first_block(),
            confirmations=settings.confirmations,
            blocks_per_query=settings.blocks_per_query,
            pacing=settings.pacing,
        )
        ledger._rpc = rpc
        return ledger

    async def aclose(self) -> None:
        """Close the connections. The ledger cannot be used afterwards."""
        self._rpc.close()
        await trio.lowlevel.checkpoint()
