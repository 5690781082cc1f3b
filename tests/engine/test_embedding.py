"""Models that make vectors: the vector of transformers' own states, in one piece, and compared with a replay."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import trio
from transformers.models.auto.modeling_auto import AutoModel

from tallynet.engine import Engine, Finish, Generation, open_engine, read_manifest
from tallynet.engine.embedder import Embedder, Pooling, read_pooling, read_task
from tallynet.engine.hardware import choose_hardware
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import (
    EMBED_SAMPLING,
    TOLERANCES,
    Vector,
    decode_embedding,
    encode_embedding,
    read_embedding,
)
from tallynet.protocol.errors import InvalidChunk, InvalidJob, Misconfigured
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import TokenIds
from tests.engine.checkpoints import make_checkpoint
from tests.engine.embedders import CONTEXT, DIMENSIONS, EMBEDDERS, make_embedder, write_modules
from tests.engine.generations import Read, read, seed
from tests.engine.translators import make_translator

TEXTS = ("a vector", "texts that mean the same", "others do not: a text stands for others")
FORMATS = ("float32", "float16", "bfloat16")

Made = Callable[[str], Path]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return cache(lambda family: make_embedder(family, tmp_path_factory.mktemp("models") / family))


@pytest.fixture(params=EMBEDDERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def running(embedder: Made, family: str, nursery: trio.Nursery) -> Engine:
    engine = open_engine(str(embedder(family)))
    await nursery.start(engine.run)
    return engine


async def embed(engine: Engine, text: str) -> tuple[TokenIds, Read]:
    prompt = await engine.tokenize(Request(text=text))
    return prompt, await read(engine, Generation(prompt, EMBED_SAMPLING, seed(0)))


def vector_of(answer: Read) -> Vector:
    return decode_embedding([ChunkBody(piece.tokens, piece.text, piece.logprobs) for piece in answer.pieces])


async def test_the_vector_is_the_mean_of_the_models_states(running: Engine, embedder: Made, family: str) -> None:
    model: Any = AutoModel.from_pretrained(embedder(family), dtype=torch.float32)
    for text in TEXTS:
        prompt, answer = await embed(running, text)
        with torch.inference_mode():
            states = model(torch.tensor([prompt])).last_hidden_state[0].mean(dim=0)
        expected = (states / states.norm()).tolist()

        assert math.dist(vector_of(answer), expected) <= 2**-11 + 1e-5
        assert len(expected) == DIMENSIONS


async def test_the_answer_is_one_last_piece_without_tokens(running: Engine) -> None:
    _, answer = await embed(running, TEXTS[0])

    (piece,) = answer.pieces
    assert (piece.tokens, piece.logprobs, piece.evidence, piece.finish) == ((), (), b"", Finish.EOS)


async def test_many_at_once_are_the_same_as_one_by_one(running: Engine) -> None:
    alone = {text: (await embed(running, text))[1].text for text in TEXTS}
    together: dict[str, str] = {}

    async def one(text: str) -> None:
        together[text] = (await embed(running, text))[1].text

    async with trio.open_nursery() as nursery:
        for text in TEXTS:
            nursery.start_soon(one, text)
    assert together == alone
    assert len(set(alone.values())) == len(TEXTS)


async def test_what_the_engine_says_about_itself(running: Engine) -> None:
    info = running.info

    assert (info.task, info.evidence, info.slots, info.context_length) == (Task.EMBED, "replayable", 1, CONTEXT)
    assert running.load().running == 0
    assert running.load().tokens_per_second > 0


async def test_messages_are_refused(running: Engine) -> None:
    with pytest.raises(InvalidJob, match="takes no messages"):
        await running.tokenize(Request(messages=(Message("user", "a text"),)))


async def test_a_text_that_does_not_fit_is_refused(running: Engine) -> None:
    with pytest.raises(InvalidJob, match=f"holds {CONTEXT}"):
        await running.tokenize(Request(text="vector " * CONTEXT))


async def test_sampling_parameters_are_refused(running: Engine) -> None:
    prompt = await running.tokenize(Request(text=TEXTS[0]))

    with pytest.raises(InvalidJob, match="samples nothing"):
        async with running.stream(Generation(prompt, Sampling(max_tokens=2), seed(0))):
            pass


@pytest.mark.slow
async def test_in_a_process_of_its_own_it_gives_the_same_vector(running: Engine, embedder: Made, family: str) -> None:
    _, here = await embed(running, TEXTS[0])
    apart = await trio.to_thread.run_sync(lambda: open_engine(str(embedder(family)), apart=True))

    async with trio.open_nursery() as nursery:
        await nursery.start(apart.run)
        _, there = await embed(apart, TEXTS[0])
        nursery.cancel_scope.cancel()
    assert (apart.info, there.text) == (running.info, here.text)


# Replay


@pytest.mark.parametrize("number_format", FORMATS)
def test_an_honest_vector_of_any_format_holds(embedder: Made, family: str, number_format: str) -> None:
    """Where the tolerances come from: the largest difference of many prompts, printed with `-s`."""
    made = Embedder(embedder(family), choose_hardware("cpu", number_format))
    judge = Embedder(embedder(family), choose_hardware("cpu", "float32"))
    prompts = some_prompts(40)

    distances = [judge.replay(prompt, claim(made, prompt), number_format) for prompt in prompts]

    print(family, number_format, max(distance.difference for distance in distances))
    assert all(distance.holds for distance in distances)
    assert {distance.tolerance for distance in distances} == {TOLERANCES[number_format]}


@pytest.mark.parametrize("number_format", FORMATS)
def test_the_vector_of_another_prompt_never_holds(embedder: Made, family: str, number_format: str) -> None:
    judge = Embedder(embedder(family), choose_hardware("cpu", "float32"))
    prompts = some_prompts(12)

    for prompt, other in zip(prompts, prompts[1:], strict=False):
        assert not judge.replay(prompt, claim(judge, other), number_format).holds


def test_the_vector_of_another_pooling_does_not_hold(embedder: Made, tmp_path: Path) -> None:
    judge = Embedder(embedder("bert"), choose_hardware("cpu", "float32"))
    other = Embedder(make_embedder("bert", tmp_path / "first", "cls_token"), choose_hardware("cpu", "float32"))

    assert not judge.replay((2, 10, 11, 3), claim(other, (2, 10, 11, 3)), "bfloat16").holds


def test_the_vector_of_a_smaller_model_is_refused(embedder: Made) -> None:
    judge = Embedder(embedder("bert"), choose_hardware("cpu", "float32"))

    with pytest.raises(InvalidChunk, match="has 3 dimensions, the replay 48"):
        judge.replay((2, 10, 3), read_embedding(encode_embedding((1.0, 2.0, 3.0))), "float32")


def some_prompts(count: int) -> list[TokenIds]:
    draw = torch.Generator().manual_seed(0)
    lengths = [3 + number % 5 * 12 for number in range(count)]
    return [tuple(torch.randint(4, 60, (length,), generator=draw).tolist()) for length in lengths]


def claim(embedder: Embedder, prompt: TokenIds) -> Vector:
    """What a node with this model says."""
    return read_embedding(encode_embedding(embedder.embed(prompt)))


# What the files say


@pytest.mark.parametrize(
    ("name", "pooling", "place"), [("cls_token", Pooling.FIRST, 0), ("lasttoken", Pooling.LAST, -1)]
)
def test_the_model_is_pooled_as_its_files_say(tmp_path: Path, name: str, pooling: Pooling, place: int) -> None:
    directory = make_embedder("bert", tmp_path / "model", name)
    embedder = Embedder(directory, choose_hardware("cpu", "float32"))
    model: Any = AutoModel.from_pretrained(directory, dtype=torch.float32)
    with torch.inference_mode():
        states = model(torch.tensor([[2, 10, 11, 3]])).last_hidden_state[0]

    assert embedder.pooling is pooling
    assert embedder.embed((2, 10, 11, 3)) == pytest.approx(states[place].tolist(), abs=1e-5)


def test_the_pooling_is_part_of_the_model(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "model", "cls_token")
    before = read_manifest(directory)
    write_modules(directory, "mean_tokens", "Normalize")

    assert {"modules.json", "1_Pooling/config.json"} < {file.path for file in before.files}
    assert read_manifest(directory).model_id != before.model_id
    assert read_pooling(directory) is Pooling.MEAN


def test_parts_that_are_not_known_are_misconfigured(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "model", "mean_tokens")
    write_modules(directory, "mean_tokens", "Dense")

    with pytest.raises(Misconfigured, match="names Dense"):
        open_engine(str(directory))


@pytest.mark.parametrize("mode", ["max_tokens", "none"])
def test_a_pooling_that_is_not_known_is_misconfigured(tmp_path: Path, mode: str) -> None:
    directory = make_embedder("bert", tmp_path / "model", mode)

    with pytest.raises(Misconfigured, match="known is exactly one of"):
        open_engine(str(directory))


def test_a_pooling_outside_the_manifest_is_misconfigured(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "model", "mean_tokens")
    modules = json.loads((directory / "modules.json").read_text())
    modules[1]["path"] = "elsewhere"
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").rename(directory / "elsewhere")

    with pytest.raises(Misconfigured, match="not the description of a pooling"):
        open_engine(str(directory))


def test_a_model_without_its_unused_pooler_is_loaded(embedder: Made, tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "model")
    model: Any = AutoModel.from_pretrained(directory, dtype=torch.float32, add_pooling_layer=False)
    model.save_pretrained(directory)

    assert open_engine(str(directory)).info.task is Task.EMBED


@pytest.mark.parametrize(
    ("make", "family", "task"),
    [
        (make_checkpoint, "gpt2", Task.GENERATE),
        (make_checkpoint, "llama", Task.GENERATE),
        (make_translator, "marian", Task.GENERATE),
        (make_translator, "t5", Task.GENERATE),
        (make_embedder, "bert", Task.EMBED),
        (make_embedder, "qwen2", Task.EMBED),
    ],
)
def test_a_directory_says_what_its_model_is_for(
    make: Callable[[str, Path], Path], family: str, task: Task, tmp_path: Path
) -> None:
    assert read_task(make(family, tmp_path / family)) is task
