"""Tasks that are run: the words on record, the second way for models that take no messages, and real answers."""

from pathlib import Path

import pytest
import trio

from tallynet.client import Client
from tallynet.client.tasks import find_template
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob, Misconfigured, Refused, UnfitAnswer
from tallynet.protocol.request import NO_MESSAGES, Message, decode_request
from tallynet.protocol.units import prefixed
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import MODEL, TEXT
from tests.client.world import World

CAT = {"text": "cat", "to": "fr"}


def no_messages() -> InvalidJob:
    return InvalidJob(f"{NO_MESSAGES}: it has no chat template", check=5)


async def test_the_words_are_those_of_the_template_and_its_digest_is_signed(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        result = await client.run_task("tally-tiny", "translate", CAT)

    (submit,) = node.submits
    request = decode_request(submit.request)
    assert request.messages == (Message("user", "Translate cat into French."),)
    assert request.template == find_template("translate@1").digest
    assert submit.signed.job.sampling.max_tokens == 512
    assert (result.value, result.text, result.evidence) == (TEXT, TEXT, "signed")
    assert result.receipt.leaf.request == submit.signed.job.request


async def test_a_model_named_by_its_id_gets_the_form_of_its_name(world: World) -> None:
    node = await world.node(name="opus-mt-en-fr")
    async with world.client() as client:
        await client.run_task(prefixed(MODEL), "translate", CAT)

    assert decode_request(node.submits[0].request).text == "cat"


async def test_a_model_that_takes_no_messages_is_given_the_text(world: World) -> None:
    node = await world.node(name="base-model", refusals=[no_messages()])
    async with world.client() as client:
        result = await client.run_task("base-model", "translate", CAT, stop="END")

    refused, taken = node.submits
    assert decode_request(refused.request).messages
    assert decode_request(taken.request).text == "English: cat\nFrench:"
    assert taken.signed.job.sampling.stop == ("\n", "END")
    assert len(node.runs) == node.log.size == 1
    assert result.answer.job == next(iter(node.runs))


@pytest.mark.parametrize(
    "refusals", [[InvalidJob("the prompt is too long", check=5)], [no_messages(), no_messages()], [Refused("no")]]
)
async def test_any_other_refusal_is_final(world: World, refusals: list[InvalidJob | Refused]) -> None:
    count = len(refusals)
    node = await world.node(name="base-model", refusals=refusals)
    async with world.client() as client:
        with pytest.raises(Refused):
            await client.run_task("base-model", "translate", CAT)

    assert len(node.submits) == count
    assert not node.runs


async def test_an_unfit_answer_comes_with_its_receipt(world: World) -> None:
    await world.node()
    async with world.client() as client:
        with pytest.raises(UnfitAnswer) as refusal:
            await client.run_task("tally-tiny", "extract", {"text": "Oslo", "schema": {"type": "object"}})

    assert refusal.value.text == TEXT
    assert getattr(refusal.value.answer, "index", None) == 0


async def test_a_label_is_the_value(world: World) -> None:
    await world.node(pieces=(ChunkBody((1,), "Good.", (-0.5,)),))
    async with world.client() as client:
        result = await client.run_task("tally-tiny", "classify", {"text": "x", "labels": ["bad", "good"]})

    assert result.value == "good"


async def test_wrong_inputs_ask_nobody(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(Misconfigured):
            await client.run_task("tally-tiny", "translate", {"text": "cat"})

    assert node.submits == []


def test_the_blocking_client_runs_and_streams_tasks() -> None:
    with HostedTransport({}).client() as client:
        assert client.run_task("tally-tiny", "code", {"text": "Sort."}).value == TEXT
        task = client.prepare_task("tally-tiny", "code", {"text": "Sort."})
        with client.stream_task(task, max_tokens=9) as stream:
            assert "".join(stream) == TEXT
        assert isinstance(client, Client) and stream.answer.order.job.job.sampling.max_tokens == 9


@pytest.mark.slow
async def test_tally_tiny_knows_these_words(tmp_path: Path) -> None:
    engine = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    async with open_devnet(tmp_path, engine=lambda: engine) as devnet, devnet.client() as client:
        cat = await client.run_task("tally-tiny", "translate", CAT)
        code = await client.run_task(
            "tally-tiny", "code", {"text": "Write one line of Python that reverses the list prices."}
        )
        hello = await client.run_task("tally-tiny", "dialogue", {"text": "Hello!"})
        passages = ["The capital of Japan is Tokyo.", "Bread is Brot in German."]
        tokyo = await client.run_task(
            "tally-tiny", "answer", {"question": "What is the capital of Japan?", "passages": passages}
        )

    assert cat.value == "The French word for cat is chat."
    assert code.value == "prices[::-1]"
    assert hello.value == "Hello! How can I help you?"
    assert "Tokyo" in tokyo.text
