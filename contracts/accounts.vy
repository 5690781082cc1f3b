# pragma version ~=0.4.3
"""
@title Accounts
@license Apache-2.0
@notice What is stored of each node: seven words, however long its log.
"""


from interfaces import ILedger
import anchors


LOW_64: constant(uint256) = 2**64 - 1
LOW_160: constant(uint256) = 2**160 - 1


# @notice Whether there is a stake, and the last three anchors; packed by `anchors`.
state: HashMap[address, uint256]


# @notice Root of the anchored log.
root: HashMap[address, bytes32]


# @notice The anchors before the last three; packed by `anchors`. Not empty once the node was registered.
slots: HashMap[address, uint256[3]]


# @notice Stake in wei, below 2**128. A node is registered exactly while it is not zero.
stake: HashMap[address, uint256]


# @notice Open challenges (32 bits) | time when the stake is free, in seconds (64) | operator (160).
owner: HashMap[address, uint256]


@internal
@view
def registered(node: address) -> uint256:
    """
    @notice The state of a registered node; reverts for any other.
    """
    state: uint256 = self.state[node]
    assert anchors.is_registered(state), "ledger: node is not registered"
    return state


@internal
def take_stake(node: address, state: uint256) -> uint256:
    """
    @notice Clear stake and operator; the node is not registered any more. Anchors and open challenges stay.
    @return What the stake was, in wei
    """
    stake: uint256 = self.stake[node]
    self.stake[node] = 0
    self.state[node] = state & ~anchors.REGISTERED
    self.owner[node] = self.open(self.owner[node]) << 224
    return stake


@internal
@view
def entry(node: address) -> ILedger.Entry:
    """
    @notice What is stored of `node`, unpacked.
    """
    state: uint256 = self.state[node]
    owner: uint256 = self.owner[node]
    return ILedger.Entry(
        operator=self.operator(owner),
        stake=self.stake[node],
        exiting_at=convert(self.exiting_at(owner), uint64),
        size=convert(anchors.size(state), uint64),
        root=self.root[node],
        anchored_at=convert(anchors.time(state), uint64),
    )


@internal
@pure
def operator(owner: uint256) -> address:
    """
    @notice Owner of the stake; empty for a node that is not registered.
    """
    return convert(owner & LOW_160, address)


@internal
@pure
def exiting_at(owner: uint256) -> uint256:
    """
    @notice When the stake can be withdrawn, in seconds; 0 while the node stays.
    """
    return owner >> 160 & LOW_64


@internal
@pure
def open(owner: uint256) -> uint256:
    """
    @notice Number of open challenges.
    """
    return owner >> 224
