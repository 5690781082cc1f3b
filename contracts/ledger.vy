# pragma version ~=0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Tallynet ledger
@license Apache-2.0
@notice The witness and the judge of every node's log of runs, and the keeper of the stake behind it.
@dev This file puts the contract together. In reading order:

         registry     who serves, with what at stake
         witness      one head for every log, moved forward along proofs
         judge        faults that signatures and proofs show
         challenges   data withheld, shown by asking in public
         accounts     what is stored of each node: seven words, for ever
         anchors      how heads are packed into words
         merkle       RFC 9162 proofs
         signing      EIP-712 statements and who signed them

     It holds the stakes, the bonds of open challenges, and what was burnt; nothing moves the last. Coins leave it in
     three ways: a withdrawal, a slashing, the end of a challenge. Each writes all state before the coins leave, so that
     a receiver which calls back finds nothing to take.
"""


from interfaces import ILedger
import accounts
import challenges
import judge
import registry
import signing
import witness


implements: ILedger


initializes: accounts
initializes: registry[accounts := accounts]
initializes: witness[accounts := accounts]
initializes: judge[accounts := accounts, witness := witness]
initializes: challenges[accounts := accounts, judge := judge, witness := witness]


exports: (
    registry.register,
    registry.begin_exit,
    registry.withdraw,
    registry.node,
    registry.nodes,
    registry.MINIMUM_STAKE,
    registry.UNBONDING_SECONDS,
    witness.anchor,
    witness.anchor_many,
    witness.record,
    witness.attest,
    witness.verify,
    witness.head,
    witness.ring,
    judge.slash_late,
    judge.slash_leaf,
    judge.slash_pair,
    judge.slash_fork,
    judge.slash_prefix,
    challenges.challenge,
    challenges.answer,
    challenges.finalize,
    challenges.bond,
    challenges.asked,
    challenges.CHALLENGE_BOND,
    challenges.ANSWER_SECONDS,
)


# @notice The block in which this contract began.
DEPLOYED_AT: public(immutable(uint256))


@deploy
def __init__(minimum_stake: uint256, unbonding_seconds: uint64, challenge_bond: uint256, answer_seconds: uint64):
    """
    @notice Fix the terms for ever.
    @param minimum_stake Stake below which nobody can register, in wei, 0 < x < 2**128
    @param unbonding_seconds Time between `begin_exit` and `withdraw`, below 2**32
    @param challenge_bond What the first open challenge against a node costs, in wei, 0 < x < 2**112
    @param answer_seconds Time to answer a challenge, 0 < x < 2**32
    """
    registry.__init__(minimum_stake, unbonding_seconds)
    challenges.__init__(challenge_bond, answer_seconds)
    DEPLOYED_AT = block.number


@external
@view
def eip712Domain() -> (bytes1, String[8], String[1], uint256, address, bytes32, DynArray[uint256, 1]):
    """
    @notice The EIP-712 domain of every signature this contract accepts (ERC-5267).
    @return Fields used (0x0f: the four that follow), name, version, chain id, this contract, no salt, no extensions
    """
    return 0x0f, signing.NAME, signing.VERSION, chain.id, self, empty(bytes32), []
