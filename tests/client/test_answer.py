"""An honest answer, and everything that a client gets with it."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from tallynet.client import Prompt, Usage
from tallynet.client.answer_stream import OutOfTime
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.errors import InvalidJob, Misconfigured
from tallynet.protocol.job import MILLION, Sampling
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Message, Request, decode_request
from tallynet.protocol.units import Digest, prefixed
from tests.client.scripted_node import MODEL, PIECES, PROMPT, TEXT
from tests.client.world import CLIENT, World


async def test_answer_tells_text_tokens_price_and_evidence(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "What is the capital of Japan?")

    assert answer.text == TEXT
    assert answer.tokens == (11, 12, 13, 14, 15)
    assert answer.status is Status.EOS
    assert answer.node == node.key.address
    assert answer.model == MODEL
    assert answer.usage == Usage(len(PROMPT), 5)
    assert answer.price == 2 * 5 + 3 * 5
    assert answer.index == 0
    assert answer.evidence == "signed"
    assert answer.seconds_to_first_token is not None
    assert answer.seconds >= answer.seconds_to_first_token
    assert answer.failures == ()


async def test_model_can_be_named_by_its_id(world: World) -> None:
    await world.node()
    async with world.client() as client:
        answer = await client.ask(prefixed(MODEL), "What is the capital of Japan?")

    assert answer.text == TEXT


async def test_stream_yields_each_piece_as_it_comes(world: World, autojump_clock: MockClock) -> None:
    await world.node(pause=1.0)
    pieces = []
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        async for piece in stream:
            pieces.append((piece, stream.text))

    assert pieces == [(body.text, TEXT[: TEXT.index(body.text) + len(body.text)]) for body in PIECES]
    assert stream.answer.seconds_to_first_token == pytest.approx(1.0, abs=0.1)
    assert stream.answer.seconds == pytest.approx(3.0, abs=0.1)


async def test_job_carries_what_was_asked(world: World) -> None:
    node = await world.node()
    parent = Digest(bytes(range(32)))
    async with world.client() as client:
        await client.ask(
            "tally-tiny",
            [{"role": "system", "content": "Be brief."}, Message("user", "Japan?")],
            max_tokens=7,
            temperature=0.5,
            top_k=3,
            top_p=0.9,
            stop=["\n"],
            deadline_seconds=50,
            max_price_wei=1000,
            parents=[parent],
            audit_consent=True,
        )
    submit = node.submits[0]
    job = submit.signed.job

    assert decode_request(submit.request) == Request((Message("system", "Be brief."), Message("user", "Japan?")))
    assert job.sampling == Sampling(7, MILLION // 2, 3, 900_000, ("\n",))
    assert job.client == CLIENT.address
    assert job.max_price == 1000
    assert job.parents == (parent,)
    assert job.audit_consent
    assert 48_000 <= job.deadline - node.clock() <= 50_000


async def test_two_questions_are_two_jobs_with_two_secrets(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        one = await client.ask("tally-tiny", "Japan?")
        other = await client.ask("tally-tiny", "Japan?")

    assert one.job != other.job
    assert node.submits[0].secret != node.submits[1].secret
    assert node.submits[0].signed.job.request != node.submits[1].signed.job.request


async def test_bundle_verifies_and_is_for_its_owners_eyes(world: World, tmp_path: Path) -> None:
    await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")
    saved = answer.save(tmp_path / "a.tally")
    bundle = read_bundle(saved.read_bytes())

    assert bundle == answer.bundle()
    states = {result.number: result.state for result in verify_bundle(bundle, world.ledger.domain)}
    assert states.pop(9) is State.PENDING
    assert set(states.values()) == {State.OK}
    assert saved.stat().st_mode & 0o777 == 0o600


async def test_bundle_cannot_be_saved_in_a_missing_folder(world: World, tmp_path: Path) -> None:
    await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Japan?")
    with pytest.raises(Misconfigured, match="cannot be written"):
        answer.save(tmp_path / "missing" / "a.tally")


async def test_repr_shows_neither_question_nor_secret(world: World) -> None:
    await world.node()
    async with world.client() as client:
        answer = await client.ask("tally-tiny", "Where is the treasure?")
    shown = repr(answer) + repr(answer.order)

    assert "treasure" not in shown
    assert repr(answer.order.secret) not in shown


async def test_answer_before_the_end_is_a_bug(world: World) -> None:
    await world.node()
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        with pytest.raises(RuntimeError, match="not finished"):
            print(stream.answer)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"max_tokens": 8193},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"stop": [""]},
        {"stop": ["x"] * 9},
        {"max_price_wei": -1},
        {"max_price_wei": 2**64},
        {"deadline_seconds": 0},
        {"deadline_seconds": float("nan")},
        {"parents": [b"short"]},
    ],
    ids=str,
)
async def test_impossible_job_is_refused_before_it_is_sent(world: World, options: dict[str, object]) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(InvalidJob):
            await client.ask("tally-tiny", "Japan?", **options)  # type: ignore[arg-type]

    assert node.submits == []


@pytest.mark.parametrize(
    "prompt",
    [
        Request(),
        [],
        [{"role": "pirate", "content": "Arr"}],
        [{"role": "user"}],
        "\ud800",
        "x" * 300_000,
        [{"role": "user", "content": "a"}] * 257,
    ],
    ids=range(7),
)
async def test_impossible_prompt_is_refused_before_it_is_sent(world: World, prompt: Prompt) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(InvalidJob):
            await client.ask("tally-tiny", prompt)

    assert node.submits == []


async def test_stream_tells_job_and_node_from_its_start(world: World) -> None:
    node = await world.node()
    async with world.client() as client, client.stream("tally-tiny", "Japan?") as stream:
        assert (stream.job, stream.node, stream.model_name) == (next(iter(node.runs)), node.key.address, "tally-tiny")
        chunks = [await stream.next_chunk() for _ in range(len(PIECES) + 1)]

    assert chunks == [*PIECES, None]
    assert [chunk.body for chunk in stream.signed_chunks] == list(PIECES)


async def test_deadline_that_passes_has_a_name_of_its_own(world: World, autojump_clock: MockClock) -> None:
    await world.node(pause=5.0)
    async with world.client() as client:
        with pytest.raises(OutOfTime):
            await client.ask("tally-tiny", "Japan?", deadline_seconds=2)
