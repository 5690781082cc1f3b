"""The in-process devnet, and the cheat that it can be given."""

from pathlib import Path

import pytest

from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.tampering import ALTERED_ANSWER
from tallynet.protocol.errors import InvalidChunk
from tallynet.protocol.units import Wei

PRICE = {"completion_price_wei": 1000}
CHEAP = {"completion_price_wei": 1}


async def ask(devnet: Devnet, **options: object):  # type: ignore[no-untyped-def]
    async with devnet.client() as client:
        return await client.ask("fake", "Hello", max_tokens=40, **options)  # type: ignore[arg-type]


async def test_an_honest_devnet_answers_and_anchors(tmp_path: Path) -> None:
    async with open_devnet(tmp_path, nodes=2) as devnet, devnet.client() as client:
        answer = await client.ask("fake", "Hello", max_tokens=40)

        bundle = await client.wait_for_anchor(answer.bundle(), 20)

        assert answer.text
        assert bundle.inclusion is not None
        assert {node.node for node in await devnet.ledger.nodes()} == {node.address for node in devnet.nodes}


async def test_an_altered_answer_is_refused(tmp_path: Path) -> None:
    async with open_devnet(tmp_path, nodes=2, cheats={1: ALTERED_ANSWER}) as devnet:
        with pytest.raises(InvalidChunk) as refusal:
            await ask(devnet, node=devnet.nodes[1].address)

        assert refusal.value.check == 4


async def test_the_client_goes_on_to_an_honest_node(tmp_path: Path) -> None:
    async with open_devnet(
        tmp_path, nodes=3, cheats={1: ALTERED_ANSWER}, settings=PRICE, overrides={1: CHEAP}
    ) as devnet:
        answer = await ask(devnet, max_price_wei=Wei(10**9))

        (failure,) = answer.failures
        assert failure.node == devnet.nodes[1].address
        assert devnet.named(failure.node) == "node-2"
        assert isinstance(failure.error, InvalidChunk)
        assert answer.node != failure.node


async def test_logs_stay_in_the_folder(tmp_path: Path) -> None:
    async with open_devnet(tmp_path, nodes=1) as devnet:
        await ask(devnet)

    assert list((tmp_path / "node-1" / "data").iterdir())
