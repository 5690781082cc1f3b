"""Vectors from the network: one job each, verified, in order; what is no vector is the node's fault."""

import base64
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from typer.testing import CliRunner

from tallynet.client import AsyncClient, commands
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import encode_embedding
from tallynet.protocol.errors import InvalidChunk, InvalidJob, NodeUnreachable, NoNodes, Refused, TallyError
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Request, decode_request
from tests.client.hosted import HostedTransport
from tests.client.test_commands import app, last_object
from tests.client.world import World

VECTOR = (0.6, -0.8)
PIECES = (ChunkBody((), encode_embedding(VECTOR), ()),)
EMBEDS: dict[str, Any] = {"task": Task.EMBED, "name": "vectors", "pieces": PIECES}


async def test_every_text_becomes_a_vector_with_its_receipt(world: World) -> None:
    node = await world.node(**EMBEDS)
    async with world.client() as client:
        embeddings = await client.embed("vectors", ["first", "second", "third"])

    assert [embedding.vector for embedding in embeddings] == [pytest.approx(VECTOR, abs=1e-3)] * 3
    assert len({embedding.answer.index for embedding in embeddings}) == 3
    asked = [decode_request(embedding.answer.order.request) for embedding in embeddings]
    assert asked == [Request(text=text) for text in ("first", "second", "third")]
    assert all(submit.signed.job.task == Task.EMBED for submit in node.submits)
    assert all(submit.signed.job.sampling == Sampling(max_tokens=1) for submit in node.submits)


async def test_one_text_is_not_taken_apart_into_letters(world: World) -> None:
    await world.node(**EMBEDS)
    async with world.client() as client:
        assert len(await client.embed("vectors", "one text")) == 1


@pytest.mark.parametrize("consent", [False, True])
async def test_a_vector_may_be_audited_where_its_client_says_so(world: World, consent: bool) -> None:
    node = await world.node(**EMBEDS)
    async with world.client() as client:
        await client.embed("vectors", ["first", "second"], audit_consent=consent)

    assert [submit.signed.job.audit_consent for submit in node.submits] == [consent] * 2


async def test_a_vector_costs_its_prompt_alone(world: World) -> None:
    await world.node(**EMBEDS, prompt_price=2, completion_price=3)
    async with world.client() as client:
        (embedding,) = await client.embed("vectors", "one text")

    assert embedding.answer.usage.completion_tokens == 0
    assert embedding.answer.price == 2 * embedding.answer.usage.prompt_tokens


async def test_a_model_that_writes_is_not_asked_for_a_vector(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(InvalidJob, match="makes no vectors"):
            await client.embed("tally-tiny", "one text")

    assert node.submits == []


async def test_a_model_that_makes_vectors_is_not_asked_to_write(world: World) -> None:
    node = await world.node(**EMBEDS)
    async with world.client() as client:
        with pytest.raises(InvalidJob, match="makes vectors"):
            await client.ask("vectors", "Hello")

    assert node.submits == []


@pytest.mark.parametrize(
    ("pieces", "check"),
    [
        ((), 1),
        ((ChunkBody((7,), encode_embedding(VECTOR), (-0.5,)),), 1),
        ((ChunkBody((), "no base64", ()),), 2),
        ((ChunkBody((), base64.b64encode(struct.pack("<2e", 0.5, 0.5)).decode(), ()),), 4),
    ],
)
async def test_what_is_no_vector_is_the_nodes_fault(world: World, pieces: tuple[ChunkBody, ...], check: int) -> None:
    await world.node(**{**EMBEDS, "pieces": pieces})
    async with world.client() as client:
        with pytest.raises(InvalidChunk) as caught:
            await client.embed("vectors", "one text")
        with pytest.raises(NoNodes, match="sent something invalid"):
            await client.embed("vectors", "one text")

    assert caught.value.check == check
    assert "receipt" in caught.value.evidence


@pytest.mark.parametrize(
    ("status", "error"), [(Status.SHUTDOWN, Refused), (Status.FAILED, Refused), (Status.CANCELLED, NodeUnreachable)]
)
async def test_a_job_that_was_cut_short_is_no_vector(world: World, status: Status, error: type[TallyError]) -> None:
    await world.node(**{**EMBEDS, "pieces": ()}, change_leaf=lambda leaf: replace(leaf, status=status))
    async with world.client() as client:
        with pytest.raises(error, match=status.name.lower()):
            await client.embed("vectors", "one text")


async def test_the_first_error_ends_the_others(world: World, autojump_clock: trio.testing.MockClock) -> None:
    await world.node(**EMBEDS, pause=1.0, refusals=[InvalidJob("no", check=5)])
    async with world.client() as client:
        began = trio.current_time()
        with pytest.raises(Refused, match="invalid-job"):
            await client.embed("vectors", ["a"] * 50)

        assert trio.current_time() - began < 20


async def test_a_text_that_is_no_text_is_refused(world: World) -> None:
    await world.node(**EMBEDS)
    async with world.client() as client:
        with pytest.raises(InvalidJob):
            await client.embed("vectors", "\ud800")


async def embed_nothing(client: AsyncClient) -> list[object]:
    return list(await client.embed("vectors", []))


async def test_no_text_is_no_job(world: World) -> None:
    node = await world.node(**EMBEDS)
    async with world.client() as client:
        assert await embed_nothing(client) == []
    assert node.submits == []


# Command line


@pytest.fixture
def hosted() -> HostedTransport:
    return HostedTransport({**EMBEDS, "evidence": "signature-only"})


@pytest.fixture
def run(hosted: HostedTransport, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(commands, "open_client", lambda _, keep=True: hosted.client())
    return lambda *arguments: CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80", "TERM": "dumb"})


def test_vectors_as_json(run: Callable[..., Any]) -> None:
    told = last_object(run("embed", "vectors", "a text", "another", "--json"))

    assert [entry["vector"] for entry in told["embeddings"]] == [pytest.approx(VECTOR, abs=1e-3)] * 2
    assert {entry["finish"] for entry in told["embeddings"]} <= {"eos", "length", "stop"}
    assert all("text" not in entry for entry in told["embeddings"])


@pytest.mark.parametrize("options", [(), ("--audit-consent",)])
def test_consent_on_the_command_line(
    run: Callable[..., Any], hosted: HostedTransport, options: tuple[str, ...]
) -> None:
    assert run("embed", "vectors", "a text", *options, "--json").exit_code == 0

    (submit,) = hosted.nodes[0].submits
    assert submit.signed.job.audit_consent is bool(options)


def test_vectors_for_people(run: Callable[..., Any]) -> None:
    result = run("embed", "vectors", "a text", "another")

    assert result.exit_code == 0
    assert "another" in result.stdout and "DIMENSIONS" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_one_proof_cannot_be_of_two_texts(run: Callable[..., Any]) -> None:
    assert run("embed", "vectors", "a text", "another", "--save", "proof.tally").exit_code != 0


@pytest.mark.parametrize("listing", ["models", "nodes"])
def test_lists_say_what_a_model_does_and_what_nobody_can_check(run: Callable[..., Any], listing: str) -> None:
    shown = run(listing).stdout

    assert "vectors: makes vectors, for `tallynet embed`" in shown
    assert "vectors: signature-only, nobody can check which model answers" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_lists_as_json_say_it_too(run: Callable[..., Any]) -> None:
    (model,) = last_object(run("models", "--json"))["models"]
    (node,) = last_object(run("nodes", "--json"))["nodes"]

    assert (model["task"], model["evidence"]) == (2, "signature-only")
    assert (node["offers"][0]["task"], node["offers"][0]["evidence"]) == (2, "signature-only")
