"""A node with several models, as its clients see it: in memory, and once with every program a process of its own."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallynet.client.answer import Answer
from tallynet.client.blocking import Client
from tallynet.client.client import AsyncClient
from tallynet.console.network_file import read_network
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import FakeEngine
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.errors import Busy, NoNodes
from tallynet.protocol.keys import Key
from tests.e2e.test_families import Terminal, devnet_up
from tests.engine.checkpoints import make_checkpoint
from tests.engine.embedders import make_embedder
from tests.engine.openai_server import MODEL as SERVED_ELSEWHERE
from tests.engine.openai_server import OpenAIServer

NAMES = ["fake", "parrot"]
ANCHOR_SECONDS = 60.0


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Devnet]:
    """One node with two models, each slow enough to be measured."""
    fake, parrot = (partial(FakeEngine, name, tokens_per_second=1000.0) for name in NAMES)
    async with open_devnet(tmp_path, engine=fake, more=[parrot]) as devnet:
        yield devnet


@pytest.fixture
async def client(devnet: Devnet) -> AsyncIterator[AsyncClient]:
    async with devnet.client() as client:
        yield client


async def test_every_model_is_asked_by_its_name_and_every_receipt_holds(devnet: Devnet, client: AsyncClient) -> None:
    on_offer = await client.models()
    answers = [await client.ask(name, "Hello?", max_tokens=8) for name in NAMES]
    bundles = [await client.wait_for_anchor(answer.bundle(), ANCHOR_SECONDS) for answer in answers]

    assert [(model.name, model.nodes) for model in on_offer] == [("fake", 1), ("parrot", 1)]
    assert [answer.model_name for answer in answers] == NAMES
    assert [answer.model for answer in answers] == [model.model for model in on_offer]
    assert len({answer.receipt.leaf.model for answer in answers}) == 2
    for bundle in bundles:
        assert all(result.state is State.OK for result in verify_bundle(bundle, devnet.ledger.domain))


async def test_the_network_file_names_all_models(devnet: Devnet) -> None:
    (hint,) = devnet.network.nodes

    assert [hint.model, *hint.others] == NAMES


async def test_a_model_that_the_node_does_not_serve_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(NoNodes, match="On offer: 'fake', 'parrot'"):
        await client.ask("sparrow", "Hello?")


async def test_the_speed_of_one_model_is_not_taken_for_that_of_another(client: AsyncClient) -> None:
    await client.ask("fake", "Hello?", max_tokens=20)
    directory = client._session.directory
    (fake,), (parrot,) = [await directory.find(name) for name in NAMES]

    assert fake.standing.tokens_per_second is not None
    assert parrot.standing.tokens_per_second is None


@pytest.mark.slow
def test_a_mixture_of_models_on_one_node_is_served_on_the_record(tmp_path: Path) -> None:
    """A trained Llama, an untrained GPT-2, an embedder and another server's model, the node and its models processes
    of their own: each is asked, all receipts hold, and when one process ends the others go on."""
    terminal, answers = Terminal(tmp_path), list[Answer]()
    gpt2 = make_checkpoint("gpt2", tmp_path / "models" / "gpt2")
    bert = make_embedder("bert", tmp_path / "models" / "bert")
    with OpenAIServer().run() as server:
        options = [part for model in (DEFAULT_MODEL, gpt2, bert, server.spec) for part in ("--model", str(model))]
        with devnet_up(terminal, "--nodes", "1", *options) as up:
            network = read_network(Path(up["network"]))
            (node,) = network.nodes
            status = httpx.get(f"{node.http}/status").json()
            with Client(network, key=Key.generate(), keep=False) as client:
                answers += [client.ask("tally-tiny", "What is the capital of Japan?")]
                answers += [client.ask(model, "Hello?", max_tokens=12) for model in ("gpt2", SERVED_ELSEWHERE)]
                answers += [client.embed("bert", "a text")[0].answer]
                bundles = [client.wait_for_anchor(answer.bundle(), ANCHOR_SECONDS) for answer in answers]
                os.kill(process_of(bert), signal.SIGKILL)
                answers += [client.ask("tally-tiny", "What is the capital of Peru?")]
                with pytest.raises(Busy, match="is being started"):
                    client.embed("bert", "another text", deadline_seconds=5)
            audited = terminal.run("audit", "node", node.address, "--network", up["network"])

    assert up["models"] == ["tally-tiny", "gpt2", "bert", SERVED_ELSEWHERE] == [node.model, *node.others]
    assert "Tokyo" in answers[0].text and "Lima" in answers[-1].text
    for bundle in bundles:
        assert all(result.state is State.OK for result in verify_bundle(bundle, network.domain))
    assert (audited[0], audited[1]["verdict"], audited[1]["entries_checked"]) == (0, "PASS", 5), audited
    assert_status_tells_of_each(status)


def process_of(model: Path) -> int:
    """The process that a node started for a model: its arguments tell."""
    told = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in told.splitlines() if "tallynet.engine.child" in line and str(model) in line)
    return int(line.split()[0])


def assert_status_tells_of_each(status: dict[str, Any]) -> None:
    assert [(model["name"], model["task"], model["evidence"]) for model in status["models"]] == [
        ("tally-tiny", "generate", "replayable"), ("gpt2", "generate", "replayable"), ("bert", "embed", "replayable"),
        (SERVED_ELSEWHERE, "generate", "signature-only"),
    ]  # fmt: skip
    memory = [model["memory"] for model in status["models"]]
    assert [part["planned_bytes"] > 0 for part in memory] == [True, True, True, False]
    assert status["memory"]["planned_bytes"] == sum(part["planned_bytes"] for part in memory)
    assert status["memory"]["resident_bytes"] is None or all(part["resident_bytes"] > 10**7 for part in memory[:3])
