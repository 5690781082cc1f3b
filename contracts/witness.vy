# pragma version ~=0.4.3
"""
@title Witness
@license Apache-2.0
@notice One head for every log, moved forward only along a proof that the log before is its beginning.
"""


from interfaces import ILedger
import accounts
import anchors
import merkle
import signing


uses: accounts


# The largest rate, in millionths.
MILLION: constant(uint32) = 1_000_000


@external
def anchor(size: uint64, root: bytes32, proof: DynArray[bytes32, 63]):
    """
    @notice Move the sender's head forward to `size` leaves under `root`.
    @param size Leaves in the log, more than at the last anchor and fewer than 2**40
    @param root RFC 9162 root of those leaves
    @param proof RFC 9162 consistency proof from the present head; empty for the first anchor
    """
    state: uint256 = accounts.state[msg.sender]
    assert anchors.is_registered(state), "ledger: node is not registered"
    assert convert(size, uint256) > anchors.size(state), "ledger: size does not grow"
    fault: uint256 = merkle.consistency(
        anchors.size(state), accounts.root[msg.sender], convert(size, uint256), root, proof
    )
    self._advance(msg.sender, state, size, root, fault)


@external
def anchor_many(relays: DynArray[ILedger.Relay, 32]):
    """
    @notice Move the heads of many nodes forward, each as its node agreed to. Anybody may.
    @dev An entry whose size does not exceed the head is passed over, so that a node which anchors by itself in the
         meantime spoils nothing. Anything else that is wrong reverts all of them.
    @param relays What the nodes agreed to
    """
    for relay: ILedger.Relay in relays:
        state: uint256 = accounts.state[relay.node]
        if convert(relay.size, uint256) <= anchors.size(state):
            continue
        assert anchors.is_registered(state), "ledger: node is not registered"
        signing.check_relay(relay.node, relay.size, relay.root, relay.signature)
        fault: uint256 = merkle.consistency(
            anchors.size(state), accounts.root[relay.node], convert(relay.size, uint256), relay.root, relay.proof
        )
        self._advance(relay.node, state, relay.size, relay.root, fault)


@external
def record(job: bytes32, request_hash: bytes32, output_hash: bytes32):
    """
    @notice Write one run of the sender, a registered node, as an event.
    @param job EIP-712 digest of the job
    @param request_hash Salted commitment to the request
    @param output_hash Salted commitment to the output
    """
    assert anchors.is_registered(accounts.state[msg.sender]), "ledger: node is not registered"
    log ILedger.Recorded(node=msg.sender, job=job, requestHash=request_hash, outputHash=output_hash)


@external
def attest(node: address, report: bytes32, size: uint64, confidence: uint32, at_most: uint32, at_least: uint32):
    """
    @notice Write what a sampling audit of `node` came to as an event. Anybody may, and nobody is convicted by it: whose
            word counts is for its readers to say.
    @param node Address of the audited node
    @param report EIP-712 digest of the report, the one its auditor signs
    @param size Leaves in the anchored log that was sampled, not more than the node has anchored
    @param confidence Of both bounds, in millionths
    @param at_most Part of the runs that is bad at most, in millionths
    @param at_least Part of the runs that is bad at least, in millionths
    """
    assert max(confidence, at_most) <= MILLION and at_least <= at_most, "ledger: bound is no rate"
    assert size > 0 and convert(size, uint256) <= anchors.size(accounts.state[node]), "ledger: size is not anchored"
    log ILedger.Attested(
        node=node, auditor=msg.sender, report=report, size=size, confidence=confidence, atMost=at_most, atLeast=at_least
    )


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
    size: uint256 = anchors.size(accounts.state[node])
    number: uint256 = convert(index, uint256)
    return number < size and merkle.includes(size, accounts.root[node], leaf_hash, number, path)


@external
@view
def head(node: address) -> (uint64, bytes32, uint64):
    """
    @notice The last anchor of `node`, also after it withdrew.
    @param node Address of the node
    @return Size, root and time of the anchor in seconds; all zero for a node that never anchored
    """
    state: uint256 = accounts.state[node]
    return convert(anchors.size(state), uint64), accounts.root[node], convert(anchors.time(state), uint64)


@external
@view
def ring(node: address) -> DynArray[ILedger.Pair, 9]:
    """
    @notice The last anchors of `node`, nine at most, by which `slash_late` judges what was anchored late.
    @param node Address of the node
    @return Size and time of each, the oldest first; fewer than nine begin with the node's first anchor
    """
    packed: DynArray[uint256, 9] = anchors.pairs(accounts.state[node], accounts.slots[node])
    found: DynArray[ILedger.Pair, 9] = []
    for at: uint256 in range(len(packed), bound=9):
        pair: uint256 = packed[len(packed) - 1 - at]
        found.append(
            ILedger.Pair(size=convert(anchors.size(pair), uint64), time=convert(anchors.time(pair), uint64))
        )
    return found


@internal
@view
def check_logged(node: address, size: uint256, leaf_hash: bytes32, index: uint64, path: DynArray[bytes32, 63]):
    """
    @notice Revert unless the leaf stands at the index of the anchored log, which has `size` leaves.
    """
    assert convert(index, uint256) < size, "ledger: index is not anchored"
    assert merkle.includes(size, accounts.root[node], leaf_hash, convert(index, uint256), path), (
        "ledger: leaf is not at the index"
    )


@internal
def _advance(node: address, state: uint256, size: uint64, root: bytes32, fault: uint256):
    """
    @notice Move a head forward, for a registered node and a size above that of its head, unless a proof has a fault.
    """
    new_size: uint256 = convert(size, uint256)
    assert new_size < anchors.MAX_SIZE, "ledger: size is too large"
    if fault != 0:
        assert fault != merkle.NOT_EMPTY, "ledger: first anchor takes no proof"
        assert fault != merkle.WRONG_LENGTH, "ledger: proof has the wrong length"
        assert fault != merkle.WRONG_OLD_ROOT, "ledger: proof does not lead to the old root"
        assert fault != merkle.WRONG_ROOT, "ledger: proof does not lead to the new root"
    if anchors.is_full(state):
        accounts.slots[node][anchors.slot(state)] = anchors.spilled(state)
    accounts.state[node] = anchors.advanced(state, new_size, block.timestamp)
    accounts.root[node] = root
    log ILedger.Anchored(node=node, size=size, root=root)
