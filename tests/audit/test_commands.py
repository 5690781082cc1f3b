"""`tallynet audit`: what is printed, what programs read, and the exit codes."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
import trio
from typer.testing import CliRunner

from tallynet.audit.anchoring import reference
from tallynet.audit.commands import audit_app
from tallynet.console.network_file import NetworkFile, write_network
from tallynet.protocol.bundle import Bundle, attach_anchor, read_bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.units import Wei, prefixed
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import CHUNKS, DOMAIN, NODE, STRANGER, ExampleNode, bundle

RUNNER = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"})


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, object]:
        """The one object on the last line of stdout, which must hold nothing else."""
        (line,) = self.stdout.splitlines()
        value: dict[str, object] = json.loads(line)
        return value


def run(*arguments: str | Path) -> Outcome:
    result = RUNNER.invoke(audit_app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No network file of whoever runs the tests; and the root logger as it was."""
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("TALLYNET_NETWORK", raising=False)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def save(folder: Path, content: Bundle | bytes) -> Path:
    path = folder / "a.tally"
    path.write_bytes(content if isinstance(content, bytes) else write_bundle(content).encode())
    return path


def network_of(folder: Path, domain: Domain) -> Path:
    path = folder / "network.json"
    write_network(path, NetworkFile("http://127.0.0.1:9", domain.chain_id, prefixed(domain.contract)))
    return path


def test_a_bundle_that_holds_exits_0(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, bundle()), "--offline")

    assert found.code == 0
    assert found.stdout.splitlines()[:4] == [
        "  (1) ✓ the file is a bundle, in its one form  2010 bytes",
        "  (2) – chain and contract are the network's   no network file to compare",
        "  (3) ✓ the client signed the job              client 19e7…ff2a, job 32d0…973a",
        "  (4) ✓ the leaf tells of this job             model 5555…5555, 45 wei",
    ]
    assert "What is the capital of Japan?" in found.stdout
    assert "The capital is Tōkyō." in found.stdout
    assert "NOT proven:" in found.stdout
    assert found.stderr == ""


def test_lines_fit_eighty_columns(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, bundle()), "--offline")

    assert max(map(len, found.stdout.splitlines())) <= 80


def test_json_is_the_last_line_and_the_rest_goes_to_stderr(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, bundle()), "--offline", "--json")

    assert found.code == 0
    assert found.json["verdict"] == "ok"
    assert found.json["level"] == "logged"
    assert found.json["failed_check"] is None
    assert found.json["upgraded"] is False
    assert isinstance(found.json["checks"], list) and len(found.json["checks"]) == 13
    assert isinstance(found.json["run"], dict) and found.json["run"]["node"] == prefixed(NODE.address)
    assert "(1) ✓" in found.stderr


def test_a_changed_byte_exits_1_with_the_reason(tmp_path: Path) -> None:
    text = write_bundle(bundle()).encode()
    for at in range(0, len(text), 61):
        found = run("verify", save(tmp_path, text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]), "--offline", "--json")

        assert found.code == 1
        assert found.json["verdict"] == "failed"
        assert found.json["level"] == "none"
        assert str(found.json["reason"]).startswith(f"at check ({found.json['failed_check']}) ")


def test_a_changed_answer_is_named(tmp_path: Path) -> None:
    opening = bundle().opening
    assert isinstance(opening, Whole)
    chunks = (msgspec.structs.replace(CHUNKS[0], text="The Capital"), CHUNKS[1])
    wrong = replace(bundle(), opening=replace(opening, chunks=chunks))

    found = run("verify", save(tmp_path, wrong), "--offline")

    assert found.code == 1
    assert "  (7) ✗ the answer opens its commitment" in found.stdout
    assert "FAILED at check (7) the leaf commits to output" in found.stdout
    assert "NOT proven" not in found.stdout


def test_a_file_that_is_no_bundle_exits_1(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, b"\x00\xff"), "--offline", "--json")

    assert found.code == 1
    assert found.json["failed_check"] == 1
    assert found.json["run"] is None


def test_a_file_that_is_not_there_exits_2(tmp_path: Path) -> None:
    found = run("verify", tmp_path / "none.tally", "--offline", "--json")

    assert found.code == 2
    assert isinstance(found.json["error"], dict) and "cannot be read" in found.json["error"]["message"]


def test_a_folder_exits_2(tmp_path: Path) -> None:
    assert run("verify", tmp_path, "--offline").code == 2


def test_no_network_file_exits_2(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, bundle()))

    assert found.code == 2
    assert "--network FILE" in found.stderr


def test_an_unknown_option_exits_2() -> None:
    assert run("verify", "--nonsense").code == 2


def test_a_run_that_is_not_anchored_exits_3(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, ExampleNode().run()), "--offline", "--json")

    assert found.code == 3
    assert found.json["verdict"] == "pending"
    assert "promised it by 2096-10-02 07:06:40 UTC" in str(found.json["reason"])


def test_another_network_exits_1(tmp_path: Path) -> None:
    network = network_of(tmp_path, Domain(5, DOMAIN.contract))

    found = run("verify", save(tmp_path, bundle()), "--offline", "--network", network, "--json")

    assert found.code == 1
    assert found.json["failed_check"] == 2


