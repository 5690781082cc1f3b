# pragma version ~=0.4.3
"""
@title Challenges
@license Apache-2.0
@notice Entries asked for in public: the one fault, data withheld, that only the silence of the node can show.
"""


from interfaces import ILedger
import accounts
import anchors
import judge
import witness


uses: accounts
uses: judge
uses: witness


MAX_OPEN: constant(uint256) = 16
LEAF_BYTES: constant(uint256) = 352


# @notice What the first open challenge against a node costs, in wei.
CHALLENGE_BOND: public(immutable(uint256))


# @notice Time to answer a challenge, in seconds.
ANSWER_SECONDS: public(immutable(uint64))


_asked: HashMap[address, HashMap[uint64, ILedger.Asked]]


@deploy
def __init__(challenge_bond: uint256, answer_seconds: uint64):
    """
    @notice Fix the terms of a challenge for ever.
    @param challenge_bond What the first open challenge against a node costs, in wei, 0 < x < 2**112
    @param answer_seconds Time to answer a challenge, 0 < x < 2**32
    """
    assert challenge_bond != 0 and challenge_bond < 2**112, "ledger: challenge bond is out of bounds"
    assert answer_seconds != 0 and answer_seconds < 2**32, "ledger: answer time is out of bounds"
    CHALLENGE_BOND = challenge_bond
    ANSWER_SECONDS = answer_seconds


@external
@payable
def challenge(node: address, index: uint64):
    """
    @notice Ask in public for entry `index` of the anchored log of `node`, which has `ANSWER_SECONDS` to show it.
    @dev All coins sent are the bond. It goes to the operator if the entry is shown, back to the sender if not, and
         doubles with each challenge that is open against the node.
    @param node Address of the node
    @param index Number of the entry, from 0
    """
    size: uint256 = anchors.size(accounts.registered(node))
    owner: uint256 = accounts.owner[node]
    open: uint256 = accounts.open(owner)
    assert convert(index, uint256) < size, "ledger: index is not anchored"
    assert self._asked[node][index].challenger == empty(address), "ledger: challenge is open"
    assert open < MAX_OPEN, "ledger: too many challenges are open"
    assert msg.value >= CHALLENGE_BOND << open, "ledger: bond is too small"
    answer_by: uint64 = convert(block.timestamp, uint64) + ANSWER_SECONDS
    self._asked[node][index] = ILedger.Asked(challenger=msg.sender, bond=msg.value, answerBy=answer_by)
    accounts.owner[node] = owner + (1 << 224)
    log ILedger.Challenged(node=node, index=index, challenger=msg.sender, bond=msg.value, answerBy=answer_by)


@external
def answer(node: address, index: uint64, leaf: Bytes[352], path: DynArray[bytes32, 63]):
    """
    @notice Show an entry that was asked for. Anybody may, until the challenge is finalized.
    @dev The bond goes to the operator, or back to the challenger where the node has none any more.
    @param node Address of the node
    @param index Number of the entry
    @param leaf The entry, 352 bytes
    @param path RFC 9162 inclusion proof of the entry to the present head
    """
    asked: ILedger.Asked = self._asked[node][index]
    assert asked.challenger != empty(address), "ledger: no such challenge"
    assert len(leaf) == LEAF_BYTES, "ledger: leaf is not 352 bytes"
    witness.check_logged(node, anchors.size(accounts.state[node]), sha256(concat(0x00, leaf)), index, path)
    self._close(node, index)
    receiver: address = accounts.operator(accounts.owner[node])
    if receiver == empty(address):
        receiver = asked.challenger
    log ILedger.Answered(node=node, index=index, leaf=leaf)
    raw_call(receiver, b"", value=asked.bond)


@external
def finalize(node: address, index: uint64):
    """
    @notice End a challenge that was not answered in time: the node is slashed, the challenger gets bond and reward.
            Anybody may.
    @dev Where the node has no stake any more the challenger gets the bond alone, and the event tells of no coins.
    @param node Address of the node
    @param index Number of the entry
    """
    asked: ILedger.Asked = self._asked[node][index]
    assert asked.challenger != empty(address), "ledger: no such challenge"
    assert block.timestamp > convert(asked.answerBy, uint256), "ledger: time to answer is not over"
    self._close(node, index)
    judge.slash(node, accounts.state[node], asked.challenger, judge.WITHHELD, asked.bond)


@external
@view
def bond(node: address) -> uint256:
    """
    @notice What the next challenge against `node` costs at least.
    @param node Address of the node
    @return Amount in wei
    """
    return CHALLENGE_BOND << accounts.open(accounts.owner[node])


@external
@view
def asked(node: address, index: uint64) -> ILedger.Asked:
    """
    @notice The open challenge about one entry.
    @param node Address of the node
    @param index Number of the entry
    @return Who asked, for what bond, to be answered by when; all zero where no challenge is open
    """
    return self._asked[node][index]


@internal
def _close(node: address, index: uint64):
    """
    @notice Forget an open challenge.
    """
    self._asked[node][index] = empty(ILedger.Asked)
    accounts.owner[node] -= 1 << 224
