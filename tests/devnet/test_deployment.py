"""Money, contract and registration on a chain that answers over HTTP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner

from tallynet.console.network_file import NetworkFile, write_network
from tallynet.devnet.chain.accounts import funded_key
from tallynet.devnet.chain.evm import EmbeddedChain
from tallynet.devnet.chain.server import ChainServer
from tallynet.devnet.command import app
from tallynet.devnet.deployment import NODE_FUNDS, STAKE, Member, deploy_ledger, enlist
from tallynet.devnet.lifetime import free_ports
from tallynet.devnet.purse import Purse
from tallynet.ledger.chain import ChainLedger
from tallynet.protocol.errors import ChainUnreachable, Refused
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Wei, prefixed


@pytest.fixture
async def chain() -> AsyncIterator[tuple[EmbeddedChain, str]]:
    chain = EmbeddedChain([funded_key().address])
    async with trio.open_nursery() as nursery:
        url = await nursery.start(ChainServer(chain, block_seconds=0.2).run)
        yield chain, url
        nursery.cancel_scope.cancel()


async def test_payments_arrive_also_when_made_at_once(chain: tuple[EmbeddedChain, str]) -> None:
    embedded, url = chain
    purse, receivers = Purse(url, funded_key()), [Key.generate().address for _ in range(6)]

    async with trio.open_nursery() as nursery:
        for first, second in zip(receivers[::2], receivers[1::2], strict=True):
            nursery.start_soon(purse.pay, [(first, Wei(7)), (second, Wei(8))])

    assert [embedded.balance(who, embedded.number) for who in receivers] == [7, 8] * 3


async def test_an_empty_purse_is_refused(chain: tuple[EmbeddedChain, str]) -> None:
    with pytest.raises(Refused, match="insufficient funds"):
        await Purse(chain[1], Key.generate()).pay([(funded_key().address, Wei(1))])


async def test_a_chain_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"

    with pytest.raises(ChainUnreachable, match=url):
        await Purse(url, funded_key()).pay([(funded_key().address, Wei(1))])


async def test_a_node_is_paid_and_registered(chain: tuple[EmbeddedChain, str]) -> None:
    embedded, url = chain
    network = await deploy_ledger(url, funded_key(), "test")
    ledger = await ChainLedger.connect(url, network.domain.contract)
    member = Member("node-1", Key.generate(), Key.generate(), "/ip4/127.0.0.1/tcp/1/p2p/x")

    await enlist(ledger, Purse(url, funded_key()), member)

    entry = await ledger.node(member.key.address)
    await ledger.aclose()
    assert entry is not None
    assert (entry.operator, entry.stake, entry.multiaddr) == (member.operator.address, STAKE, member.multiaddr)
    assert embedded.balance(member.key.address, embedded.number) == NODE_FUNDS
    assert network.start_block <= embedded.number


async def test_coins_of_a_development_chain_are_sent_by_a_command(tmp_path: Path) -> None:
    chain, receiver = EmbeddedChain([funded_key(1).address]), Key.generate().address
    network = tmp_path / "network.json"
    async with trio.open_nursery() as nursery:
        url = await nursery.start(ChainServer(chain, block_seconds=0.2).run)
        write_network(network, NetworkFile(url, 31337, prefixed(bytes(20))))
        arguments = ["devnet", "fund", prefixed(receiver), "--ether", "0.5", "--network", str(network), "--json"]
        told = await trio.to_thread.run_sync(CliRunner().invoke, app, arguments)
        nursery.cancel_scope.cancel()

    assert told.exit_code == 0
    assert json.loads(told.stdout) == {"address": prefixed(receiver), "wei": 5 * 10**17}
    assert chain.balance(receiver, chain.number) == 5 * 10**17


@pytest.mark.parametrize("wrong", [["0x12"], ["no address"], ["0x" + "00" * 20, "--ether", "1001"]])
def test_coins_go_to_no_wrong_place(wrong: list[str], tmp_path: Path) -> None:
    network = tmp_path / "network.json"
    write_network(network, NetworkFile("http://127.0.0.1:1", 31337, prefixed(bytes(20))))

    assert CliRunner().invoke(app, ["devnet", "fund", *wrong, "--network", str(network)]).exit_code == 2
