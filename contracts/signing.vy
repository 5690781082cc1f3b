# pragma version ~=0.4.3
"""
@title Signed statements
@license Apache-2.0
@notice The EIP-712 digests that nodes sign, and who signed them.
@dev `tallynet.protocol.eip712` and `keys` are the same in Python. Each signature holds for one kind of statement on
     one contract and one chain.
"""


from interfaces import ILedger


NAME: constant(String[8]) = "Tallynet"
VERSION: constant(String[1]) = "1"
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
REGISTRATION_TYPE: constant(bytes32) = keccak256("Registration(address operator,address node)")
ANCHOR_TYPE: constant(bytes32) = keccak256("Anchor(uint64 size,bytes32 root)")
RECEIPT_TYPE: constant(bytes32) = keccak256("Receipt(bytes32 leaf,uint64 index,uint64 anchorBy,bytes32 job)")
CHECKPOINT_TYPE: constant(bytes32) = keccak256("Checkpoint(uint64 size,bytes32 root)")


@internal
@view
def check_consent(operator: address, node: address, signature: Bytes[65]):
    """
    @notice Revert unless `node` agreed that `operator` stakes for it.
    """
    statement: bytes32 = keccak256(abi_encode(REGISTRATION_TYPE, operator, node))
    assert self._is_signed(node, statement, signature), "ledger: node did not consent"


@internal
@view
def check_relay(node: address, size: uint64, root: bytes32, signature: Bytes[65]):
    """
    @notice Revert unless `node` agreed that anybody anchors (size, root) for it.
    """
    statement: bytes32 = keccak256(abi_encode(ANCHOR_TYPE, size, root))
    assert self._is_signed(node, statement, signature), "ledger: signature is not the node's"


@internal
@view
def check_receipt(node: address, receipt: ILedger.Receipt, signature: Bytes[65]):
    """
    @notice Revert unless `node` promised what `receipt` says.
    """
    statement: bytes32 = keccak256(abi_encode(RECEIPT_TYPE, receipt))
    assert self._is_signed(node, statement, signature), "ledger: signature is not the node's"


@internal
@view
def check_checkpoint(node: address, size: uint64, root: bytes32, signature: Bytes[65]):
    """
    @notice Revert unless `node` stated that the first `size` leaves of its log have this root.
    """
    statement: bytes32 = keccak256(abi_encode(CHECKPOINT_TYPE, size, root))
    assert self._is_signed(node, statement, signature), "ledger: signature is not the node's"


@internal
@view
def _is_signed(node: address, statement: bytes32, signature: Bytes[65]) -> bool:
    """
    @notice Whether `node` signed the statement with this struct hash. Reverts unless the signature has the one form
            that is accepted.
    @dev The domain is made anew each time, so that a chain that splits does not share signatures. `ecrecover` gives
         the zero address for what is no signature: that address signs nothing.
    """
    assert len(signature) == 65, "ledger: signature is not 65 bytes"
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    assert v == 27 or v == 28, "ledger: signature has a wrong v"
    assert s <= HALF_ORDER, "ledger: signature has a high s"
    domain: bytes32 = keccak256(abi_encode(DOMAIN_TYPE, keccak256(NAME), keccak256(VERSION), chain.id, self))
    digest: bytes32 = keccak256(concat(0x1901, domain, statement))
    signer: address = ecrecover(digest, v, extract32(signature, 0, output_type=uint256), s)
    return signer == node and signer != empty(address)
