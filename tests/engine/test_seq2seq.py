"""Encoder-decoder models: the tokens of transformers' own `generate`, streamed, and made again by a replay."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import trio
from transformers.models.auto.modeling_auto import AutoModelForSeq2SeqLM

from tallynet.engine import Engine, Finish, open_engine
from tallynet.engine.engine import Generation
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.philox import noise_key
from tallynet.engine.sampler import Draw, sample
from tallynet.engine.seq2seq import replay_logits
from tallynet.engine.weights import load_weights
from tallynet.protocol.errors import InvalidJob, Misconfigured
from tallynet.protocol.job import Task
from tallynet.protocol.request import Message, Request
from tests.engine.generations import Read, greedy, read, sampled
from tests.engine.test_manifest import change_json
from tests.engine.translators import CONTEXT, TRANSLATORS, make_translator

TEXTS = ("the house is small", "der Garten ist groß", "la", "the garden is large and the house is small and")

Made = Callable[[str], Path]


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return cache(lambda family: make_translator(family, tmp_path_factory.mktemp("models") / family))


@pytest.fixture(params=TRANSLATORS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def running(translator: Made, family: str, nursery: trio.Nursery) -> Engine:
    engine = open_engine(str(translator(family)), slots=3)
    await nursery.start(engine.run)
    return engine


def load_model(directory: Path) -> Any:
    return AutoModelForSeq2SeqLM.from_pretrained(directory, dtype=torch.float32)


async def translate(engine: Engine, text: str, tokens: int = 24, seed: int | None = None) -> tuple[Generation, Read]:
    prompt = await engine.tokenize(Request(text=text))
    generation = greedy(prompt, tokens) if seed is None else sampled(seed, prompt, tokens)
    return generation, await read(engine, generation)


async def test_greedy_tokens_are_those_of_generate(running: Engine, translator: Made, family: str) -> None:
    model = load_model(translator(family))
    answers: dict[str, tuple[Generation, Read]] = {}

    async def one(text: str) -> None:
        answers[text] = await translate(running, text)

    async with trio.open_nursery() as nursery:  # at the same time, more than there are slots
        for text in TEXTS:
            nursery.start_soon(one, text)

    for generation, answer in answers.values():
        expected = model.generate(torch.tensor([generation.prompt]), do_sample=False, num_beams=1, max_new_tokens=24)
        assert answer.tokens == expected[0, 1:].tolist()
    assert len({tuple(answer.tokens) for _, answer in answers.values()}) > 1


async def test_pieces_tell_text_and_logprobs_as_they_come(running: Engine) -> None:
    _, answer = await translate(running, TEXTS[0])

    assert all(1 <= len(piece.tokens) <= 16 for piece in answer.pieces)
    assert len(answer.logprobs) == len(answer.tokens)
    assert all(logprob <= 0 for logprob in answer.logprobs)
    assert answer.finish in (Finish.EOS, Finish.LENGTH)
    assert answer.text


async def test_the_same_seed_gives_the_same_tokens_and_another_others(running: Engine) -> None:
    first = (await translate(running, TEXTS[0], seed=1))[1].tokens

    assert first == (await translate(running, TEXTS[0], seed=1))[1].tokens
    assert first != (await translate(running, TEXTS[0], seed=2))[1].tokens


async def test_what_the_generation_configuration_forbids_is_never_chosen(running: Engine) -> None:
    answers = [(await translate(running, TEXTS[0], seed=number))[1].tokens for number in range(12)]

    assert not any(0 in tokens for tokens in answers)
    assert not any(tokens[0] == 1 for tokens in answers)


@pytest.mark.parametrize("seed", [None, 5])
async def test_a_replay_makes_every_choice_again(
    running: Engine, translator: Made, family: str, seed: int | None
) -> None:
    generation, answer = await translate(running, TEXTS[1], 30, seed)
    model = load_weights(translator(family), choose_hardware("cpu", "float32"))

    logits = replay_logits(model, generation.prompt, tuple(answer.tokens))

    key = noise_key(generation.seed)
    chosen = [sample(row, Draw(generation.sampling, key, position)) for position, row in enumerate(logits)]
    assert [choice.token for choice in chosen] == answer.tokens
    assert [choice.logprob for choice in chosen] == pytest.approx(answer.logprobs, abs=1e-3)


async def test_a_replay_of_another_prompt_does_not(running: Engine, translator: Made, family: str) -> None:
    _, answer = await translate(running, TEXTS[1], 30)
    model = load_weights(translator(family), choose_hardware("cpu", "float32"))
    other = await running.tokenize(Request(text=TEXTS[0]))

    assert replay_logits(model, other, tuple(answer.tokens)).argmax(dim=-1).tolist() != answer.tokens


async def test_messages_are_refused_by_a_model_without_a_template(running: Engine) -> None:
    with pytest.raises(InvalidJob, match="no chat template"):
        await running.tokenize(Request(messages=(Message("user", "Hello"),)))


async def test_what_the_engine_says_about_itself(running: Engine) -> None:
    assert running.info.task is Task.GENERATE
    assert running.info.evidence == "replayable"
    assert running.info.slots == 3
    assert running.info.context_length == CONTEXT
    assert running.load().tokens_per_second > 0


async def test_a_forced_first_token_comes_first(translator: Made, tmp_path: Path, nursery: trio.Nursery) -> None:
    directory = shutil.copytree(translator("marian"), tmp_path / "forced")
    change_json(directory / "generation_config.json", forced_bos_token_id=7)
    engine = open_engine(str(directory))
    await nursery.start(engine.run)

    _, answer = await translate(engine, TEXTS[0])

    assert answer.tokens[0] == 7
    assert answer.logprobs[0] == 0
    expected = load_model(directory).generate(
        torch.tensor([await engine.tokenize(Request(text=TEXTS[0]))]), do_sample=False, num_beams=1, max_new_tokens=24
    )
    assert answer.tokens == expected[0, 1:].tolist()


def test_a_model_without_a_start_token_is_misconfigured(translator: Made, tmp_path: Path) -> None:
    directory = shutil.copytree(translator("t5"), tmp_path / "startless")
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((directory / name).read_text())
        (directory / name).write_text(json.dumps(settings | {"decoder_start_token_id": None}))

    with pytest.raises(Misconfigured, match="decoder_start_token_id"):
        open_engine(str(directory))
