"""(6) Asking in public for an entry that a node withholds: first privately, then what it would cost, then for real."""

from dataclasses import dataclass, replace

from tallynet.audit.anchoring import Chain
from tallynet.audit.evidence import proven_leaf
from tallynet.ledger.ledger import Challenge, Slashing
from tallynet.ledger.rules import MAX_CHALLENGES, reward_of
from tallynet.protocol.errors import Deferred, Invalid, Refused, Unreachable
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Seconds, Wei, prefixed


@dataclass(frozen=True, slots=True)
class Asking:
    """What asking for one entry in public would do, or did."""

    node: Address
    index: int
    shown: bool
    """The node shows the entry to anybody who asks: there is nothing to challenge."""
    withheld: str
    """How it came not to show it."""
    refusal: str
    """Why the contract would refuse the challenge; empty when it would not."""
    bond: Wei
    """What it costs until the node has answered; then it is the node's."""
    challenge: Challenge | None = None
    """The one that was posted."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What ending an open challenge would do, or did."""

    node: Address
    index: int
    challenge: Challenge | None
    """None when there is none open at the index."""
    now: Seconds
    """Time of the newest block."""
    reward: Wei
    """What the challenger gets besides the bond."""
    slashing: Slashing | None = None

    @property
    def over(self) -> bool:
        """Whether the node's time to answer has passed."""
        return self.challenge is not None and self.now > self.challenge.answer_by


async def try_challenge(node: Address, index: int, chain: Chain) -> Asking:
    """Ask the node, then look at what the contract would say. Raises `ChainUnreachable`."""
    ledger = chain.ledger
    witness, bond = await ledger.witness(node), await ledger.bond(node)
    refusal = await _refusal(node, index, witness.size, chain)
    asking = Asking(node, index, False, "", refusal, bond)
    if refusal:
        return asking
    try:
        await proven_leaf(index, await chain.find_log(node), witness)
    except (Invalid, Refused, Unreachable, Deferred) as error:
        return replace(asking, withheld=error.message)
    return replace(asking, shown=True)


async def send_challenge(asking: Asking, chain: Chain, challenger: Key) -> Asking:
    """Post it with the bond. Raises `Refused`."""
    return replace(asking, challenge=await chain.ledger.challenge(challenger, asking.node, asking.index))


async def try_finalize(node: Address, index: int, chain: Chain) -> Closing:
    """Whether the node's time is over, and what the challenger would get. Raises `ChainUnreachable`."""
    ledger = chain.ledger
    challenge = next((asked for asked in await ledger.challenges(node) if asked.index == index), None)
    entry = await ledger.node(node)
    return Closing(node, index, challenge, await ledger.now(), reward_of(entry.stake if entry else Wei(0)))


async def send_finalize(closing: Closing, chain: Chain, anybody: Key) -> Closing:
    """Have the node slashed. Raises `Refused`."""
    return replace(closing, slashing=await chain.ledger.finalize(anybody, closing.node, closing.index))


async def _refusal(node: Address, index: int, size: int, chain: Chain) -> str:
    """What the contract would say to a challenge, in its words and its order."""
    if await chain.ledger.node(node) is None:
        return "node is not registered"
    if index >= size:
        return "index is not anchored"
    open_now = await chain.ledger.challenges(node)
    if any(asked.index == index for asked in open_now):
        return "challenge is open"
    return "too many challenges are open" if len(open_now) >= MAX_CHALLENGES else ""


def describe_asking(asking: Asking) -> dict[str, object]:
    """The JSON object of `tallynet audit challenge`."""
    posted = asking.challenge
    return {
        "node": prefixed(asking.node),
        "index": asking.index,
        "shown": asking.shown,
        "withheld": asking.withheld,
        "reason": asking.refusal,
        "bond": asking.bond,
        "sent": posted is not None,
        "answer_by": posted.answer_by if posted else None,
    }


def describe_closing(closing: Closing) -> dict[str, object]:
    """The JSON object of `tallynet audit finalize`."""
    asked, slashing = closing.challenge, closing.slashing
    return {
        "node": prefixed(closing.node),
        "index": closing.index,
        "open": asked is not None,
        "over": closing.over,
        "answer_by": asked.answer_by if asked else None,
        "bond": asked.bond if asked else None,
        "reward": slashing.reward if slashing else closing.reward,
        "sent": slashing is not None,
        "gas": slashing.gas if slashing else None,
        "transaction": prefixed(slashing.transaction) if slashing else None,
    }
