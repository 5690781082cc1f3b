"""Paying out a development chain's coins: plain transfers from one key, over any RPC URL.

The ledger has no business with transfers, so this speaks JSON-RPC by itself.
"""

from collections.abc import Sequence
from typing import Any

import httpx
import trio

from tallynet.protocol.errors import ChainUnreachable, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Address, Wei, prefixed

PAY_SECONDS = 60.0
POLL_SECONDS = 0.05


class Purse:
    """One key's coins. Payments wait for each other, so that their nonces follow."""

    def __init__(self, rpc_url: str, key: Key) -> None:
        self._url = rpc_url
        self._key = key
        self._turn = trio.Lock()

    async def pay(self, payments: Sequence[tuple[Address, Wei]]) -> None:
        """Make all payments and wait until they are in blocks.

        Raises `Refused` when the chain does not take one, `ChainUnreachable` when it does not answer or takes
        longer than PAY_SECONDS.
        """
        try:
            with trio.fail_after(PAY_SECONDS):
                async with self._turn, httpx.AsyncClient(timeout=PAY_SECONDS) as client:
                    sent = await self._send_all(client, payments)
                    for transaction in sent:
                        await self._settled(client, transaction)
        except (httpx.HTTPError, ValueError) as error:
            raise ChainUnreachable(f"The chain at {self._url} does not answer as a chain does: {error}.") from error
        except trio.TooSlowError as error:
            raise ChainUnreachable(f"Payments were in no block within {PAY_SECONDS:g} s.") from error

    async def _send_all(self, client: httpx.AsyncClient, payments: Sequence[tuple[Address, Wei]]) -> list[str]:
        nonce = int(await self._ask(client, "eth_getTransactionCount", prefixed(self._key.address), "pending"), 16)
        price = int(await self._ask(client, "eth_gasPrice"), 16)
        chain_id = int(await self._ask(client, "eth_chainId"), 16)
        raw = [self._sign(chain_id, nonce + at, price, to, wei) for at, (to, wei) in enumerate(payments)]
        return [await self._ask(client, "eth_sendRawTransaction", prefixed(one)) for one in raw]

    def _sign(self, chain_id: int, nonce: int, price: int, to: Address, wei: Wei) -> bytes:
        from eth_account import Account  # slow to import, needed only here

        transaction: dict[str, object] = {
            "chainId": chain_id,
            "nonce": nonce,
            "to": bytes(to),
            "value": wei,
            "gas": 21_000,
        }
        fees = {"type": 2, "maxFeePerGas": 2 * price, "maxPriorityFeePerGas": min(price, 10**9)}
        return bytes(Account.sign_transaction(transaction | fees, self._key.secret).raw_transaction)

    async def _settled(self, client: httpx.AsyncClient, transaction: str) -> None:
        while not (receipt := await self._ask(client, "eth_getTransactionReceipt", transaction)):
            await trio.sleep(POLL_SECONDS)
        if receipt["status"] != "0x1":
            raise Refused(f"Transaction {transaction} failed.")

    async def _ask(self, client: httpx.AsyncClient, method: str, *params: object) -> Any:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = (await client.post(self._url, json=question)).json()
        if "error" in answer:
            words = str(answer["error"].get("message", ""))
            raise Refused(f"The chain refuses {method}: {words}.", reason=words)
        return answer["result"]