def test_a_chain_that_does_not_answer_exits_1(tmp_path: Path) -> None:
    found = run("verify", save(tmp_path, bundle()), "--network", network_of(tmp_path, DOMAIN), "--json")

    assert found.code == 1
    assert isinstance(found.json["error"], dict) and found.json["error"]["code"] == "chain-unreachable"


def test_text_in_a_bundle_cannot_steer_the_terminal(tmp_path: Path) -> None:
    node = ExampleNode()
    wild = node.run("\x1b[2J[red]hello[/red]\n" + "x" * 100)

    found = run("verify", save(tmp_path, node.anchored(wild)), "--offline")

    assert found.code == 0
    assert "\x1b" not in found.stdout
    assert "[2J[red]hello[/red] xxx" in found.stdout


@pytest.mark.parametrize("address", ["0x12", "xyz", "00" * 20, "0x" + "zz" * 20])
def test_an_address_that_is_none_exits_2(address: str) -> None:
    assert run("node", address).code == 2


@pytest.mark.parametrize("name", ["verify", "upgrade", "explain", "export", "open", "node"])
def test_help_has_an_example(name: str) -> None:
    found = run(name, "--help")

    assert found.code == 0
    assert f"Example: tallynet audit {name}" in found.stdout


# --- over a real chain and a real connection -----------------------------------------------------------


@dataclass
class World:
    """A chain, its contract and one node, each reached as on any network."""

    network: NetworkFile
    node: ExampleNode
    anchored: Bundle
    waiting: Bundle


@asynccontextmanager
async def living_world() -> AsyncIterator[World]:
    from tallynet.devnet.chain.accounts import funded_key, funded_keys
    from tallynet.devnet.chain.evm import EmbeddedChain
    from tallynet.devnet.chain.server import ChainServer
    from tallynet.ledger.chain import ChainLedger, ChainSettings
    from tallynet.network.host import Libp2pTransport

    async with trio.open_nursery() as nursery:
        chain = ChainServer(EmbeddedChain(key.address for key in funded_keys()), 60.0)
        url = await nursery.start(chain.run)
        ledger = await ChainLedger.deploy(
            url, funded_key(), minimum_stake=Wei(1), unbonding_seconds=60, settings=ChainSettings(confirmations=0)
        )
        node = ExampleNode(key=funded_key(1), domain=ledger.domain)
        transport = Libp2pTransport(node.key, dht=False)
        transport.serve(LOG_PROTOCOL, node.serve)
        async with transport.run():
            await ledger.register(funded_key(2), node.key, Wei(1), f"{transport.addresses[0]}/p2p/{transport.peer}")
            runs = [node.run() for _ in range(3)]
            anchor = await node.anchor(ledger)
            anchored = attach_anchor(runs[1], reference(anchor), node.tree.inclusion(1, 3), node.note(3))
            network = NetworkFile(url, ledger.domain.chain_id, prefixed(ledger.domain.contract))
            yield World(network, node, anchored, node.run())
        await ledger.aclose()
        nursery.cancel_scope.cancel()


async def ran(*arguments: str | Path) -> Outcome:
    """A command in a thread of its own: it brings its own loop."""
    return await trio.to_thread.run_sync(run, *arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what libp2p imports calls itself deprecated
async def test_everything_over_a_real_chain_and_a_real_connection(tmp_path: Path) -> None:
    async with living_world() as world:
        network = tmp_path / "network.json"
        write_network(network, world.network)

        bare = save(tmp_path, replace(world.anchored, inclusion=None))
        bare.chmod(0o640)
        untouched = bare.read_bytes()

        kept = await ran("verify", bare, "--network", network, "--no-upgrade", "--json")
        assert (kept.code, kept.json["level"], kept.json["upgraded"]) == (0, "anchored", False)
        assert bare.read_bytes() == untouched

        upgraded = await ran("verify", bare, "--network", network)
        assert upgraded.code == 0
        assert " (13) ✓ the node's log has not shrunk since" in upgraded.stdout
        assert "saved in a.tally" in upgraded.stdout
        assert read_bundle(bare.read_bytes()) == world.anchored
        assert bare.stat().st_mode & 0o777 == 0o640
        assert (await ran("verify", bare, "--offline")).code == 0

        waiting = await ran("verify", save(tmp_path, world.waiting), "--network", network, "--json")
        assert (waiting.code, waiting.json["level"]) == (3, "signed")

        audited = await ran("node", prefixed(world.node.key.address), "--network", network, "--json")
        assert audited.code == 0
        assert audited.json["verdict"] == "PASS"
        assert (audited.json["entries_checked"], audited.json["anchors_checked"]) == (4, 1)
        assert (audited.json["unanchored"], audited.json["reason"]) == (1, "")
        assert audited.json["head"] == {"size": 4, "root": prefixed(world.node.tree.root())}

        world.node.shown = world.node.leaves[:2]
        hidden = await ran("node", prefixed(world.node.key.address), "--network", network)
        assert hidden.code == 1
        assert hidden.stdout.startswith("FAIL node 0x")
        assert "(4) entry 0 of 4 is not shown" in hidden.stdout

        unknown = await ran("node", prefixed(STRANGER.address), "--network", network, "--json")
        assert unknown.code == 1
        assert "--peer" in str(unknown.json["error"])
