"""The contract and its twin in memory, led through random lives in which some nodes are honest and some are not.

After every step: sizes never fall, the head has a proof to every earlier head, no coin is lost, both ledgers answer
alike, and nothing that an honest node signed convicts it. Every fault that is put in is slashed by its name.

TALLYNET_MACHINE_EXAMPLES runs so many lives instead, each another one every time.
"""

import os
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tallynet.ledger.ledger import Anchor, Challenge, Ledger, NodeEntry, Slashing
from tallynet.ledger.rules import sign_relay
from tallynet.protocol import merkle
from tallynet.protocol.errors import Refused
from tallynet.protocol.fault import KINDS, Fault, FaultKind
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Digest, Wei
from tests.ledger import actors
from tests.ledger.actors import Actor, Evidence
from tests.ledger.twins import ANSWER_SECONDS, ETHER, UNBONDING, Twins
from tests.protocol.examples import digest
from tests.protocol.faults import Signer

EXAMPLES = int(os.environ.get("TALLYNET_MACHINE_EXAMPLES", "0"))
LIVES, STEPS = EXAMPLES or 40, 60
LEAST_STEPS = 2_000

OPERATORS = [Key(digest(f"operator {number}")) for number in range(4)]
REPORTERS = [Key(digest(f"reporter {number}")) for number in range(2)]
NODES = [Key(digest(f"node {number}")) for number in range(4)]
HONEST = 2
"""The first nodes are honest."""

Everything = tuple[NodeEntry | None, int, Digest, Sequence[Challenge]]

WHO = st.integers(0, len(NODES) - 1)
CHEAT = st.integers(HONEST, len(NODES) - 1)
REPORTER = st.integers(0, len(REPORTERS) - 1)
PAST = st.integers(0, 2**16)
"""Which one of something that there may be many of."""


