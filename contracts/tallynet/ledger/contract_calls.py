"""What every call of the contract needs: to post it, and to find its event in the present chain."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tallynet.ledger import history, outbox
from tallynet.ledger.events import Log
from tallynet.ledger.history import History, Mined, Receipt
from tallynet.ledger.ledger import Challenge, Head, NodeEntry
from tallynet.ledger.outbox import Call, Outbox, Pacing
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import ChainUnreachable
from tallynet.protocol.fault import AnchoredAt
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, Wei, prefixed

_NOTHING = Wei(0)


class Chain(outbox.Chain, history.Chain, Protocol):
    """A chain with the contract on it. Every method raises `ChainUnreachable`."""

    def encode(self, function: str, arguments: Sequence[object]) -> bytes:
        """The data of a transaction that calls `function`."""

    async def head(self, node: Address) -> Head: ...

    async def entries(self, published: Mapping[Address, str]) -> list[NodeEntry]:
        """Those of the nodes that are registered, with the multiaddrs given."""

    async def is_logged(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> bool:
        """What the contract's `verify` answers."""

    async def ring(self, node: Address) -> list[AnchoredAt]: ...

    async def bond(self, node: Address) -> Wei: ...

    async def asked(self, node: Address, index: int) -> Challenge | None:
        """The open challenge for that entry."""

    async def attempt(self, sender: Address, call: Call) -> None:
        """Make the call without a transaction; raises `Refused` if it would revert."""


class ContractCalls:
    """One contract on one chain. Use one per chain in a process: it hands out nonces."""

    def __init__(
        self, chain: Chain, domain: Domain, *, first_block: int, blocks_per_query: int, pacing: Pacing
    ) -> None:
        """`first_block` is that of the contract: no event is older."""
        self._chain = chain
        self._domain = domain
        self._outbox = Outbox(chain, pacing)
        self._history = History(chain, first_block=first_block, span=blocks_per_query)

    def _call(self, function: str, *arguments: object, value: Wei = _NOTHING) -> Call:
        return Call(self._domain.contract, self._chain.encode(function, arguments), value)

    async def _post(self, key: Key, function: str, *arguments: object, value: Wei = _NOTHING) -> Receipt:
        return await self._outbox.post(key, self._call(function, *arguments, value=value))

    async def _entry(self, node: Address) -> NodeEntry | None:
        """Operator, stake and time of exit of a registered node, without its multiaddr."""
        return next(iter(await self._chain.entries({node: ""})), None)

    def _events(self, receipt: Receipt, kind: Digest) -> list[Log]:
        logs = [log for log in receipt.logs if log.address == self._domain.contract]
        return [log for log in logs if log.topics[:1] == (kind,)]

    def _event(self, receipt: Receipt, kind: Digest) -> Log:
        for log in self._events(receipt, kind):
            return log
        raise ChainUnreachable(
            f"the receipt of transaction {prefixed(receipt.transaction)} lacks its event",
            remedy="Use another RPC endpoint.",
        )

    async def _located(self, receipt: Receipt, log: Log) -> Mined:
        if mined := await self._history.locate(log, receipt.block):
            return mined
        raise ChainUnreachable(
            f"transaction {prefixed(receipt.transaction)} left the chain as soon as it was in it",
            remedy="Make the same call again.",
        )


def topic(node: Address) -> Digest:
    """An address as an indexed member of an event."""
    return Digest(bytes(12) + node)
