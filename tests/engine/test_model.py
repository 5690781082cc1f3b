"""The engine for Hugging Face models: the same tokens as transformers, the same again for the same seed."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import trio
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tallynet.engine import Engine, Finish, Generation, open_engine
from tallynet.engine.tokenizer import Tokenizer
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import Message, Request
from tests.engine.checkpoints import CONTEXT, FAMILIES
from tests.engine.conftest import Directory, Opened
from tests.engine.generations import PROMPT, Read, greedy, read, sampled

PROMPTS = (PROMPT, (50, 60, 70), tuple(range(100, 130)), (9,), (300, 200, 100, 30), tuple(range(8, 20)))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def running(engine: Opened, nursery: trio.Nursery) -> Engine:
    """The Llama engine, ready to stream until the test ends."""
    await nursery.start(engine("llama").run)
    return engine("llama")


def load_model(directory: Path) -> Any:
    """The model as transformers itself runs it."""
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)


async def read_all(engine: Engine, generations: Sequence[Generation]) -> list[Read]:
    """Read all at the same time; answers in the order of the generations."""
    answers: dict[int, Read] = {}

    async def read_one(index: int) -> None:
        answers[index] = await read(engine, generations[index])

    async with trio.open_nursery() as nursery:
        for index in range(len(generations)):
            nursery.start_soon(read_one, index)
    return [answers[index] for index in range(len(generations))]


async def until_idle(engine: Engine) -> None:
    with trio.fail_after(30):
        while engine.load().running or engine.load().waiting:
            await trio.sleep(0.002)


async def test_greedy_tokens_are_those_of_generate(
    family: str, engine: Opened, checkpoint: Directory, nursery: trio.Nursery
) -> None:
    model = load_model(checkpoint(family))
    await nursery.start(engine(family).run)
    answers = await read_all(engine(family), [greedy(prompt) for prompt in PROMPTS])

    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = torch.tensor([prompt])
        expected = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=24,
            eos_token_id=[0, 2],
            pad_token_id=0,
        )
        assert answer.tokens == expected[0, len(prompt) :].tolist()


async def test_logprobs_are_the_models_own(running: Engine, checkpoint: Directory) -> None:
    model = load_model(checkpoint("llama"))
    answer = await read(running, sampled(3))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*PROMPT, *answer.tokens]])).logits[0, len(PROMPT) - 1 : -1]

    expected = logits.log_softmax(-1).gather(1, torch.tensor(answer.tokens)[:, None])[:, 0]
    assert answer.logprobs == pytest.approx(expected.tolist(), abs=2e-4)


async def test_sampled_tokens_follow_from_the_seed_alone(family: str, engine: Opened, nursery: trio.Nursery) -> None:
    await nursery.start(engine(family).run)
    generations = [sampled(number, prompt) for number, prompt in enumerate(PROMPTS)]
    alone = [(await read(engine(family), generation)).tokens for generation in generations]
    together = [answer.tokens for answer in await read_all(engine(family), generations)]
    other = await read(engine(family), sampled(99))

    assert together == alone
    assert other.tokens != alone[0]


async def test_text_is_the_decoded_tokens(running: Engine, checkpoint: Directory) -> None:
    tokenizer = Tokenizer(checkpoint("llama"))
    for answer in await read_all(running, [sampled(number, max_tokens=60) for number in range(8)]):
        assert answer.text == tokenizer.decode(answer.tokens)


async def test_end_token_ends_the_answer(running: Engine) -> None:
    ended = [
        answer
        for answer in await read_all(running, [sampled(number, max_tokens=60) for number in range(16)])
        if answer.finish is Finish.EOS
    ]

    assert ended
    for answer in ended:
        assert answer.tokens[-1] in (0, 2)
        assert not {0, 2} & set(answer.tokens[:-1])


async def test_answer_is_no_longer_than_max_tokens(running: Engine) -> None:
    answer = await read(running, greedy(max_tokens=1))

    assert (len(answer.tokens), answer.finish) == (1, Finish.LENGTH)


async def test_answer_ends_with_the_context(running: Engine) -> None:
    answer = await read(running, greedy(range(10, CONTEXT + 7), max_tokens=100))

    assert (len(answer.tokens), answer.finish) == (3, Finish.LENGTH)


async def test_stop_string_across_tokens_ends_the_text_before_it(running: Engine) -> None:
    whole = await read(running, greedy())
    stop = whole.text[9:13]
    answer = await read(running, greedy(stop=(stop,)))

    assert answer.finish is Finish.STOP
    assert answer.text == whole.text[: whole.text.index(stop)]
    assert answer.tokens == whole.tokens[: len(answer.tokens)]
    assert len(answer.tokens) < len(whole.tokens)


@pytest.mark.parametrize(
    "prompt",
    [(), tuple(range(CONTEXT)), (384,), (-1,)],
    ids=["empty", "too long", "unknown token", "negative token"],
)
async def test_prompt_the_model_cannot_take_is_refused(running: Engine, prompt: tuple[int, ...]) -> None:
    with pytest.raises(InvalidJob):
        async with running.stream(greedy(prompt)):
            pass
    assert running.load().running == running.load().waiting == 0


async def test_request_too_long_for_the_context_is_refused(engine: Opened) -> None:
    with pytest.raises(InvalidJob, match="tokens; this model holds 128"):
        await engine("llama").tokenize(Request(messages=(Message("user", "word " * 200),)))


async def test_leaving_a_stream_frees_its_slot(running: Engine) -> None:
    long = greedy((9,), max_tokens=120)
    with trio.fail_after(20):
        for _ in range(3):
            async with trio.open_nursery() as readers:
                for _ in range(running.info.slots + 2):
                    readers.start_soon(read, running, long)
                await trio.sleep(0.01)
                assert running.load().running + running.load().waiting == running.info.slots + 2
                readers.cancel_scope.cancel()
        await until_idle(running)
        assert (await read(running, greedy())).finish is not None


async def test_no_more_run_than_there_are_slots(running: Engine) -> None:
    async with trio.open_nursery() as readers:
        for number in range(9):
            readers.start_soon(read, running, sampled(number, max_tokens=40))
        seen = 0
        while not seen or running.load().running:
            seen = max(seen, running.load().running)
            await trio.sleep(0.001)
    assert seen == running.info.slots


async def test_slots_are_given_in_arrival_order(checkpoint: Directory, nursery: trio.Nursery) -> None:
    narrow = open_engine(str(checkpoint("llama")), slots=1)
    await nursery.start(narrow.run)
    order: list[int] = []

    async def enter(number: int) -> None:
        async with narrow.stream(greedy((9,), max_tokens=100)) as pieces:
            order.append(number)
            async for _ in pieces:
                pass

    async with trio.open_nursery() as readers:
        for number in range(6):
            readers.start_soon(enter, number)
            await trio.sleep(0)
    assert order == list(range(6))


async def test_slow_reader_does_not_hold_up_others(running: Engine) -> None:
    async with running.stream(greedy(max_tokens=100)) as slow:
        with trio.fail_after(30):
            await read(running, greedy())
        rest = Read([piece async for piece in slow])
    assert rest.tokens == (await read(running, greedy(max_tokens=100))).tokens


async def test_stopping_the_engine_ends_its_streams(engine: Opened) -> None:
    llama = engine("llama")
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="stopped"), flatten_subgroups=True):
        async with trio.open_nursery() as readers, trio.open_nursery() as nursery:
            await nursery.start(llama.run)
            readers.start_soon(read, llama, greedy((9,), max_tokens=120))
            await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
    assert llama.load().running == llama.load().waiting == 0


async def test_stream_without_run_is_a_bug(engine: Opened) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        async with engine("llama").stream(greedy()):
            pass


async def test_speed_is_measured_before_the_start_and_after(running: Engine) -> None:
    assert running.load().tokens_per_second > 1


def test_environment_names_what_decides_the_arithmetic(engine: Opened) -> None:
    info = engine("llama").info

    for word in ('"attention":"sdpa"', '"dtype":"float32"', '"device":"cpu ', f'"torch":"{torch.__version__}"'):
        assert word in info.environment
    assert info.model == info.manifest.model_id


async def test_bfloat16_gives_the_same_tokens_again(checkpoint: Directory, nursery: trio.Nursery) -> None:
    half = open_engine(str(checkpoint("llama")), dtype="bfloat16", device="cpu", slots=2)
    await nursery.start(half.run)

    assert (await read(half, sampled(1))).tokens == (await read(half, sampled(1))).tokens
    assert '"dtype":"bfloat16"' in half.info.environment


async def test_numbers_that_overflow_end_the_generation(
    checkpoint: Directory, tmp_path: Path, nursery: trio.Nursery
) -> None:
    directory = shutil.copytree(checkpoint("llama"), tmp_path / "broken")
    model = load_model(directory)
    model.lm_head.weight.data.fill_(float("nan"))
    model.save_pretrained(directory)
    broken = open_engine(str(directory))
    await nursery.start(broken.run)

    with pytest.raises(Exception, match="overflowed"):
        await read(broken, sampled(1))
