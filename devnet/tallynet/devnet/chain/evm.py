"""The embedded chain: py-evm in memory, one block per transaction and one per tick of the timer.

Block times follow the clock: a block bears the present second, never an earlier one than its parent. Blocks of
one second share it, as on several layer-2 chains, because a strictly rising time would run ahead of the clock
under load. State lives in memory, 2 to 4 KB a block, and ends with the process.
"""

import os
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import MiningChain
from eth.constants import BLANK_ROOT_HASH, POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.db.atomic import AtomicDB
from eth.exceptions import HeaderNotFound
from eth.typing import AccountDetails
from eth.vm.forks.prague import PragueVM
from eth_typing import Address as EthAddress
from eth_typing import BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from tallynet.devnet.chain.calls import Call, attempt, least_gas
from tallynet.devnet.chain.receipts import Log, Mined, Place, outcome
from tallynet.protocol.units import Address, Digest, Wei

sys.setrecursionlimit(3000)
"""py-evm sets 100,000 at import, and then a request of nested brackets overflows the C stack of a JSON or msgpack
decoder. This is enough for calls some hundred contracts deep, which no contract of ours makes."""

CHAIN_ID = 31337
"""The customary id of development chains."""
GAS_LIMIT = 30_000_000
GENESIS_BALANCE = Wei(10_000 * 10**18)
"""Wei given to each account named at the start."""


class TransactionRefused(Exception):
    """A transaction that can be in no block; says why, in the words of other nodes where they have some."""


class _SharedSecondVM(PragueVM):
    """Prague rules, but a block may bear the same second as its parent."""

    @classmethod
    def validate_header(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        if header.timestamp == parent_header.timestamp:
            parent_header = parent_header.copy(timestamp=parent_header.timestamp - 1)
        super().validate_header(header, parent_header)


class _Blocks(MiningChain):
    vm_configuration = ((BlockNumber(0), _SharedSecondVM),)
    chain_id = CHAIN_ID

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **header_params: Any) -> BlockHeaderAPI:
        return super().create_header_from_parent(parent_header, **{**header_params, "gas_limit": GAS_LIMIT})


