"""The auditor against a node that runs, and against the contract on a real chain: nothing here is made by hand."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tallynet.audit.anchoring import Chain
from tallynet.audit.challenging import send_challenge, send_finalize, try_challenge, try_finalize
from tallynet.audit.evidence import Suspect, find_fork, find_pair, find_wrong_leaf, promise_of
from tallynet.audit.node_audit import NodeVerdict, audit_node
from tallynet.audit.own_receipts import Standing, check_receipts
from tallynet.audit.slashing import send_fault, try_fault
from tallynet.audit.watch import Watch
from tallynet.audit.watch_memory import Memory
from tallynet.client.answer import Answer
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.ledger.ledger import Ledger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.checkpoint import Checkpoint, sign_checkpoint
from tallynet.protocol.fault import Fault, FaultKind, Fork, LateAnchor, NotAPrefix, TwoPromises, WrongLeaf
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.units import Address, Digest, Seconds, Wei, prefixed
from tests.audit.examples import ExampleNode
from tests.audit.suspects import Time, reading

NEW_YEAR = 1_767_225_600
REPORTER = Key(b"\x66" * 32)
OTHER_ROOT = Digest(b"\x99" * 32)


def clock() -> float:
    """The time of day, as fast as the tests' clock runs."""
    return NEW_YEAR + trio.current_time()


@asynccontextmanager
async def asked(folder: Path, questions: int) -> AsyncIterator[tuple[Devnet, Chain, list[Answer]]]:
    """A running node that was asked so often and has anchored it all; and the auditor's way to it."""
    async with open_devnet(folder, clock=clock) as devnet:
        async with devnet.client() as client:
            answers = [await client.ask("fake", f"Question {number}?") for number in range(questions)]
            await client.wait_for_anchor(answers[-1].bundle(), 60)
        transport = devnet.transport()
        async with transport.run():

            async def find(node: Address) -> LogReader:
                return LogReader(transport, devnet.nodes[0].peer, devnet.ledger.domain)

            yield devnet, Chain(devnet.ledger, find), answers


async def test_a_running_node_that_is_honest(autojump_clock: MockClock, tmp_path: Path) -> None:
    autojump_clock.autojump_threshold = 0.01
    async with asked(tmp_path, 5) as (devnet, chain, answers):
        node, transport = devnet.nodes[0], devnet.transport()
        async with transport.run():
            audit = await audit_node(transport, devnet.ledger, node.address, node.peer)
        kept = await check_receipts([answer.bundle() for answer in answers], chain)
        memory = Memory(devnet.ledger.domain.chain_id, prefixed(devnet.ledger.domain.contract))
        watch = Watch(chain, memory, (), tmp_path, chance=random.Random(1))

        assert (audit.verdict, audit.reason, audit.entries_checked) == (NodeVerdict.PASS, "", 5)
        assert [found.standing for found in kept] == [Standing.ANCHORED] * 5
        assert [finding.kind for finding in await watch.round()] == ["anchor"]
        assert await watch.round() == []


async def test_what_a_running_node_signs_twice_convicts_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    autojump_clock.autojump_threshold = 0.01
    async with asked(tmp_path, 3) as (devnet, chain, answers):
        key = devnet.nodes[0].node.key
        suspect, domain = Suspect(key.address, devnet.ledger.domain), devnet.ledger.domain
        second = answers[1].bundle()
        altered = replace(Leaf.unpack(second.receipt.leaf), price=Wei(1))
        again = replace(second, receipt=sign_receipt(altered, 1, Seconds(2**40), domain, key))
        log, witness = await chain.find_log(key.address), await devnet.ledger.witness(key.address)
        found = [
            await find_wrong_leaf(suspect, promise_of(again.receipt), log, witness),
            find_pair(suspect, [promise_of(second.receipt), promise_of(again.receipt)]),
            find_fork(suspect, [await log.checkpoint(), sign_checkpoint(Checkpoint(3, OTHER_ROOT), domain, key)]),
        ]

        assert [type(fault) for fault in found] == [WrongLeaf, TwoPromises, Fork]
        for fault in found:
            assert fault is not None
            assert (await try_fault(fault, chain)).verdict == "guilty"
        kept = await check_receipts([answers[0].bundle(), again], chain)
        assert [entry.standing for entry in kept] == [Standing.ANCHORED, Standing.OTHER_LEAF]
        assert kept[1].fault == found[0]


# --- a real chain -----------------------------------------------------------------------------------------


