# pragma version ~=0.4.3
"""
@title Registry
@license Apache-2.0
@notice Who serves, with what at stake, and how a stake comes back.
"""


from interfaces import ILedger
import accounts
import anchors
import signing


uses: accounts


# @notice Stake below which nobody can register, in wei.
MINIMUM_STAKE: public(immutable(uint256))


# @notice Time between `begin_exit` and `withdraw`, in seconds.
UNBONDING_SECONDS: public(immutable(uint64))


@deploy
def __init__(minimum_stake: uint256, unbonding_seconds: uint64):
    """
    @notice Fix the terms of a registration for ever.
    @param minimum_stake Stake below which nobody can register, in wei, 0 < x < 2**128
    @param unbonding_seconds Time between `begin_exit` and `withdraw`, below 2**32
    """
    assert minimum_stake != 0 and minimum_stake < 2**128, "ledger: minimum stake is out of bounds"
    assert unbonding_seconds < 2**32, "ledger: unbonding is out of bounds"
    MINIMUM_STAKE = minimum_stake
    UNBONDING_SECONDS = unbonding_seconds


@external
@payable
def register(node: address, multiaddr: String[256], signature: Bytes[65]):
    """
    @notice Stake for `node` and publish where it is reached. A repeat by the same operator adds stake and replaces
            the address.
    @dev The consent names the operator and has no expiry: an operator may use it again after a withdrawal.
    @param node Address of the node's log signer
    @param multiaddr libp2p address of the node, ending in /p2p/ and its peer id
    @param signature The node's consent, r ‖ s ‖ v with low s over Registration(address operator,address node)
    """
    owner: uint256 = accounts.owner[node]
    operator: address = accounts.operator(owner)
    assert operator == empty(address) or operator == msg.sender, "ledger: node belongs to another operator"
    assert accounts.exiting_at(owner) == 0, "ledger: node is exiting"
    signing.check_consent(msg.sender, node, signature)
    stake: uint256 = accounts.stake[node] + msg.value
    assert stake >= MINIMUM_STAKE, "ledger: stake is below the minimum"
    assert stake < 2**128, "ledger: stake is too large"
    if accounts.slots[node][0] == 0:
        accounts.slots[node] = [anchors.MARK, anchors.MARK, anchors.MARK]  # paid for here, not by an anchor
    accounts.state[node] |= anchors.REGISTERED
    accounts.stake[node] = stake
    accounts.owner[node] = accounts.open(owner) << 224 | convert(msg.sender, uint256)
    log ILedger.Registered(node=node, operator=msg.sender, stake=stake, multiaddr=multiaddr)


@external
def begin_exit(node: address):
    """
    @notice Give notice for `node`: its stake can be withdrawn once `UNBONDING_SECONDS` have passed.
    @dev Until the withdrawal the node can still anchor, and there is no way back.
    @param node Address of the node
    """
    owner: uint256 = accounts.owner[node]
    assert accounts.operator(owner) == msg.sender, "ledger: caller is not the operator"
    assert accounts.exiting_at(owner) == 0, "ledger: node is exiting"
    free_at: uint256 = block.timestamp + convert(UNBONDING_SECONDS, uint256)
    accounts.owner[node] = free_at << 160 | owner
    log ILedger.ExitBegun(node=node, withdrawableAt=convert(free_at, uint64))


@external
def withdraw(node: address):
    """
    @notice Take back the stake of `node` after unbonding. The node is no longer registered; its head stays.
    @dev All state is written before the coins leave, so a receiver that calls back finds nothing to take.
    @param node Address of the node
    """
    owner: uint256 = accounts.owner[node]
    assert accounts.operator(owner) == msg.sender, "ledger: caller is not the operator"
    assert accounts.exiting_at(owner) != 0, "ledger: node is not exiting"
    assert block.timestamp >= accounts.exiting_at(owner), "ledger: stake is still bound"
    assert accounts.open(owner) == 0, "ledger: a challenge is open"
    stake: uint256 = accounts.take_stake(node, accounts.state[node])
    log ILedger.Withdrawn(node=node, operator=msg.sender, stake=stake)
    raw_call(msg.sender, b"", value=stake)


@external
@view
def node(node: address) -> ILedger.Entry:
    """
    @notice Everything the contract knows of `node`.
    @param node Address of the node
    @return Its entry, empty where nothing is known
    """
    return accounts.entry(node)


@external
@view
def nodes(nodes: DynArray[address, 256]) -> DynArray[ILedger.Entry, 256]:
    """
    @notice The entries of many nodes at once. Who there is to ask for is told by the `Registered` events.
    @param nodes Addresses of the nodes
    @return Their entries, in the same order
    """
    found: DynArray[ILedger.Entry, 256] = []
    for node: address in nodes:
        found.append(accounts.entry(node))
    return found
