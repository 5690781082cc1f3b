"""Everything that is asked of an RPC endpoint, and every foreign error.

The only module that imports web3. Its calls block, so they run in threads; its errors, and those of the libraries
below it, become ours in `_translated` and nowhere else. What an endpoint answers is foreign: it is turned into our
own types inside the same fence, so that rubbish is the endpoint's fault and never a stray `KeyError`.

Not protected against: an endpoint that lies consistently about storage, events and blocks. Ask a second one, or
run your own, where that matters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests
import trio
from eth_account import Account
from eth_utils.exceptions import ValidationError
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BadFunctionCallOutput,
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.providers import BaseProvider
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from tallynet.ledger.answers import read_block, read_bytes, read_log, read_reason, read_receipt
from tallynet.ledger.artefact import artefact
from tallynet.ledger.events import Log
from tallynet.ledger.history import Block, Receipt
from tallynet.ledger.ledger import Challenge, Head, NodeEntry
from tallynet.ledger.outbox import Call, Draft, Fees
from tallynet.ledger.rules import refused
from tallynet.protocol import eip712
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import ChainUnreachable, Misconfigured, Refused, TallyError
from tallynet.protocol.fault import AnchoredAt
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Digest, Seconds, Wei, prefixed

Endpoint = str | BaseProvider
"""An RPC URL, or a web3 provider such as that of an embedded chain."""

THREADS: Final = 4
"""Questions to one RPC URL at a time."""

NODES_PER_CALL: Final = 256
"""Bound of `nodes` in the contract."""

T = TypeVar("T")
NO_ADDRESS: Final = Address(bytes(20))
_ONE_AT_A_TIME: WeakKeyDictionary[BaseProvider, trio.CapacityLimiter] = WeakKeyDictionary()
"""Embedded chains are not made for threads: all ledgers over one of them take turns."""


class Rpc:
    """All that is asked of an endpoint, in our own types."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        self._session: requests.Session | None = None
        self._closed = False
        if isinstance(endpoint, str):
            self._name = urlsplit(endpoint).netloc.rpartition("@")[2]  # paths and users may hold access keys
            self._session = requests.Session()
            self._patience = 3 * timeout_seconds
            self._limiter = trio.CapacityLimiter(THREADS)
            endpoint = _http(endpoint, timeout_seconds, self._session)
        else:
            self._name = type(endpoint).__name__
            self._patience = float("inf")
            self._limiter = _ONE_AT_A_TIME.setdefault(endpoint, trio.CapacityLimiter(1))
        self._web3 = Web3(endpoint, middleware=[])
        self._eth = self._web3.eth
        self._chain_id = 0
        self._contract: Any = None
        self._address = NO_ADDRESS

    def close(self) -> None:
        """Also called by threads that were left alone: they may open a connection after the first time."""
        self._closed = True
        if self._session:
            self._session.close()

    async def chain_id(self) -> int:
        """Asked once: a chain does not change its id."""
        self._chain_id = self._chain_id or await self._ask(lambda: int(self._eth.chain_id))
        return self._chain_id

    async def bind(self, domain: Domain) -> None:
        """From here on, calls and logs are those of the domain's contract, if that is what is there."""
        self._address, address = domain.contract, _hex(domain.contract)
        if not await self._ask(lambda: len(self._eth.get_code(address))):
            raise Misconfigured(
                f"no contract code at {address} on chain {domain.chain_id}; is this the right network file?",
                remedy="Compare the contract address and the RPC URL with those that the network publishes.",
            )
        self._contract = self._eth.contract(address=address, abi=artefact().abi)
        expected = (b"\x0f", eip712.NAME, eip712.VERSION, domain.chain_id, address)
        try:
            found = tuple(await self._view("eip712Domain"))[:5]
        except (Refused, _Objection) as error:
            found = (error.message,)
        if found != expected:
            raise Misconfigured(
                f"the contract at {address} is no Tallynet ledger: its domain is {found}, not {expected}",
                remedy="Compare the contract address with the one that the network publishes.",
            )

    async def first_block(self) -> int:
        return int(await self._view("DEPLOYED_AT"))

    def creation(self, *terms: int) -> bytes:
        """The data of a transaction that creates the contract; `terms` are those of its constructor."""
        factory: Any = self._eth.contract(abi=artefact().abi, bytecode=artefact().bytecode)
        return read_bytes(factory.constructor(*terms).data_in_transaction)

    def encode(self, function: str, arguments: Sequence[object]) -> bytes:
        return read_bytes(self._contract.encode_abi(function, args=[_argument(value) for value in arguments]))

    async def head(self, node: Address) -> Head:
        size, root, anchored_at = await self._view("head", node)
        return Head(size, Digest(root), Seconds(anchored_at))

    async def ring(self, node: Address) -> list[AnchoredAt]:
        found = await self._view("ring", node)
        return [AnchoredAt(int(size), Seconds(time)) for size, time in found]

    async def bond(self, node: Address) -> Wei:
        return Wei(await self._view("bond", node))

    async def asked(self, node: Address, index: int) -> Challenge | None:
        challenger, bond, answer_by = await self._view("asked", node, index)
        if not answer_by:
            return None
        return Challenge(node, index, Address(read_bytes(challenger)), Wei(bond), Seconds(answer_by))

    async def entries(self, published: Mapping[Address, str]) -> list[NodeEntry]:
        asked, entries = list(published), []
        for at in range(0, len(asked), NODES_PER_CALL):
            group = asked[at : at + NODES_PER_CALL]
            for node, found in zip(group, await self._view("nodes", group), strict=True):
                operator, stake, exiting_at = Address(read_bytes(found[0])), Wei(found[1]), Seconds(found[2])
                if operator != NO_ADDRESS:
                    entries.append(NodeEntry(node, operator, stake, published[node], exiting_at))
        return entries

    async def is_logged(self, node: Address, leaf_hash: Digest, index: int, path: Sequence[Digest]) -> bool:
        return bool(await self._view("verify", node, leaf_hash, index, list(path)))

    async def latest(self) -> Block:
        return await self._ask(lambda: read_block(self._eth.get_block("latest")))

    async def block(self, number: int) -> Block | None:
        return await self._ask_for(BlockNotFound, lambda: read_block(self._eth.get_block(number)))

    async def logs(self, topics: Sequence[Digest], first: int, last: int) -> list[Log]:
        """Only what was asked for: an endpoint that answers more is cut to it."""
        query: Any = {"address": _hex(self._address), "fromBlock": first, "toBlock": last}
        query["topics"] = [prefixed(topic) for topic in topics]
        found = await self._ask(lambda: [read_log(log) for log in self._eth.get_logs(query)])
        ours = [log for log in found if log.address == self._address and first <= log.block <= last]
        return [log for log in ours if log.topics[: len(topics)] == tuple(topics)]

    async def receipt(self, transaction: Digest) -> Receipt | None:
        wanted: Any = transaction
        question = self._ask_for(TransactionNotFound, lambda: read_receipt(self._eth.get_transaction_receipt(wanted)))
        return await question

    async def is_known(self, transaction: Digest) -> bool:
        wanted: Any = transaction
        return await self._ask_for(TransactionNotFound, lambda: bool(self._eth.get_transaction(wanted))) or False

    async def nonce(self, sender: Address) -> int:
        return await self._ask(lambda: int(self._eth.get_transaction_count(_hex(sender), "latest")))

    async def fees(self) -> Fees:
        """Twice the base fee outlasts six full blocks, each of which raises it by an eighth (EIP-1559)."""
        tip = await self._ask(lambda: int(self._eth.max_priority_fee))
        return Fees(2 * (await self.latest()).base_fee + tip, tip)

    async def attempt(self, sender: Address, call: Call) -> None:
        transaction: Any = {"from": _hex(sender), **_transaction(call)}
        await self._ask(lambda: self._eth.call(transaction))

    async def estimate(self, sender: Address, call: Call) -> int:
        transaction: Any = {"from": _hex(sender), **_transaction(call)}
        try:
            return await self._ask(lambda: int(self._eth.estimate_gas(transaction)))
        except _Objection as error:
            raise Refused(f"the chain does not take the call: {error.words}", reason=error.words) from error

    def sign(self, key: Key, draft: Draft) -> tuple[bytes, Digest]:
        fees = {"maxFeePerGas": draft.fees.most, "maxPriorityFeePerGas": draft.fees.tip}
        fixed = {"type": 2, "chainId": self._chain_id, "nonce": draft.nonce, "gas": draft.gas}
        signed: Any = Account.sign_transaction({**fixed, **fees, **_transaction(draft.call)}, key.secret)
        return bytes(signed.raw_transaction), Digest(bytes(signed.hash))

    async def broadcast(self, raw: bytes) -> str:
        try:
            await self._ask(lambda: self._eth.send_raw_transaction(raw))
        except _Objection as error:
            return error.words
        except Refused as error:
            return error.reason
        return ""

    async def _view(self, function: str, *arguments: object) -> Any:
        call = self._contract.functions[function](*[_argument(value) for value in arguments])
        return await self._ask(call.call)

    async def _ask_for(self, missing: type[Exception], question: Callable[[], T]) -> T | None:
        """The answer, or None where the endpoint says that there is no such thing."""

        def answer() -> T | None:
            try:
                return question()
            except missing:
                return None

        return await self._ask(answer)

    async def _ask(self, question: Callable[[], T]) -> T:
        """Every answer passes here, and every foreign error ends here."""

        def answer() -> T:
            try:
                return question()
            except Exception as error:
                raise _translated(error, self._name) from error
            finally:
                if self._closed:
                    self.close()

        async with self._limiter:  # waiting for one's turn is no fault of the endpoint
            with trio.move_on_after(self._patience):
                return await trio.to_thread.run_sync(answer, abandon_on_cancel=self._session is not None)
        raise ChainUnreachable(f"{self._name} did not answer within {self._patience:g} s")


