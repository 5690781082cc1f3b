"""Commands of the auditor on a chain and a network in memory: they open them as they would the real ones."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner

from tallynet.audit import connection
from tallynet.audit.commands import audit_app
from tallynet.console.network_file import NetworkFile, write_network
from tallynet.ledger.ledger import Ledger
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import Transport
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import write_keystore
from tallynet.protocol.units import prefixed
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import DOMAIN, STRANGER, ExampleNode

RUNNER = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"})


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, object]:
        """The one object on the last line of stdout, which must hold nothing else."""
        (line,) = self.stdout.splitlines()
        value: dict[str, object] = json.loads(line)
        return value

    @property
    def words(self) -> str:
        """What people read, as if lines never ended."""
        return " ".join(self.stdout.split())

    @property
    def lines(self) -> list[dict[str, object]]:
        """An object on every line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Stage:
    """Where commands run: a folder of the user's own, one ledger, and nodes that answer if they are to."""

    def __init__(self, folder: Path, ledger: MemoryLedger, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.ledger = ledger
        self.nodes: list[ExampleNode] = []
        self.network = folder / "network.json"
        write_network(self.network, NetworkFile("http://memory.invalid", DOMAIN.chain_id, prefixed(DOMAIN.contract)))
        patch.setenv("TALLYNET_CONFIG", str(folder / "config"))
        patch.setenv("TALLYNET_STATE", str(folder / "state"))
        patch.setenv("TALLYNET_NETWORK", str(self.network))
        patch.setattr(connection, "open_ledger", self._open_ledger)
        patch.setattr(connection, "open_transport", self._open_transport)

    def run(self, *arguments: str | Path | int) -> Outcome:
        """One command, as a user gives it."""
        result = RUNNER.invoke(audit_app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    async def ran(self, *arguments: str | Path | int) -> Outcome:
        """The same from within a loop: the command brings its own."""
        return await trio.to_thread.run_sync(self.run, *arguments)

    def keystore(self, key: Key = STRANGER) -> Path:
        path = self.folder / f"{prefixed(key.address)}.json"
        if not path.exists():
            write_keystore(path, key, "")
        return path

    def save(self, name: str, bundle: Bundle) -> Path:
        path = self.folder / name
        path.write_text(write_bundle(bundle))
        return path

    def keep(self, bundles: Mapping[str, Bundle] | list[Bundle]) -> Path:
        """Receipts where the client keeps them."""
        named = bundles if isinstance(bundles, Mapping) else {b.receipt.receipt.job.hex(): b for b in bundles}
        folder = self.folder / "state" / "receipts"
        folder.mkdir(parents=True, exist_ok=True)
        for name, bundle in named.items():
            (folder / f"{name}.tally").write_text(write_bundle(bundle))
        return folder

    @asynccontextmanager
    async def _open_ledger(self, rpc_url: str, domain: Domain, confirmations: int) -> AsyncIterator[Ledger]:
        yield self.ledger

    @asynccontextmanager
    async def _open_transport(self, network: NetworkFile) -> AsyncIterator[Transport]:
        world = MemoryNetwork()
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                await nursery.start(_serve, MemoryTransport(world, node.key), node)
            auditor = MemoryTransport(world, Key.generate(), listen=False)
            async with auditor.run():
                yield auditor
            nursery.cancel_scope.cancel()


async def _serve(
    transport: MemoryTransport, node: ExampleNode, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    transport.serve(LOG_PROTOCOL, node.serve)
    async with transport.run():
        task_status.started()
        await trio.sleep_forever()