class Steps:
    """Counted over all lives."""

    taken = 0
    injected: dict[FaultKind, int] = {}
    refused: dict[type, int] = {}
    """Accusations of honest nodes, by kind."""


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins([*OPERATORS, *REPORTERS])
        self.turn = 0
        self.stakes: dict[bytes, int] = {}
        self.paid_in = self.paid_out = self.rewards = 0
        self.actors = [
            Actor(f"node {number}", Signer(key, self.twins.domain), operator, honest=number < HONEST)
            for number, (key, operator) in enumerate(zip(NODES, OPERATORS, strict=True))
        ]
        for actor in self.actors:
            self.register_with(actor, ETHER)
        for actor in self.actors[:HONEST]:
            actor.grow(1)
            actor.promise(0, self.twins.time + UNBONDING)

    # What nodes do

    @rule(who=WHO, by=st.sampled_from([0, 0, 0, 1]), stake=st.sampled_from([ETHER, 3 * ETHER + 7, ETHER // 2, 0]))
    def register(self, who: int, by: int, stake: int) -> None:
        self.register_with(self.actors[who], stake, OPERATORS[(who + by) % len(OPERATORS)])

    def register_with(self, actor: Actor, stake: int, operator: Key | None = None) -> None:
        operator = operator or actor.operator
        answer = self.twins.both(lambda ledger: ledger.register(operator, actor.key, Wei(stake), "here"))
        if not isinstance(answer, Refused):
            actor.operator = operator
            self.stakes[actor.address] = self.stakes.get(actor.address, 0) + stake
            self.paid_in += stake
            self.twins.pay(operator.address, -stake)

    @rule(who=WHO, count=st.integers(1, 6))
    def log(self, who: int, count: int) -> None:
        self.actors[who].grow(count)

    @rule(who=WHO, back=st.integers(0, 3), relayed=st.booleans())
    def anchor(self, who: int, back: int, relayed: bool) -> None:
        self.post_head(self.actors[who], max(0, self.actors[who].log.size - back), relayed)

    def post_head(self, actor: Actor, size: int, relayed: bool = False) -> None:
        """The log's own head; refused where it does not grow or there is no stake."""
        grows = size > actor.size and actor.address in self.stakes
        if size == actor.size and size:
            return  # both answer with the earlier anchor; it may be that of a relayer
        proof = actor.proof(size) if size > actor.size else []
        root = actor.log.root(size)
        if relayed:
            relay = sign_relay(self.twins.domain, actor.key, size, root, proof)
            answer = self.twins.both(lambda ledger: ledger.anchor_many(REPORTERS[0], [relay]))
            assert grows == (not isinstance(answer, Refused) and len(answer) == 1)
        else:
            assert grows != isinstance(
                self.twins.both(lambda ledger: ledger.anchor(actor.key, size, root, proof)), Refused
            )
        if grows:
            self.moved(actor, size)

    def moved(self, actor: Actor, size: int) -> None:
        """The head has a proof to every earlier head."""
        for earlier in actor.heads:
            path = actor.log.consistency(earlier, size)
            merkle.verify_consistency(earlier, actor.log.root(earlier), size, actor.log.root(size), path)
        actor.heads.append(size)

    @rule(everybody=st.permutations(range(len(NODES))), stale=st.booleans())
    def relay_all(self, everybody: list[int], stale: bool) -> None:
        """One transaction for many; what does not grow is passed over, one without a stake spoils it."""
        chosen = [self.actors[who] for who in everybody if self.actors[who].log.size]
        sizes = {actor.address: actor.size if stale and actor.size else actor.log.size for actor in chosen[:1]}
        relays = []
        for actor in chosen:
            size = sizes.get(actor.address, actor.log.size)
            proof = actor.proof(size)
            relays.append(sign_relay(self.twins.domain, actor.key, size, actor.log.root(size), proof))
        answer = self.twins.both(lambda ledger: ledger.anchor_many(REPORTERS[1], relays))
        growing = [actor for actor in chosen if sizes.get(actor.address, actor.log.size) > actor.size]
        assert isinstance(answer, Refused) == any(actor.address not in self.stakes for actor in growing)
        if not isinstance(answer, Refused):
            assert [anchor.node for anchor in answer] == [actor.address for actor in growing]
            for actor in growing:
                self.moved(actor, actor.log.size)

    @rule(who=WHO, at=PAST, seconds=st.sampled_from([0, 60, ANSWER_SECONDS, UNBONDING]))
    def promise(self, who: int, at: int, seconds: int) -> None:
        """An honest node promises only while it has a stake."""
        actor = self.actors[who]
        if actor.log.size and actor.address in self.stakes:
            actor.promise(at % actor.log.size, self.twins.time + seconds)

    @rule(who=WHO, at=PAST)
    def state(self, who: int, at: int) -> None:
        self.actors[who].state(at % (self.actors[who].log.size + 1))

    @rule(who=WHO, by=st.sampled_from([0, 0, 1]))
    def begin_exit(self, who: int, by: int) -> None:
        actor = self.actors[who]
        operator = OPERATORS[(OPERATORS.index(actor.operator) + by) % len(OPERATORS)]
        self.twins.both(lambda ledger: ledger.begin_exit(operator, actor.address))

    @rule(who=WHO)
    def withdraw(self, who: int) -> None:
        actor = self.actors[who]
        if actor.honest and actor.due(actors.FAR) and actor.address in self.stakes:
            self.post_head(actor, actor.log.size)
        answer = self.twins.both(lambda ledger: ledger.withdraw(actor.operator, actor.address))
        if not isinstance(answer, Refused):
            assert answer == self.stakes.pop(actor.address)
            self.paid_out += answer
            self.twins.pay(actor.operator.address, answer)

    @rule(seconds=st.sampled_from([1, 60, ANSWER_SECONDS // 2, ANSWER_SECONDS + 1, UNBONDING]))
    def wait(self, seconds: int) -> None:
        """Time passes; honest nodes do before it does what they have promised."""
        for actor in self.actors:
            if actor.honest and actor.due(self.twins.time + seconds):
                self.post_head(actor, actor.log.size)
            if actor.honest:
                self.answer_all(actor, self.twins.time + seconds)
        self.twins.time += seconds

    # What is asked for in public

    @rule(who=WHO, at=PAST, by=REPORTER)
    def challenge(self, who: int, at: int, by: int) -> None:
        """Also what is not anchored yet, and what is being asked for."""
        actor = self.actors[who]
        self.ask(actor, at % (actor.size + 1), REPORTERS[by])

    def ask(self, actor: Actor, index: int, reporter: Key) -> None:
        answer = self.twins.both(lambda ledger: ledger.challenge(reporter, actor.address, index))
        if not isinstance(answer, Refused):
            assert index < actor.size
            self.twins.pay(reporter.address, -answer.bond)

    def answer_all(self, actor: Actor, by: int) -> None:
        for asked in self.twins.agreed(lambda ledger: ledger.challenges(actor.address)):
            if asked.answer_by <= by:
                self.answer_one(actor, asked.index)

    @rule(who=WHO, which=PAST)
    def answer(self, who: int, which: int) -> None:
        actor = self.actors[who]
        if asked := self.twins.agreed(lambda ledger: ledger.challenges(actor.address)):
            self.answer_one(actor, asked[which % len(asked)].index)

    def answer_one(self, actor: Actor, index: int) -> None:
        (asked,) = (
            asked
            for asked in self.twins.agreed(lambda ledger: ledger.challenges(actor.address))
            if asked.index == index
        )
        entry, path = actor.entries[index], actor.inclusion(index)
        wrong = self.twins.both(lambda ledger: ledger.answer(REPORTERS[0], actor.address, index, bytes(352), path))
        assert isinstance(wrong, Refused)
        self.twins.agreed(lambda ledger: ledger.answer(REPORTERS[0], actor.address, index, entry, path))
        staked = actor.address in self.stakes
        self.twins.pay(actor.operator.address if staked else asked.challenger, asked.bond)

    @rule(who=WHO, which=PAST)
    def finalize(self, who: int, which: int) -> None:
        actor = self.actors[who]
        if found := self.twins.agreed(lambda ledger: ledger.challenges(actor.address)):
            self.end(actor, found[which % len(found)].index)

    def end(self, actor: Actor, index: int) -> None:
        """Costs the stake of whoever did not answer: never that of an honest node, which answered in time."""
        found = self.twins.agreed(lambda ledger: ledger.challenges(actor.address))
        answer = self.twins.both(lambda ledger: ledger.finalize(REPORTERS[0], actor.address, index))
        due = [asked for asked in found if asked.index == index and asked.answer_by < self.twins.time]
        assert isinstance(answer, Refused) == (not due)
        if not isinstance(answer, Refused):
            assert not actor.honest
            self.twins.pay(due[0].challenger, due[0].bond)
            self.taken(actor, answer)
            self.count(answer.kind)

    # What cheats do

    def cheat(self, who: int) -> Actor:
        """A node with a stake and a log: those that were slashed come back for more."""
        actor = self.actors[who]
        if actor.address not in self.stakes:
            self.register_with(actor, ETHER)
        actor.grow(1)
        if not actor.size:
            self.post_head(actor, actor.log.size)
        return actor

    def broke(self, actor: Actor, evidence: Evidence, report: bool) -> None:
        actor.evidence.append(evidence)
        self.count(evidence.kind)
        self.accuse(actor, evidence, report)

    def accuse(self, actor: Actor, evidence: Evidence, report: bool) -> None:
        fault, reporter = evidence.fault(), REPORTERS[self.turn % len(REPORTERS)]
        tried = self.twins.both(lambda ledger: ledger.try_slash(reporter.address, fault))
        if isinstance(tried, Refused) and evidence.fades:
            assert tried.reason == "ledger: receipt is not late"
            return
        assert not isinstance(tried, Refused), tried.reason
        assert tried.kind == evidence.kind
        if report:
            taken = self.twins.agreed(lambda ledger: ledger.slash(reporter, fault))
            assert (taken.kind, taken.reward, taken.burnt) == (evidence.kind, tried.reward, tried.burnt)
            self.taken(actor, taken)
            assert self.twins.agreed(lambda ledger: ledger.slash(reporter, fault)) == taken

    def taken(self, actor: Actor, slashing: Slashing) -> None:
        stake = self.stakes.pop(actor.address, 0)
        assert (slashing.reward, slashing.burnt) == (stake // 10, stake - stake // 10)
        self.rewards += slashing.reward
        self.twins.pay(slashing.reporter, slashing.reward)

    def count(self, kind: FaultKind) -> None:
        Steps.injected[kind] = Steps.injected.get(kind, 0) + 1

    @rule(who=CHEAT, ago=st.integers(1, 100), report=st.booleans())
    def break_a_deadline(self, who: int, ago: int, report: bool) -> None:
        actor = self.cheat(who)
        self.broke(actor, actors.overdue(actor, self.twins.time - ago, actor.log.size - 1), report)

    @rule(who=CHEAT, seconds=st.integers(0, 100), report=st.booleans())
    def repair_a_deadline(self, who: int, seconds: int, report: bool) -> None:
        """Anchor an entry late: the ring remembers."""
        actor = self.cheat(who)
        actor.grow(1)
        evidence = actors.overdue(actor, self.twins.time + seconds, actor.log.size - 1)
        self.wait(seconds + 1)
        self.post_head(actor, actor.log.size)
        self.broke(actor, evidence, report)

    @rule(who=CHEAT, at=PAST, report=st.booleans())
    def alter_a_leaf(self, who: int, at: int, report: bool) -> None:
        actor = self.cheat(who)
        self.broke(actor, actors.altered_leaf(actor, at % actor.size), report)

    @rule(who=CHEAT, at=PAST, job=st.booleans(), report=st.booleans())
    def promise_twice(self, who: int, at: int, job: bool, report: bool) -> None:
        actor = self.cheat(who)
        twice = actors.job_twice if job else actors.index_twice
        self.broke(actor, twice(actor, at % actor.log.size), report)

    @rule(who=CHEAT, at=PAST, report=st.booleans())
    def fork(self, who: int, at: int, report: bool) -> None:
        actor = self.cheat(who)
        self.broke(actor, actors.two_roots(actor, at % actor.log.size + 1), report)

    @rule(who=CHEAT, at=PAST, report=st.booleans())
    def begin_otherwise(self, who: int, at: int, report: bool) -> None:
        actor = self.cheat(who)
        self.broke(actor, actors.other_beginning(actor, at % actor.size + 1), report)

    @rule(who=CHEAT, at=PAST)
    def withhold(self, who: int, at: int) -> None:
        actor = self.cheat(who)
        index = at % actor.size
        self.ask(actor, index, REPORTERS[0])
        self.wait(ANSWER_SECONDS + 1)
        self.end(actor, index)

    @rule(who=CHEAT, which=PAST, report=st.booleans())
    def accuse_again(self, who: int, which: int, report: bool) -> None:
        """A key that broke its word is convicted for ever: without a stake there is only nothing to take."""
        actor = self.actors[who]
        if not actor.evidence:
            return
        evidence = actor.evidence[which % len(actor.evidence)]
        if actor.address in self.stakes:
            self.accuse(actor, evidence, report)
        else:
            refusal = self.twins.both(lambda ledger: ledger.try_slash(REPORTERS[0].address, evidence.fault()))
            assert isinstance(refusal, Refused)
            assert refusal.reason == "ledger: node is not registered"

    @rule(who=CHEAT)
    def rewrite_history(self, who: int) -> None:
        actor = self.cheat(who)
        actor.grow(1)
        size, root = actor.log.size, actor.forked.root()
        for proof in (actor.proof(size), actor.forked.consistency(actor.size, size)):
            answer = self.twins.both(partial(anchored, key=actor.key, size=size, root=root, proof=proof))
            assert isinstance(answer, Refused)
            assert answer.reason.startswith("ledger: proof does not lead to the ")

    # What always holds

    @invariant()
    def every_answer_is_the_same_and_no_coin_is_lost(self) -> None:
        Steps.taken += 1
        self.turn += 1
        stakes = bonds = 0
        for actor in self.actors:
            entry, size, root, asked = self.twins.agreed(partial(everything, actor=actor))
            assert size == actor.size
            assert root == (actor.log.root(size) if size else bytes(32))
            assert (entry.stake if entry else None) == self.stakes.get(actor.address)
            stakes += entry.stake if entry else 0
            bonds += sum(challenge.bond for challenge in asked)
        self.twins.check_coins(stakes, bonds)
        assert self.paid_in == self.paid_out + self.twins.memory.burnt + self.rewards + stakes

    @invariant()
    def nothing_that_an_honest_node_signed_convicts_it(self) -> None:
        for actor in self.actors[:HONEST]:
            if actor.address in self.stakes:
                for fault in actor.accusations(self.turn, self.actors[-1]):
                    Steps.refused[type(fault)] = Steps.refused.get(type(fault), 0) + 1
                    answer = self.twins.both(partial(accused, fault=fault))
                    assert isinstance(answer, Refused), fault


async def accused(ledger: Ledger, fault: Fault) -> Slashing:
    return await ledger.try_slash(REPORTERS[0].address, fault)


async def anchored(ledger: Ledger, key: Key, size: int, root: Digest, proof: Sequence[Digest]) -> Anchor:
    return await ledger.anchor(key, size, root, proof)


async def everything(ledger: Ledger, actor: Actor) -> Everything:
    """All that there is to ask about a node."""
    head = await ledger.head(actor.address)
    ring, bond = await ledger.ring(actor.address), await ledger.bond(actor.address)
    assert [anchor.size for anchor in ring] == actor.heads[-9:]
    assert bond
    return await ledger.node(actor.address), head.size, head.root, await ledger.challenges(actor.address)


@pytest.mark.slow
def test_honest_nodes_are_safe_and_cheats_are_not_in_two_thousand_steps() -> None:
    Steps.taken, Steps.injected, Steps.refused = 0, {}, {}
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=LIVES, stateful_step_count=STEPS, deadline=None, derandomize=not EXAMPLES, database=None
        ),
    )

    assert Steps.taken >= LEAST_STEPS
    assert set(Steps.injected) == set(FaultKind)
    assert set(Steps.refused) == set(KINDS)
    assert min(Steps.refused.values()) >= LEAST_STEPS // 10
