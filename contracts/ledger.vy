# pragma version ~=0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Tallynet ledger
@license Apache-2.0
@notice The witness of every node's log of runs, and the keeper of the stake behind it.
@dev State per node is three slots, however many runs it logs:

         _state   stake (128 bits) | time of the last anchor (64) | size of the log (64)
         _root    root of the log
         _owner   unused (32) | time when the stake is free (64) | operator (160)

     A node is registered exactly while its stake is not zero. Roots, proofs and paths follow RFC 9162 §2.1 with
     SHA-256; `tallynet.protocol.merkle` is the same in Python, and both are compared in tests.
"""


from interfaces import ILedger


implements: ILedger


MAX_SIZE: constant(uint256) = 2**40
LOW_64: constant(uint256) = 2**64 - 1
LOW_160: constant(uint256) = 2**160 - 1
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
NAME: constant(String[8]) = "Tallynet"
VERSION: constant(String[1]) = "1"
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
REGISTRATION_TYPE: constant(bytes32) = keccak256("Registration(address operator,address node)")


# @notice Stake below which nobody can register, in wei.
MINIMUM_STAKE: public(immutable(uint256))


# @notice Time between `begin_exit` and `withdraw`, in seconds.
UNBONDING_SECONDS: public(immutable(uint64))


# @notice The block in which this contract began.
DEPLOYED_AT: public(immutable(uint256))


_state: HashMap[address, uint256]
_root: HashMap[address, bytes32]
_owner: HashMap[address, uint256]


@deploy
def __init__(minimum_stake: uint256, unbonding_seconds: uint64):
    """
    @notice Fix the two constants for ever.
    @param minimum_stake Stake below which nobody can register, in wei, 0 < x < 2**128
    @param unbonding_seconds Time between `begin_exit` and `withdraw`, below 2**32
    """
    assert minimum_stake != 0 and minimum_stake < 2**128, "ledger: minimum stake is out of bounds"
    assert unbonding_seconds < 2**32, "ledger: unbonding is out of bounds"
    MINIMUM_STAKE = minimum_stake
    UNBONDING_SECONDS = unbonding_seconds
    DEPLOYED_AT = block.number


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
    owner: uint256 = self._owner[node]
    assert owner == 0 or self._operator(owner) == msg.sender, "ledger: node belongs to another operator"
    assert self._exiting_at(owner) == 0, "ledger: node is exiting"
    self._check_consent(msg.sender, node, signature)
    state: uint256 = self._state[node]
    stake: uint256 = self._stake(state) + msg.value
    assert stake >= MINIMUM_STAKE, "ledger: stake is below the minimum"
    assert stake < 2**128, "ledger: stake is too large"
    self._state[node] = self._pack(stake, self._anchored_at(state), self._size(state))
    self._owner[node] = convert(msg.sender, uint256)
    log ILedger.Registered(node=node, operator=msg.sender, stake=stake, multiaddr=multiaddr)


@external
def anchor(size: uint64, root: bytes32, proof: DynArray[bytes32, 63]):
    """
    @notice Move the sender's head forward to `size` leaves under `root`.
    @param size Leaves in the log, more than at the last anchor and fewer than 2**40
    @param root RFC 9162 root of those leaves
    @param proof RFC 9162 consistency proof from the present head; empty for the first anchor
    """
    state: uint256 = self._state[msg.sender]
    new_size: uint256 = convert(size, uint256)
    assert self._stake(state) != 0, "ledger: node is not registered"
    assert new_size > self._size(state), "ledger: size does not grow"
    assert new_size < MAX_SIZE, "ledger: size is too large"
    self._check_consistency(self._size(state), self._root[msg.sender], new_size, root, proof)
    self._state[msg.sender] = self._pack(self._stake(state), block.timestamp, new_size)
    self._root[msg.sender] = root
    log ILedger.Anchored(node=msg.sender, size=size, root=root)


@external
def record(job: bytes32, request_hash: bytes32, output_hash: bytes32):
    """
    @notice Write one run of the sender, a registered node, as an event.
    @param job EIP-712 digest of the job
    @param request_hash Salted commitment to the request
    @param output_hash Salted commitment to the output
    """
    assert self._stake(self._state[msg.sender]) != 0, "ledger: node is not registered"
    log ILedger.Recorded(node=msg.sender, job=job, requestHash=request_hash, outputHash=output_hash)


@external
def begin_exit(node: address):
    """
    @notice Give notice for `node`: its stake can be withdrawn once `UNBONDING_SECONDS` have passed.
    @dev Until the withdrawal the node can still anchor, and there is no way back.
    @param node Address of the node
    """
    owner: uint256 = self._owner[node]
    assert self._operator(owner) == msg.sender, "ledger: caller is not the operator"
    assert self._exiting_at(owner) == 0, "ledger: node is exiting"
    free_at: uint256 = block.timestamp + convert(UNBONDING_SECONDS, uint256)
    self._owner[node] = free_at << 160 | owner
    log ILedger.ExitBegun(node=node, withdrawableAt=convert(free_at, uint64))


@external
def withdraw(node: address):
    """
    @notice Take back the stake of `node` after unbonding. The node is no longer registered; its head stays.
    @dev All state is written before the coins leave, so a receiver that calls back finds nothing to take.
    @param node Address of the node
    """
    owner: uint256 = self._owner[node]
    assert self._operator(owner) == msg.sender, "ledger: caller is not the operator"
    assert self._exiting_at(owner) != 0, "ledger: node is not exiting"
    assert block.timestamp >= self._exiting_at(owner), "ledger: stake is still bound"
    state: uint256 = self._state[node]
    stake: uint256 = self._stake(state)
    self._state[node] = self._pack(0, self._anchored_at(state), self._size(state))
    self._owner[node] = 0
    log ILedger.Withdrawn(node=node, operator=msg.sender, stake=stake)
    raw_call(msg.sender, b"", value=stake)


@external
@view
def verify(node: address, leaf_hash: bytes32, index: uint64, path: DynArray[bytes32, 63]) -> bool:
    """
    @notice Whether `leaf_hash` is a leaf of the log that `node` anchored.
    @param node Address of the node
    @param leaf_hash SHA256(0x00 ‖ leaf)
    @param index Number of the leaf, from 0
    @param path RFC 9162 inclusion proof to the present head
    @return True if the leaf is number `index` of the anchored log
    """
    size: uint256 = self._size(self._state[node])
    number: uint256 = convert(index, uint256)
    return number < size and self._is_included(leaf_hash, number, size, path, self._root[node])


@external
@view
def head(node: address) -> (uint64, bytes32, uint64):
    """
    @notice The last anchor of `node`, also after it withdrew.
    @param node Address of the node
    @return Size, root and time of the anchor in seconds; all zero for a node that never anchored
    """
    state: uint256 = self._state[node]
    return convert(self._size(state), uint64), self._root[node], convert(self._anchored_at(state), uint64)


@external
@view
def node(node: address) -> ILedger.Entry:
    """
    @notice Everything the contract knows of `node`.
    @param node Address of the node
    @return Its entry, empty where nothing is known
    """
    return self._entry(node)


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
        found.append(self._entry(node))
    return found


@external
@view
def eip712Domain() -> (bytes1, String[8], String[1], uint256, address, bytes32, DynArray[uint256, 1]):
    """
    @notice The EIP-712 domain of every signature this contract accepts (ERC-5267).
    @return Fields used (0x0f: the four that follow), name, version, chain id, this contract, no salt, no extensions
    """
    return 0x0f, NAME, VERSION, chain.id, self, empty(bytes32), []


@internal
@view
def _entry(node: address) -> ILedger.Entry:
    """
    @dev Unpacks the three slots of `node`.
    """
    state: uint256 = self._state[node]
    owner: uint256 = self._owner[node]
    return ILedger.Entry(
        operator=self._operator(owner),
        stake=self._stake(state),
        exiting_at=convert(self._exiting_at(owner), uint64),
        size=convert(self._size(state), uint64),
        root=self._root[node],
        anchored_at=convert(self._anchored_at(state), uint64),
    )


@internal
@view
def _check_consent(operator: address, node: address, signature: Bytes[65]):
    """
    @dev Reverts unless `node` signed Registration(operator, node). The domain is made anew each time, so that a
         chain that splits does not share signatures.
    """
    assert len(signature) == 65, "ledger: signature is not 65 bytes"
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    assert v == 27 or v == 28, "ledger: signature has a wrong v"
    assert s <= HALF_ORDER, "ledger: signature has a high s"
    domain: bytes32 = keccak256(
        abi_encode(DOMAIN_TYPE, keccak256(NAME), keccak256(VERSION), chain.id, self)
    )
    consent: bytes32 = keccak256(abi_encode(REGISTRATION_TYPE, operator, node))
    digest: bytes32 = keccak256(concat(0x1901, domain, consent))
    signer: address = ecrecover(digest, v, convert(slice(signature, 0, 32), uint256), s)
    assert signer != empty(address) and signer == node, "ledger: node did not consent"


@internal
@pure
def _check_consistency(
    old_size: uint256, old_root: bytes32, size: uint256, root: bytes32, proof: DynArray[bytes32, 63]
):
    """
    @dev Reverts unless the log (old_size, old_root) is the beginning of (size, root): RFC 9162 §2.1.4.2, for
         old_size < size. The empty log is the beginning of every log. Nodes are hashed in place: at every anchor
         that saves the 95 gas that a call of `_node_hash` costs.
    """
    if old_size == 0:
        assert len(proof) == 0, "ledger: first anchor takes no proof"
        return
    # The climb begins at the last whole subtree of the old log; the proof names it unless it is all of that log.
    node: uint256 = old_size - 1
    last: uint256 = size - 1
    for _: uint256 in range(40):
        if node & 1 == 0:
            break
        node >>= 1
        last >>= 1
    old_hash: bytes32 = old_root
    start: uint256 = 0
    if node != 0:
        assert len(proof) != 0, "ledger: proof has the wrong length"
        old_hash = proof[0]
        start = 1
    new_hash: bytes32 = old_hash
    for i: uint256 in range(start, len(proof), bound=63):
        assert last != 0, "ledger: proof has the wrong length"
        if node & 1 == 1 or node == last:
            old_hash = sha256(concat(0x01, proof[i], old_hash))
            new_hash = sha256(concat(0x01, proof[i], new_hash))
            for _: uint256 in range(40):  # levels where the climb meets no sibling
                if node & 1 == 1 or node == 0:
                    break
                node >>= 1
                last >>= 1
        else:
            new_hash = sha256(concat(0x01, new_hash, proof[i]))
        node >>= 1
        last >>= 1
    assert last == 0, "ledger: proof has the wrong length"
    assert old_hash == old_root, "ledger: proof does not lead to the old root"
    assert new_hash == root, "ledger: proof does not lead to the new root"


@internal
@pure
def _is_included(
    leaf_hash: bytes32, index: uint256, size: uint256, path: DynArray[bytes32, 63], root: bytes32
) -> bool:
    """
    @dev RFC 9162 §2.1.3.2, for index < size.
    """
    node: uint256 = index
    last: uint256 = size - 1
    computed: bytes32 = leaf_hash
    for sibling: bytes32 in path:
        if last == 0:
            return False
        if node & 1 == 1 or node == last:
            computed = self._node_hash(sibling, computed)
            for _: uint256 in range(40):  # levels where the climb meets no sibling
                if node & 1 == 1 or node == 0:
                    break
                node >>= 1
                last >>= 1
        else:
            computed = self._node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and computed == root


@internal
@pure
def _node_hash(left: bytes32, right: bytes32) -> bytes32:
    """
    @dev RFC 9162 §2.1.1: the prefix keeps a leaf from passing as a node.
    """
    return sha256(concat(0x01, left, right))


@internal
@pure
def _pack(stake: uint256, anchored_at: uint256, size: uint256) -> uint256:
    """
    @dev The callers keep stake < 2**128; a time in seconds and a size below 2**40 fit 64 bits.
    """
    return stake << 128 | anchored_at << 64 | size


@internal
@pure
def _stake(state: uint256) -> uint256:
    """
    @dev Bits 128 to 255 of a state word.
    """
    return state >> 128


@internal
@pure
def _anchored_at(state: uint256) -> uint256:
    """
    @dev Bits 64 to 127 of a state word.
    """
    return state >> 64 & LOW_64


@internal
@pure
def _size(state: uint256) -> uint256:
    """
    @dev Bits 0 to 63 of a state word.
    """
    return state & LOW_64


@internal
@pure
def _operator(owner: uint256) -> address:
    """
    @dev Bits 0 to 159 of an owner word.
    """
    return convert(owner & LOW_160, address)


@internal
@pure
def _exiting_at(owner: uint256) -> uint256:
    """
    @dev Bits 160 to 223 of an owner word.
    """
    return owner >> 160 & LOW_64