class EmbeddedChain:
    """One chain. Not thread-safe: callers take turns."""

    def __init__(self, funded: Iterable[Address], *, clock: Callable[[], float] = time.time) -> None:
        """Genesis: every address in `funded` gets GENESIS_BALANCE. `clock` gives Unix seconds."""
        self._clock = clock
        self.ahead_seconds = 0
        """How far the chain's time has been moved ahead of the clock."""
        self._mined: dict[bytes, Mined] = {}
        self._in_block: dict[int, tuple[Mined, ...]] = {}
        self._logs: list[Log] = []
        accounts = {EthAddress(who): _account(GENESIS_BALANCE) for who in funded}
        self._blocks = cast(MiningChain, _Blocks.from_genesis(AtomicDB(), self._genesis(), accounts))

    @property
    def number(self) -> int:
        """Number of the newest block."""
        return self._blocks.header.block_number - 1

    def now(self) -> int:
        """The time that the next block will bear."""
        return max(int(self._clock()) + self.ahead_seconds, self.header(self.number).timestamp)

    def mine(self, *transactions: SignedTransactionAPI) -> None:
        """Add a block; raises `TransactionRefused`, and then nothing has changed."""
        self._blocks.set_header_timestamp(self.now())
        try:
            result, receipts, computations = self._blocks.mine_all(transactions, mix_hash=os.urandom(32))
        except ValidationError as error:
            raise TransactionRefused(str(error)) from error
        self._remember(result.imported_block.header, transactions, receipts, computations)

    def send(self, raw: bytes) -> Digest:
        """Put a signed transaction into a block of its own and return its hash; raises `TransactionRefused`."""
        signed = self._decode(raw)
        if signed.hash in self._mined:
            raise TransactionRefused("already known")
        self._check_sender(signed)
        self._check_fees(signed)
        self.mine(signed)
        return Digest(signed.hash)

    def call(self, call: Call, block: int) -> bytes:
        """What the call would return after `block`; raises `CallFailed`."""
        return attempt(self._free_machine(block), call, call.gas)

    def estimate(self, call: Call, block: int) -> int:
        """The least gas limit with which the call succeeds, to 1 %; raises `CallFailed`."""
        return least_gas(lambda: self._free_machine(block), call)

    def header(self, number: int) -> BlockHeaderAPI:
        """Raises KeyError for a block that is not there."""
        if not 0 <= number <= self.number:
            raise KeyError(number)
        return self._blocks.get_canonical_block_header_by_number(BlockNumber(number))

    def number_of(self, block_hash: bytes) -> int:
        """Raises KeyError for a block that is not there."""
        try:
            return self._blocks.get_block_header_by_hash(Hash32(block_hash)).block_number
        except HeaderNotFound as error:
            raise KeyError(block_hash.hex()) from error

    def transactions_in(self, number: int) -> Sequence[Mined]:
        return self._in_block.get(number, ())

    def mined(self, transaction: bytes) -> Mined | None:
        return self._mined.get(transaction)

    def logs(self, first: int, last: int) -> Sequence[Log]:
        """All events of the blocks `first` to `last`, oldest first."""
        start = bisect_left(self._logs, first, key=_block)
        return self._logs[start : bisect_right(self._logs, last, key=_block)]

    def balance(self, who: Address, block: int) -> int:
        return self._machine(block).state.get_balance(EthAddress(who))

    def nonce(self, who: Address, block: int) -> int:
        return self._machine(block).state.get_nonce(EthAddress(who))

    def code(self, who: Address, block: int) -> bytes:
        return self._machine(block).state.get_code(EthAddress(who))

    def storage(self, who: Address, slot: int, block: int) -> int:
        return self._machine(block).state.get_storage(EthAddress(who), slot)

    def base_fee(self) -> int:
        """Wei per gas that the next block burns."""
        return self._blocks.header.base_fee_per_gas or 0

    def _genesis(self) -> dict[str, Any]:
        return {
            "difficulty": POST_MERGE_DIFFICULTY,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "gas_limit": GAS_LIMIT,
            "timestamp": int(self._clock()),
            "receipt_root": BLANK_ROOT_HASH,
            "transaction_root": BLANK_ROOT_HASH,
        }

    def _machine(self, block: int) -> VirtualMachineAPI:
        """A machine with the state after `block`; what is run on it is forgotten."""
        return self._blocks.get_vm(self.header(block))

    def _free_machine(self, block: int) -> VirtualMachineAPI:
        return self._blocks.get_vm(self.header(block).copy(base_fee_per_gas=0))

    def _decode(self, raw: bytes) -> SignedTransactionAPI:
        try:
            return self._blocks.get_vm().get_transaction_builder().decode(raw)
        except Exception as error:  # rlp and py-evm raise many kinds for bytes that are no transaction
            raise TransactionRefused(f"the transaction cannot be read: {error}") from error

    def _check_sender(self, signed: SignedTransactionAPI) -> None:
        if signed.chain_id not in (None, CHAIN_ID):
            raise TransactionRefused(f"invalid chain id for signer: have {signed.chain_id} want {CHAIN_ID}")
        try:
            signed.validate()
            sender = Address(signed.sender)
        except ValidationError as error:
            raise TransactionRefused(f"invalid sender: {error}") from error
        expected = self.nonce(sender, self.number)
        if signed.nonce != expected:
            wrong = "too low" if signed.nonce < expected else "too high"
            raise TransactionRefused(f"nonce {wrong}: next nonce {expected}, tx nonce {signed.nonce}")

    def _check_fees(self, signed: SignedTransactionAPI) -> None:
        if signed.gas > GAS_LIMIT:
            raise TransactionRefused(f"exceeds block gas limit: have {signed.gas}, limit {GAS_LIMIT}")
        if signed.gas < signed.intrinsic_gas:
            raise TransactionRefused(f"intrinsic gas too low: have {signed.gas}, want {signed.intrinsic_gas}")
        fee = signed.max_fee_per_gas
        if fee < self.base_fee():
            raise TransactionRefused(
                f"max fee per gas less than block base fee: maxFeePerGas: {fee} baseFee: {self.base_fee()}"
            )
        has, needs = self.balance(Address(signed.sender), self.number), signed.gas * fee + signed.value
        if has < needs:
            raise TransactionRefused(f"insufficient funds for gas * price + value: have {has} want {needs}")

    def _remember(
        self,
        header: BlockHeaderAPI,
        transactions: Sequence[SignedTransactionAPI],
        receipts: Sequence[ReceiptAPI],
        computations: Sequence[ComputationAPI],
    ) -> None:
        mined: list[Mined] = []
        gas_before, logs_before = 0, 0
        for index, (signed, receipt, done) in enumerate(zip(transactions, receipts, computations, strict=True)):
            place = Place(header.block_number, header.hash, index, gas_before, logs_before)
            mined.append(outcome(header, signed, receipt, done, place))
            gas_before, logs_before = receipt.gas_used, logs_before + len(receipt.logs)
        if mined:
            self._in_block[header.block_number] = tuple(mined)
        for one in mined:
            self._mined[one.signed.hash] = one
            self._logs.extend(one.logs)


def _account(balance: Wei) -> AccountDetails:
    return {"balance": balance, "nonce": 0, "code": b"", "storage": {}}


def _block(log: Log) -> int:
    return log.place.block