@asynccontextmanager
async def real_chain(clock: Callable[[], float] = time.time) -> AsyncIterator[tuple[Ledger, Key, Key]]:
    """The contract on the embedded chain behind its JSON-RPC port, an operator and a reporter with money."""
    from tallynet.devnet.chain.accounts import funded_key, funded_keys
    from tallynet.devnet.chain.evm import EmbeddedChain
    from tallynet.devnet.chain.server import ChainServer
    from tallynet.devnet.deployment import deploy_ledger
    from tallynet.ledger.opening import open_ledger

    async with trio.open_nursery() as nursery:
        url = await nursery.start(ChainServer(EmbeddedChain([key.address for key in funded_keys()], clock=clock)).run)
        network = await deploy_ledger(url, funded_key(), "test")
        async with open_ledger(network.rpc_url, network.domain, network.confirmations) as ledger:
            yield ledger, funded_key(1), funded_key(2)
        nursery.cancel_scope.cancel()


async def guilty(ledger: Ledger, operator: Key, kind: FaultKind) -> tuple[ExampleNode, Fault]:
    """A node that is registered, has anchored five entries, and has broken its word in this way."""
    node = ExampleNode(key=operator, domain=ledger.domain)
    await ledger.register(operator, node.key, Wei(10**18), f"/ip4/127.0.0.1/tcp/1/p2p/{node.key.peer_id}")
    runs = [node.run(anchor_by=Seconds(1)) for _ in range(5)]
    await node.anchor(ledger)
    who, suspect = {"node": node.key.address}, Suspect(node.key.address, ledger.domain)
    first, altered = promise_of(runs[1].receipt), replace(Leaf.unpack(node.leaves[1]), price=Wei(1))
    second = promise_of(sign_receipt(altered, 1, Seconds(2**40), ledger.domain, node.key))
    heads = [sign_checkpoint(Checkpoint(5, root), ledger.domain, node.key) for root in (node.tree.root(), OTHER_ROOT)]
    async with reading(node) as log:
        wrong = await find_wrong_leaf(suspect, second, log, await ledger.witness(node.key.address))
    assert wrong is not None
    faults: dict[FaultKind, Fault] = {
        FaultKind.LATE: LateAnchor(**who, promise=first),
        FaultKind.LEAF: wrong,
        FaultKind.PAIR: TwoPromises(**who, first=first, second=second),
        FaultKind.FORK: Fork(**who, first=heads[0], second=heads[1]),
        FaultKind.PREFIX: NotAPrefix(**who, checkpoint=heads[1], true_root=node.tree.root(), path=()),
    }
    return node, faults[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.LEAF, FaultKind.PAIR, FaultKind.FORK, FaultKind.PREFIX])
async def test_the_contract_takes_the_stake_for_every_fault(kind: FaultKind) -> None:
    async with real_chain() as (ledger, operator, reporter):
        node, fault = await guilty(ledger, operator, kind)
        async with reading(node) as log:

            async def find(address: Address) -> LogReader:
                return log

            chain = Chain(ledger, find)
            trial = await try_fault(fault, chain, reporter.address)
            assert (trial.verdict, trial.kind) == ("guilty", kind)
            assert trial.slashing is not None and 21_000 < trial.slashing.gas < 120_000
            assert await ledger.slashings() == []

            done = await send_fault(trial, chain, reporter)
            assert done.verdict == "slashed"
            assert await ledger.slashings() == [done.slashing]
            assert await ledger.node(node.key.address) is None
            assert (await try_fault(fault, chain, reporter.address)).refusal == "node is not registered"


@pytest.mark.slow
async def test_a_withheld_entry_costs_the_stake_on_the_chain() -> None:
    later = Time(NEW_YEAR)
    async with real_chain(later) as (ledger, operator, reporter):
        node, _ = await guilty(ledger, operator, FaultKind.LATE)
        node.refuses = True
        async with reading(node) as log:

            async def find(address: Address) -> LogReader:
                return log

            chain = Chain(ledger, find)
            asking = await try_challenge(node.key.address, 2, chain)
            assert (asking.refusal, asking.shown) == ("", False)
            posted = await send_challenge(asking, chain, reporter)
            assert posted.challenge is not None and posted.challenge.bond == asking.bond
            assert (await try_challenge(node.key.address, 2, chain)).refusal == "challenge is open"

            closing = await try_finalize(node.key.address, 2, chain)
            assert (closing.challenge, closing.over) == (posted.challenge, False)

            later.now = posted.challenge.answer_by + 1
            node.run()
            await node.anchor(ledger)  # a block, so that the chain knows the time
            ended = await send_finalize(await try_finalize(node.key.address, 2, chain), chain, operator)
            assert ended.slashing is not None
            assert (ended.slashing.reporter, ended.slashing.kind) == (reporter.address, FaultKind.WITHHELD)
            assert (ended.slashing.reward, await ledger.node(node.key.address)) == (closing.reward, None)