class _Objection(ChainUnreachable):
    """The endpoint answered, and the answer is an error in these `words`."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name} answered with an error: {words}")
        self.words = words


def _translated(error: Exception, name: str) -> TallyError:
    """Our error for a foreign one. Messages keep away from URLs, which may hold access keys."""
    kind = type(error).__name__
    if isinstance(error, ContractLogicError) or kind == "TransactionFailed":  # the latter is eth-tester's
        return refused(read_reason(error))
    if isinstance(error, Web3RPCError):
        return _Objection(name, _words(error))
    if isinstance(error, (ValidationError, BadFunctionCallOutput)):  # the former is eth-tester's
        return _Objection(name, str(error))
    if isinstance(error, OSError):  # all of requests' errors are
        status = getattr(getattr(error, "response", None), "status_code", "")
        return ChainUnreachable(f"{name} does not answer: {kind} {status}".rstrip())
    return ChainUnreachable(f"{name} gave an answer that cannot be used: {kind}: {error}")


def _words(error: Web3RPCError) -> str:
    """What the endpoint says, without the braces around it where it keeps to JSON-RPC."""
    told = (error.rpc_response or {}).get("error")
    words = told.get("message") if isinstance(told, dict) else None
    return words if isinstance(words, str) and words else str(error.message)


def _http(url: str, timeout_seconds: float, session: requests.Session) -> HTTPProvider:
    trouble = (requests.ConnectionError, requests.Timeout, requests.HTTPError)
    again = ExceptionRetryConfiguration(errors=trouble, retries=2, backoff_factor=0.2)
    options = {"timeout": timeout_seconds}
    return HTTPProvider(url, options, session=session, exception_retry_configuration=again)


def _transaction(call: Call) -> dict[str, object]:
    to = {"to": _hex(call.to)} if call.to else {}
    return {**to, "data": prefixed(call.data), "value": call.value}


def _argument(value: object) -> object:
    """Addresses, alone, in a list or in a struct, in the form that web3 wants; all else as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)(_argument(item) for item in value)
    return _hex(Address(value)) if isinstance(value, bytes) and len(value) == 20 else value


def _hex(address: Address) -> Any:
    return Web3.to_checksum_address(address)
