"""Putting the ledger on a chain and nodes into it: deploy, pay, register."""

from dataclasses import dataclass

from tallynet.console.network_file import NetworkFile
from tallynet.devnet.purse import Purse
from tallynet.ledger import Ledger
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Wei, prefixed

ETHER = 10**18
STAKE = Wei(1 * ETHER)
"""What each node's operator stakes."""
OPERATOR_FUNDS = Wei(2 * ETHER)
"""The stake, and gas for registering and leaving."""
NODE_FUNDS = Wei(1 * ETHER)
"""Gas for anchors: some ten thousand of them."""
UNBONDING_SECONDS = 60
CHALLENGE_BOND = Wei(STAKE // 100)
"""What the first open challenge against a node costs."""
ANSWER_SECONDS = 60
"""How long a challenged node has to show an entry. On a public network that is a day."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node before it runs: its own key, and that of the operator who answers for it with a stake."""

    name: str
    key: Key
    operator: Key
    multiaddr: str
    """Where it will be dialled, with `/p2p/`."""


async def deploy_ledger(rpc_url: str, payer: Key, name: str) -> NetworkFile:
    """Put a new ledger contract on the chain; returns the network file of a network without nodes."""
    from tallynet.ledger.chain import ChainLedger  # slow to import

    ledger = await ChainLedger.deploy(
        rpc_url,
        payer,
        minimum_stake=STAKE,
        unbonding_seconds=UNBONDING_SECONDS,
        challenge_bond=CHALLENGE_BOND,
        answer_seconds=ANSWER_SECONDS,
    )
    try:
        return NetworkFile(
            name=name,
            rpc_url=rpc_url,
            chain_id=ledger.domain.chain_id,
            contract=prefixed(ledger.domain.contract),
            start_block=await ledger.block_number(),
        )
    finally:
        await ledger.aclose()


async def enlist(ledger: Ledger, purse: Purse, member: Member) -> None:
    """Pay a node and its operator, and register the node. Repeating it adds to the stake."""
    await purse.pay([(member.operator.address, OPERATOR_FUNDS), (member.key.address, NODE_FUNDS)])
    await ledger.register(member.operator, member.key, STAKE, member.multiaddr)
