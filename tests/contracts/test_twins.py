"""The contract and its twin in memory, led through the same random lives: same refusals, same state, no coin lost."""

from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.ledger.ledger import SampleBounds
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.errors import Refused
from tallynet.protocol.job import MILLION
from tallynet.protocol.units import Digest, JobId, Wei
from tests.contracts.machine import CHAIN_ID, ETHER, START, UNBONDING, Machine, Reverted, named, text, tree

HONEST, FORKED = tree(24), tree(24, b"another past")
OPERATORS, NODES = [named("first operator"), named("second operator")], [named("first node"), named("second node")]
WORD = b"\xa5" * 32
FROM_HEAD = -1


@dataclass(frozen=True)
class Register:
    operator: int
    node: int
    stake: int


@dataclass(frozen=True)
class PostHead:
    node: int
    size: int
    forked: bool
    proven_from: int


@dataclass(frozen=True)
class Record:
    node: int


@dataclass(frozen=True)
class Attest:
    node: int
    size: int
    at_most: int


@dataclass(frozen=True)
class BeginExit:
    operator: int
    node: int


@dataclass(frozen=True)
class Withdraw:
    operator: int
    node: int


@dataclass(frozen=True)
class Wait:
    seconds: int


Step = Register | PostHead | Record | Attest | BeginExit | Withdraw | Wait
WHO = st.integers(0, 1)
OPERATOR_OF = st.sampled_from([0, 0, 0, 1])
"""Whose node it is: 0 the operator's own, 1 the other's."""
STAKES = st.sampled_from([ETHER, ETHER, 3 * ETHER, ETHER // 2, 0])
SIZES = st.integers(0, 24)
STEPS = st.one_of(
    st.builds(Register, OPERATOR_OF, WHO, STAKES),
    st.builds(PostHead, WHO, SIZES, st.just(False), st.just(FROM_HEAD)),
    st.builds(PostHead, WHO, SIZES, st.just(False), st.just(FROM_HEAD)),
    st.builds(PostHead, WHO, SIZES, st.just(True), st.just(FROM_HEAD)),
    st.builds(PostHead, WHO, SIZES, st.booleans(), SIZES),
    st.builds(Record, WHO),
    st.builds(Attest, WHO, SIZES, st.sampled_from([0, MILLION, MILLION + 1])),
    st.builds(BeginExit, OPERATOR_OF, WHO),
    st.builds(Withdraw, OPERATOR_OF, WHO),
    st.builds(Wait, st.sampled_from([1, UNBONDING // 2, UNBONDING])),
)
BIRTH = [Register(0, 0, ETHER), Register(0, 1, 2 * ETHER)]


class Twins:
    """One life of both. Every step has one outcome: None, or the reason of a refusal."""

    def __init__(self) -> None:
        self.time = START
        self.jobs = 0
        self.machine = Machine()
        for operator in OPERATORS:
            self.machine.fund(operator)
        contract = self.machine.domain.contract
        self.memory = MemoryLedger(
            minimum_stake=Wei(ETHER),
            unbonding_seconds=UNBONDING,
            chain_id=CHAIN_ID,
            contract=contract,
            clock=lambda: self.time,
        )

    async def take(self, step: Step) -> None:
        match step:
            case Wait(seconds):
                self.time += seconds
                self.machine.set_time(self.time)
            case Register(operator, node, stake):
                who = OPERATORS[operator ^ node]
                self.machine.node = NODES[node]
                await self.compare(
                    lambda: self.machine.register(operator=who, value=stake),
                    self.memory.register(who, NODES[node], Wei(stake), ""),
                )
            case PostHead(node, size, forked, proven_from):
                await self.post_head(node, size, forked, proven_from)
            case Record(node):
                self.jobs += 1  # a new one: the twin answers to an old one with the earlier record
                job = JobId(self.jobs.to_bytes(32, "big"))
                signature = "record"
                await self.compare(
                    lambda: self.machine.call(NODES[node], signature, job, WORD, WORD),
                    self.memory.record(NODES[node], job, Digest(WORD), Digest(WORD)),
                )
            case Attest(node, size, at_most):
                self.jobs += 1  # a new report, as above
                report = Digest(self.jobs.to_bytes(32, "big"))
                said = SampleBounds(report, size, MILLION, at_most, 0)
                await self.compare(
                    lambda: self.machine.call(OPERATORS[0], "attest", text(NODES[node].address), *astuple(said)),
                    self.memory.attest(OPERATORS[0], NODES[node].address, said),
                )
            case BeginExit(operator, node):
                await self.compare(
                    lambda: self.machine.call(OPERATORS[operator ^ node], "begin_exit", text(NODES[node].address)),
                    self.memory.begin_exit(OPERATORS[operator ^ node], NODES[node].address),
                )
            case Withdraw(operator, node):
                await self.compare(
                    lambda: self.machine.call(OPERATORS[operator ^ node], "withdraw", text(NODES[node].address)),
                    self.memory.withdraw(OPERATORS[operator ^ node], NODES[node].address),
                )

    async def post_head(self, node: int, size: int, forked: bool, proven_from: int) -> None:
        """An anchor of the honest or the forked log, with the proof from some size or `FROM_HEAD`."""
        log = FORKED if forked else HONEST
        head = await self.memory.head(NODES[node].address)
        if (head.size, head.root) == (size, log.root(size)):
            return  # the twin answers with the earlier anchor, the contract refuses; nothing happens in either
        old = head.size if proven_from == FROM_HEAD else proven_from
        proof = log.consistency(old, size) if 0 < old <= size else []
        self.machine.node = NODES[node]
        await self.compare(
            lambda: self.machine.anchor(size, log.root(size), proof),
            self.memory.anchor(NODES[node], size, log.root(size), proof),
        )

    async def compare(self, contract: Callable[[], object], memory: Awaitable[object]) -> None:
        expected = actual = ""
        try:
            contract()
        except Reverted as error:
            expected = str(error)
        try:
            await memory
        except Refused as error:
            actual = error.reason
        assert actual == expected

    async def check_equal(self) -> None:
        stakes = 0
        for node in NODES:
            self.machine.node = node
            operator, stake, exiting_at, size, root, anchored_at = self.machine.entry()
            head, entry = await self.memory.head(node.address), await self.memory.node(node.address)
            assert (head.size, head.root, head.anchored_at) == (size, root, anchored_at)
            if entry is None:
                assert (operator, stake, exiting_at) == ("0x" + bytes(20).hex(), 0, 0)
            else:
                assert (text(entry.operator), entry.stake, entry.exiting_at) == (operator, stake, exiting_at)
                stakes += entry.stake
        balances = sum(self.machine.balance(operator) for operator in OPERATORS)
        assert self.machine.evm.get_balance(self.machine.contract) == stakes
        assert balances + stakes == 2 * 1000 * ETHER


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(STEPS, min_size=20, max_size=50))
def test_both_live_the_same_life(steps: list[Step]) -> None:
    async def live() -> None:
        twins = Twins()
        sizes = [0, 0]
        for step in [*BIRTH, *steps]:
            await twins.take(step)
            await twins.check_equal()
            heads = [await twins.memory.head(node.address) for node in NODES]
            assert all(head.size >= size for head, size in zip(heads, sizes, strict=True))
            sizes = [head.size for head in heads]

    trio.run(live)
