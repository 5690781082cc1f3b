"""The contract and its twin in memory, asked the same things: every answer and every refusal must be the same."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

import trio

from tallynet.ledger.ledger import Anchor, Ledger, Slashing
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.errors import Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ZERO_DIGEST, Address, Wei
from tests.ledger.bare_chain import CHAIN_ID, BareChain

START = 1_700_000_000
ETHER = 10**18
UNBONDING = 86_400
BOND = 10**15
ANSWER_SECONDS = 3_600
FUNDS = 10_000 * ETHER
CONFIRMATIONS = 3
T = TypeVar("T")


class Twins:
    """Two ledgers with one clock, and what every account should have in coins."""

    def __init__(self, funded: Sequence[Key]) -> None:
        self.time = START
        self.chain = BareChain(lambda: self.time, ETHER, UNBONDING, BOND, ANSWER_SECONDS)
        self.contract = self.chain.ledger(confirmations=CONFIRMATIONS)
        self.memory = MemoryLedger(
            minimum_stake=Wei(ETHER),
            unbonding_seconds=UNBONDING,
            challenge_bond=Wei(BOND),
            answer_seconds=ANSWER_SECONDS,
            confirmations=CONFIRMATIONS,
            chain_id=CHAIN_ID,
            contract=self.chain.contract,
            clock=lambda: self.time,
        )
        self.domain = self.memory.domain
        self.coins: dict[Address, int] = {}
        for key in funded:
            self.chain.fund(key, FUNDS)
            self.coins[key.address] = FUNDS

    def both(self, call: Callable[[Ledger], Awaitable[T]]) -> T | Refused:
        """What both answer; a refusal is an answer too."""
        return trio.run(self._both, call)

    def agreed(self, call: Callable[[Ledger], Awaitable[T]]) -> T:
        """What both answer, where a refusal is a mistake of the test."""
        found = self.both(call)
        assert not isinstance(found, Refused), found.reason
        return found

    async def _both(self, call: Callable[[Ledger], Awaitable[T]]) -> T | Refused:
        said = [await _outcome(call(ledger)) for ledger in (self.contract, self.memory)]
        contract, memory = (_comparable(answer) for answer in said)
        assert contract == memory, f"the contract says {contract}, the twin {memory}"
        return said[1]

    def pay(self, who: Address, wei: int) -> None:
        self.coins[who] += wei

    def check_coins(self, stakes: int, bonds: int) -> None:
        """Everybody has what they should, and the contract what it holds for others and what was burnt."""
        for who, expected in self.coins.items():
            assert self.chain.balance(who) == expected
        held = self.chain.balance(self.chain.contract)
        assert held == stakes + bonds + self.memory.burnt
        assert held + sum(self.coins.values()) == FUNDS * len(self.coins)


async def _outcome(answer: Awaitable[T]) -> T | Refused:
    try:
        return await answer
    except Refused as error:
        return error


def _comparable(answer: Any) -> Any:
    """An answer without what only a real chain has: hashes and gas."""
    if isinstance(answer, Refused):
        return answer.reason
    if isinstance(answer, Anchor):
        return replace(answer, block_hash=ZERO_DIGEST, transaction=ZERO_DIGEST, gas=0)
    if isinstance(answer, Slashing):
        return replace(answer, transaction=ZERO_DIGEST, gas=0)
    if isinstance(answer, (list, tuple)) and not is_dataclass(answer):
        return [_comparable(item) for item in answer]
    return answer
