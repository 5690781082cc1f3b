# pragma version ~=0.4.3
"""
@title Proofs over an append-only tree
@license Apache-2.0
@notice Inclusion and consistency proofs of RFC 9162 §2.1 with SHA-256.
@dev `tallynet.protocol.merkle` is the same in Python, and both are compared in tests.

     A proof climbs from a node towards the root. Below the level where the climb meets the right edge of the tree there
     is a sibling on every level, on the left of an odd node and on the right of an even one. From there on there are
     left siblings only, one for each bit of the node's number. Trees have fewer than 2**40 leaves.

     Hashes are made in place: a call would cost as much as the hash.
"""


# What `consistency` finds wrong. The numbers are those of the checks in `merkle.verify_consistency`; there an empty log
# proves nothing, here it is the beginning of every log.
NOT_EMPTY: constant(uint256) = 1
WRONG_LENGTH: constant(uint256) = 3
WRONG_OLD_ROOT: constant(uint256) = 4
WRONG_ROOT: constant(uint256) = 5


@internal
@pure
def consistency(
    old_size: uint256, old_root: bytes32, size: uint256, root: bytes32, path: DynArray[bytes32, 63]
) -> uint256:
    """
    @notice Whether the log (old_size, old_root) is the beginning of (size, root): RFC 9162 §2.1.4.2.
    @dev For old_size <= size < 2**40. The empty log is the beginning of every log, and takes no path.
    @return 0 if it is, otherwise what is wrong
    """
    if old_size == 0:
        return 0 if len(path) == 0 else NOT_EMPTY
    node: uint256 = 0
    below: uint256 = 0
    if old_size != size:  # equal logs take no path
        # The climb begins at the last whole subtree of the old log.
        node = old_size - 1
        below = node ^ (size - 1)  # one bit for each level below the right edge
        for _: uint256 in range(40):
            if node & 1 == 0:
                break
            node >>= 1
            below >>= 1
    old_hash: bytes32 = old_root
    new_hash: bytes32 = old_root
    is_named: bool = node != 0  # unless that subtree is the whole old log, the path names it first
    for sibling: bytes32 in path:
        if is_named:
            old_hash = sibling
            new_hash = sibling
            is_named = False
            continue
        if below == 0:
            if node == 0:
                return WRONG_LENGTH
            old_hash = sha256(concat(0x01, sibling, old_hash))
            new_hash = sha256(concat(0x01, sibling, new_hash))
            node &= unsafe_sub(node, 1)
            continue
        if node & 1 == 0:
            new_hash = sha256(concat(0x01, new_hash, sibling))
        else:
            old_hash = sha256(concat(0x01, sibling, old_hash))
            new_hash = sha256(concat(0x01, sibling, new_hash))
        node >>= 1
        below >>= 1
    if below | node != 0:
        return WRONG_LENGTH
    if old_hash != old_root:
        return WRONG_OLD_ROOT
    if new_hash != root:
        return WRONG_ROOT
    return 0


@internal
@pure
def includes(
    size: uint256, root: bytes32, leaf_hash: bytes32, index: uint256, path: DynArray[bytes32, 63]
) -> bool:
    """
    @notice Whether `leaf_hash` is number `index` of the log (size, root): RFC 9162 §2.1.3.2.
    @dev For index < size < 2**40.
    """
    node: uint256 = index
    below: uint256 = index ^ (size - 1)  # one bit for each level below the right edge
    computed: bytes32 = leaf_hash
    for sibling: bytes32 in path:
        if below == 0:
            if node == 0:
                return False  # the path is longer than the climb
            computed = sha256(concat(0x01, sibling, computed))
            node &= unsafe_sub(node, 1)
        else:
            if node & 1 == 0:
                computed = sha256(concat(0x01, computed, sibling))
            else:
                computed = sha256(concat(0x01, sibling, computed))
            node >>= 1
            below >>= 1
    return below == 0 and node == 0 and computed == root
