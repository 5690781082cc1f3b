# pragma version ~=0.4.3
"""
@title Judge
@license Apache-2.0
@notice Faults that signatures and proofs show by themselves: whoever shows one has the node slashed, in one transaction.
"""


from interfaces import ILedger
import accounts
import anchors
import merkle
import signing
import witness


uses: accounts
uses: witness


# Kinds of fault, as the event tells them.
LATE: constant(uint8) = 1
LEAF: constant(uint8) = 2
PAIR: constant(uint8) = 3
FORK: constant(uint8) = 4
PREFIX: constant(uint8) = 5
WITHHELD: constant(uint8) = 6


# The reporter gets the stake divided by this.
REWARD_DIVISOR: constant(uint256) = 10


@external
def slash_late(node: address, receipt: ILedger.Receipt, signature: Bytes[65]):
    """
    @notice Slash a node that did not anchor an entry by the time that its receipt promised, or later than that.
    @dev An entry that is anchored by now is judged by the last nine anchors, and is not late where they do not reach
         back to the first that covered it.
    @param node Address of the node
    @param receipt The broken promise
    @param signature The node's, over Receipt(bytes32 leaf,uint64 index,uint64 anchorBy,bytes32 job)
    """
    state: uint256 = accounts.registered(node)
    signing.check_receipt(node, receipt, signature)
    index: uint256 = convert(receipt.index, uint256)
    covered_at: uint256 = block.timestamp
    if index < anchors.size(state):
        covered_at = anchors.first_cover(index, anchors.pairs(state, accounts.slots[node]))
    assert covered_at > convert(receipt.anchorBy, uint256), "ledger: receipt is not late"
    self.slash(node, state, msg.sender, LATE, 0)


@external
def slash_leaf(
    node: address,
    receipt: ILedger.Receipt,
    signature: Bytes[65],
    leaf_hash: bytes32,
    path: DynArray[bytes32, 63],
):
    """
    @notice Slash a node whose anchored log holds another leaf than a receipt promised at that index.
    @param node Address of the node
    @param receipt The broken promise
    @param signature The node's, over Receipt(bytes32 leaf,uint64 index,uint64 anchorBy,bytes32 job)
    @param leaf_hash SHA256(0x00 ‖ leaf) of what stands there instead
    @param path RFC 9162 inclusion proof of `leaf_hash` to the present head
    """
    state: uint256 = accounts.registered(node)
    signing.check_receipt(node, receipt, signature)
    assert leaf_hash != receipt.leaf, "ledger: leaf is the promised one"
    witness.check_logged(node, anchors.size(state), leaf_hash, receipt.index, path)
    self.slash(node, state, msg.sender, LEAF, 0)


@external
def slash_pair(
    node: address,
    first: ILedger.Receipt,
    first_signature: Bytes[65],
    second: ILedger.Receipt,
    second_signature: Bytes[65],
):
    """
    @notice Slash a node that promised two leaves one index, or one job two leaves or two places.
    @param node Address of the node
    @param first A receipt
    @param first_signature The node's, over Receipt(bytes32 leaf,uint64 index,uint64 anchorBy,bytes32 job)
    @param second A receipt that contradicts the first
    @param second_signature The node's, over the second
    """
    state: uint256 = accounts.registered(node)
    signing.check_receipt(node, first, first_signature)
    signing.check_receipt(node, second, second_signature)
    differ: bool = first.leaf != second.leaf or first.index != second.index
    assert differ and (first.index == second.index or first.job == second.job), (
        "ledger: receipts do not contradict each other"
    )
    self.slash(node, state, msg.sender, PAIR, 0)


@external
def slash_fork(
    node: address,
    size: uint64,
    first_root: bytes32,
    first_signature: Bytes[65],
    second_root: bytes32,
    second_signature: Bytes[65],
):
    """
    @notice Slash a node that signed two checkpoints of one size with two roots.
    @param node Address of the node
    @param size Leaves in the log, not zero
    @param first_root A root of those leaves
    @param first_signature The node's, over Checkpoint(uint64 size,bytes32 root)
    @param second_root Another root
    @param second_signature The node's, over the second checkpoint
    """
    state: uint256 = accounts.registered(node)
    assert size != 0, "ledger: size is zero"
    signing.check_checkpoint(node, size, first_root, first_signature)
    signing.check_checkpoint(node, size, second_root, second_signature)
    assert first_root != second_root, "ledger: checkpoints do not contradict each other"
    self.slash(node, state, msg.sender, FORK, 0)


@external
def slash_prefix(
    node: address,
    size: uint64,
    root: bytes32,
    signature: Bytes[65],
    true_root: bytes32,
    proof: DynArray[bytes32, 63],
):
    """
    @notice Slash a node that signed a checkpoint which is not the beginning of its anchored log.
    @param node Address of the node
    @param size Leaves in the log that the node signed, from 1 to those of the present head
    @param root The root that it signed
    @param signature The node's, over Checkpoint(uint64 size,bytes32 root)
    @param true_root Root of the first `size` leaves of the anchored log
    @param proof RFC 9162 consistency proof from (size, true_root) to the present head; empty for equal sizes
    """
    state: uint256 = accounts.registered(node)
    assert size != 0, "ledger: size is zero"
    signing.check_checkpoint(node, size, root, signature)
    old_size: uint256 = convert(size, uint256)
    head_size: uint256 = anchors.size(state)
    assert old_size <= head_size, "ledger: checkpoint is larger than the head"
    assert root != true_root, "ledger: checkpoint is a prefix of the head"
    fault: uint256 = merkle.consistency(old_size, true_root, head_size, accounts.root[node], proof)
    assert fault == 0, "ledger: proof does not lead to the head"
    self.slash(node, state, msg.sender, PREFIX, 0)


@internal
def slash(node: address, state: uint256, reporter: address, kind: uint8, bond: uint256):
    """
    @notice Take the whole stake: a tenth for the reporter, with a bond that is returned; the rest stays here for ever.
    """
    stake: uint256 = accounts.take_stake(node, state)
    reward: uint256 = stake // REWARD_DIVISOR
    log ILedger.Slashed(node=node, reporter=reporter, kind=kind, reward=reward, burnt=stake - reward)
    raw_call(reporter, b"", value=reward + bond)
