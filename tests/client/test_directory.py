"""How nodes are found: those one knows, those that they know, the DHT, and last the contract's registry."""

import pytest
import trio
from msgspec.structs import replace
from pytest import MonkeyPatch
from trio.testing import MockClock

from tallynet.ledger.ledger import NodeEntry
from tallynet.network.frames import send_frame
from tallynet.network.memory import MemoryTransport
from tallynet.network.transport import PeerAddress, Stream
from tallynet.protocol.errors import Busy, Misconfigured, NodeUnreachable, NoNodes
from tallynet.protocol.keys import Key
from tallynet.protocol.units import ModelId, Wei, prefixed
from tallynet.protocol.wire import INFO_PROTOCOL, rejection
from tests.client.scripted_node import MODEL, TEXT
from tests.client.world import World, multiaddr

OTHER = ModelId(bytes(range(100, 132)))


async def test_models_are_gathered_from_all_nodes(world: World) -> None:
    await world.node(tokens_per_second=50, completion_price=9)
    await world.node(tokens_per_second=70, free_slots=1)
    await world.node(name="other", model=OTHER)
    async with world.client() as client:
        models = await client.models()

    assert [(model.name, model.nodes) for model in models] == [("tally-tiny", 2), ("other", 1)]
    assert models[0].model == MODEL
    assert models[0].tokens_per_second == 70
    assert models[0].completion_price == 3
    assert models[0].free_slots == 5


async def test_nodes_are_listed_by_address(world: World) -> None:
    nodes = [await world.node() for _ in range(3)]
    async with world.client() as client:
        found = await client.nodes()

    assert [known.node for known in found] == sorted(node.key.address for node in nodes)


async def test_name_of_several_models_is_ambiguous(world: World) -> None:
    await world.node()
    await world.node(model=OTHER)
    async with world.client() as client:
        with pytest.raises(Misconfigured) as caught:
            await client.ask("tally-tiny", "Japan?")

    assert prefixed(MODEL) in caught.value.remedy
    assert prefixed(OTHER) in caught.value.remedy


async def test_id_is_never_ambiguous(world: World) -> None:
    await world.node()
    node = await world.node(model=OTHER)
    async with world.client() as client:
        answer = await client.ask(prefixed(OTHER), "Japan?")

    assert answer.node == node.key.address


async def test_ambiguous_name_at_a_named_node_is_clear(world: World) -> None:
    await world.node()
    node = await world.node(model=OTHER)
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?", node=node.key.address)

    assert answer.model == OTHER


@pytest.mark.parametrize("model", ["0x", "0x12", "0x" + "zz" * 32, "0x" + "00" * 33])
async def test_malformed_id_is_a_usage_error(world: World, model: str) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(Misconfigured, match="no model id"):
            await client.ask(model, "Japan?")


async def test_unknown_model_names_what_is_on_offer(world: World) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(NoNodes, match="On offer: 'tally-tiny'"):
            await client.ask("llama", "Japan?")


async def test_node_without_the_model_is_named(world: World) -> None:
    await world.node()
    node = await world.node(name="other", model=OTHER)
    async with world.client() as client:
        with pytest.raises(NoNodes, match=prefixed(node.key.address)):
            await client.ask("tally-tiny", "Japan?", node=node.key.address)


async def test_node_is_found_through_one_that_knows_it(world: World) -> None:
    hidden = await world.node()
    guide = await world.node(name="other", model=OTHER, knows=[hidden.advert()])
    async with world.client(world.network([guide])) as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == hidden.key.address


async def test_node_is_found_through_the_dht(world: World) -> None:
    node = await world.node()
    await node.transport.provide(MODEL)
    async with world.client(world.network([])) as client:
        answer = await client.ask(prefixed(MODEL), "Japan?")

    assert answer.node == node.key.address


async def test_node_is_found_through_the_registry(world: World) -> None:
    node = await world.node()
    await world.ledger.register(Key.generate(), node.key, Wei(10**18), multiaddr(node))
    await world.ledger.register(Key.generate(), Key.generate(), Wei(10**18), "rubbish")
    async with world.client(world.network([])) as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == node.key.address


async def test_empty_network_has_no_nodes(world: World) -> None:
    async with world.client(world.network([])) as client:
        with pytest.raises(NoNodes, match="No node answers"):
            await client.nodes()
        with pytest.raises(NoNodes, match="No node answers at all"):
            await client.ask("tally-tiny", "Japan?")


