"""What a client stands on while it runs: the network, who is there, the user's key, and the chain."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from tallynet.client.directory import Directory, read_peers
from tallynet.console.folders import config_folder
from tallynet.console.network_file import NetworkFile, read_network
from tallynet.ledger.ledger import Ledger, NodeEntry
from tallynet.ledger.opening import open_ledger
from tallynet.network.address_book import AddressBook
from tallynet.network.log_reader import LogReader
from tallynet.network.transport import Transport
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import open_keystore
from tallynet.protocol.units import Address, Milliseconds


def wall_clock() -> Milliseconds:
    return Milliseconds(time.time_ns() // 1_000_000)


class Session:
    """Running between `async with`. Key and chain are opened when they are needed, once."""

    def __init__(
        self,
        network: NetworkFile | Path | str | None,
        key: Key | None,
        transport: Transport | None,
        ledger: Ledger | None,
        clock: Callable[[], Milliseconds],
    ) -> None:
        """The arguments of `AsyncClient`. Raises `Misconfigured` for a network file that cannot be read."""
        self.network = network if isinstance(network, NetworkFile) else _read(network)
        self.clock = clock
        self._key = key
        self._transport = transport
        self._ledger = ledger
        self._unlocking = trio.Lock()
        self._connecting = trio.Lock()
        self._stack = AsyncExitStack()
        self._directory: Directory | None = None

    @property
    def directory(self) -> Directory:
        """Who is there. Raises `RuntimeError` outside of `async with`."""
        if self._directory is None:
            raise RuntimeError("the client is used outside its `async with` block")
        return self._directory

    async def signer(self) -> Key:
        """The user's key; decrypting it is slow, hence only when something is signed, once, and in a thread.

        Raises `Misconfigured` for a key file that cannot be opened.
        """
        async with self._unlocking:
            if self._key is None:
                path, password = config_folder() / "client.key", os.environ.get("TALLYNET_PASSWORD", "")
                self._key = await trio.to_thread.run_sync(open_keystore, path, password)
        return self._key

    async def chain(self) -> Ledger:
        """The network's contract. Raises `ChainUnreachable`, `Misconfigured` when the contract is not on that chain."""
        async with self._connecting:
            if self._ledger is None:
                network = self.network
                opening = open_ledger(network.rpc_url, network.domain, network.confirmations)
                self._ledger = await self._stack.enter_async_context(opening)
        return self._ledger

    async def registry(self) -> Sequence[NodeEntry]:
        """All registered nodes. Raises `ChainUnreachable`."""
        return await (await self.chain()).nodes()

    async def find_log(self, node: Address) -> LogReader:
        """The log of a node, which is looked for. Raises `NoNodes`."""
        return LogReader(self.directory.transport, await self.directory.locate(node), self.network.domain)

    async def __aenter__(self) -> Self:
        transport = self._transport or _open_transport()
        await self._stack.enter_async_context(transport.run())
        hints = (*self.network.bootstrap, *(node.multiaddr for node in self.network.nodes))
        book = AddressBook(self.network.domain, self.clock)
        self._directory = Directory(transport, book, read_peers(hints), self.registry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._directory = None
        await self._stack.__aexit__(kind, error, trace)


def _read(path: Path | str | None) -> NetworkFile:
    return read_network(None if path is None else Path(path))


def _open_transport() -> Transport:
    """A host that only dials. Its identity is not the user's key: nodes see that one in jobs, others need not.

    It is given no bootstrap peers: it would wait for the last of them, while `Directory` waits for the first.
    """
    from tallynet.network.host import Libp2pTransport  # slow, and of no use where another transport is given

    return Libp2pTransport(Key.generate(), listen=())