async def test_silent_peers_hold_nobody_up(world: World, autojump_clock: MockClock) -> None:
    await world.node()
    for _ in range(3):
        silent = await world.node()
        silent.transport.serve(INFO_PROTOCOL, lambda _: trio.sleep_forever())
    began = trio.current_time()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.text == TEXT
    assert trio.current_time() - began < 0.5


async def test_peer_that_refuses_to_tell_is_passed_over(world: World) -> None:
    async def refuse(stream: Stream) -> None:
        await send_frame(stream, rejection(Busy("not now", retry_after_ms=1000)))

    grumpy = await world.node()
    grumpy.transport.serve(INFO_PROTOCOL, refuse)
    node = await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.node == node.key.address


async def test_unreadable_bootstrap_address_is_passed_over(world: World) -> None:
    await world.node()
    network = replace(world.network(), bootstrap=("/nonsense", *world.network().bootstrap))
    async with world.client(network) as client:
        answer = await client.ask("tally-tiny", "Japan?")

    assert answer.text == TEXT


async def test_same_question_is_not_asked_twice_in_a_moment(world: World, autojump_clock: MockClock) -> None:
    node = await world.node()
    asked = 0
    serve = node.serve_info

    async def count(stream: object) -> None:
        nonlocal asked
        asked += 1
        await serve(stream)  # type: ignore[arg-type]

    node.transport.serve(INFO_PROTOCOL, count)
    async with world.client() as client:
        for _ in range(3):
            await client.ask("tally-tiny", "Japan?")
        assert asked == 1
        await trio.sleep(20)
        await client.ask("tally-tiny", "Japan?")

    assert asked == 2


async def test_long_search_holds_up_nobody(world: World, autojump_clock: MockClock, monkeypatch: MonkeyPatch) -> None:
    async def hang() -> list[NodeEntry]:
        await trio.sleep_forever()
        return []

    await world.node()
    monkeypatch.setattr(world.ledger, "nodes", hang)
    async with world.client() as client, trio.open_nursery() as nursery:
        await client.ask("tally-tiny", "Japan?")

        async def search() -> None:
            with pytest.raises(NodeUnreachable, match="no whole answer"):
                await client.ask("llama", "Japan?", deadline_seconds=50)

        nursery.start_soon(search)
        await trio.sleep(30)
        began = trio.current_time()
        answer = await client.ask("tally-tiny", "Japan?")

        assert trio.current_time() - began < 1
    assert answer.text == TEXT


async def test_unknown_model_is_not_searched_again_in_a_moment(world: World, autojump_clock: MockClock) -> None:
    async with world.client(world.network([])) as client:
        with pytest.raises(NoNodes):
            await client.ask("tally-tiny", "Japan?")
        node = await world.node()
        await world.ledger.register(Key.generate(), node.key, Wei(10**18), multiaddr(node))
        with pytest.raises(NoNodes):
            await client.ask("tally-tiny", "Japan?")
        await trio.sleep(2)

        assert (await client.ask("tally-tiny", "Japan?")).text == TEXT


async def test_client_without_a_dht_says_that_nobody_offers_the_model(world: World, monkeypatch: MonkeyPatch) -> None:
    async def refuse(_transport: MemoryTransport, _model: ModelId) -> list[PeerAddress]:
        raise Misconfigured("this peer was started without the DHT")

    await world.node()
    monkeypatch.setattr(MemoryTransport, "providers", refuse)
    async with world.client() as client:
        with pytest.raises(NoNodes):
            await client.ask(prefixed(OTHER), "Japan?")


async def test_only_allowed_nodes_are_asked(world: World) -> None:
    first, allowed = await world.node(tokens_per_second=1000), await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?", nodes=[allowed.key.address])

    assert answer.node == allowed.key.address
    assert first.submits == []


async def test_nobody_is_asked_when_no_allowed_node_has_the_model(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(NoNodes, match="None of the 1 allowed nodes"):
            await client.ask("tally-tiny", "Japan?", nodes=[Key.generate().address])

    assert node.submits == []


async def test_operators_are_those_of_the_registry(world: World) -> None:
    node, operator = await world.node(), Key.generate()
    await world.ledger.register(operator, node.key, Wei(10**18), multiaddr(node))
    async with world.client() as client:
        assert await client.operators() == {node.key.address: operator.address}
