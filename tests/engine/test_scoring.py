"""Given texts scored by the real engine: the logprobs of transformers' own single pass, alone and in company."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import trio
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tallynet.engine import Engine, FakeEngine, Finish, Generation, open_engine
from tallynet.engine import reading as reading_module
from tallynet.engine.evidence import group_count, read_records
from tallynet.engine.fake import decode, encode
from tallynet.engine.hardware import Hardware
from tallynet.engine.reading import Reader, part_positions
from tallynet.engine.tokenizer import Tokenizer
from tallynet.engine.warmup import try_out
from tallynet.engine.weights import load_weights
from tallynet.protocol.chunk import MAX_CHUNK_EVIDENCE, ChunkBody
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Request
from tallynet.protocol.score import SCORE_SAMPLING, ScoredToken, decode_score, read_marks
from tallynet.protocol.units import TokenIds
from tests.engine.checkpoints import FAMILIES
from tests.engine.conftest import Directory, Opened
from tests.engine.families import LONE, make_model
from tests.engine.generations import PROMPT, Read, greedy, read, seed
from tests.engine.translators import make_translator

TEXT = "the quick brown fox żółw 日本語: ok? a lazy dog jumps over 12 lazy foxes and one line\n"
TOKENS = tuple(range(20, 80))


def scoring(tokens: TokenIds, top: int = 0, number: int = 0) -> Generation:
    return Generation(tokens[:1], SCORE_SAMPLING, seed(number), tokens[1:], top)


def scores(answer: Read, tokens: TokenIds, top: int = 0) -> tuple[ScoredToken, ...]:
    chunks = [ChunkBody(piece.tokens, piece.text, piece.logprobs, piece.evidence) for piece in answer.pieces]
    return decode_score(Request(tokens=tokens, top=top), tokens[:1], chunks)[0]


def plain_logprobs(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """(length, vocabulary): what transformers itself says after each token, in one pass."""
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([list(tokens)])).logits[0].float()
    return logits.log_softmax(dim=-1)


@cache
def loaded(directory: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)


@pytest.fixture
async def running(engine: Opened, nursery: trio.Nursery) -> Engine:
    """The Llama engine, ready until the test ends."""
    await nursery.start(engine("llama").run)
    return engine("llama")


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_logprobs_are_those_of_one_plain_pass(
    engine: Opened, checkpoint: Directory, nursery: trio.Nursery, family: str
) -> None:
    running = engine(family)
    await nursery.start(running.run)
    tokens = await running.tokenize(Request(text=TEXT))
    answer = await read(running, scoring(tokens, top=5))
    plain = plain_logprobs(loaded(checkpoint(family)), tokens)

    expected = [float(plain[place, token]) for place, token in enumerate(tokens[1:])]
    assert answer.tokens == list(tokens[1:])
    assert answer.logprobs == pytest.approx(expected, abs=1e-4)
    assert answer.finish is Finish.EOS
    for place, score in enumerate(scores(answer, tokens, top=5)):
        best = plain[place].topk(5)
        assert [likely.token for likely in score.likeliest] == best.indices.tolist()
        assert [likely.logprob for likely in score.likeliest] == pytest.approx(best.values.tolist(), abs=1e-4)


async def test_the_last_piece_tells_what_would_follow(running: Engine, checkpoint: Directory) -> None:
    tokens = await running.tokenize(Request(text=TEXT))
    answer = await read(running, scoring(tokens, top=2))

    after = [read_marks(ChunkBody(p.tokens, p.text, p.logprobs, p.evidence)).after for p in answer.pieces]
    assert [bool(likely) for likely in after] == [False] * (len(after) - 1) + [True]
    assert after[-1][0].token == int(plain_logprobs(loaded(checkpoint("llama")), tokens)[-1].argmax())
    assert after[-1][0].token == (await read(running, greedy(tokens, 1))).tokens[0]


async def test_the_texts_of_the_tokens_are_the_text(running: Engine, checkpoint: Directory) -> None:
    text = TEXT + "a snowman: \N{SNOWMAN}"
    tokens = await running.tokenize(Request(text=text))
    answer = await read(running, scoring(tokens, top=1))
    told = scores(answer, tokens, top=1)

    assert "".join(score.text for score in told) == answer.text
    assert Tokenizer(checkpoint("llama")).decode(tokens[:1]) + answer.text == text
    assert any(score.text == "" for score in told), "no token only begins a character here"


async def test_a_text_longer_than_a_part_is_read_in_parts(
    running: Engine, checkpoint: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await read(running, scoring(TOKENS))).logprobs
    reader: Any = running._trial.batch.reader  # type: ignore[attr-defined]
    monkeypatch.setattr(reader, "part", 7)

    assert (await read(running, scoring(TOKENS))).logprobs == pytest.approx(whole, abs=1e-4)


async def test_scores_do_not_depend_on_company(running: Engine) -> None:
    """No other text or answer has a part in the passes: the same bits, sketches and all."""
    alone = [(await read(running, scoring(TOKENS[n:], top=1, number=n))).pieces for n in range(4)]
    answers = [(await read(running, greedy())).tokens, (await read(running, greedy((9,)))).tokens]
    scored: dict[int, object] = {}
    written: dict[int, object] = {}

    async def score(number: int) -> None:
        scored[number] = (await read(running, scoring(TOKENS[number:], top=1, number=number))).pieces

    async def write(number: int, prompt: TokenIds) -> None:
        written[number] = (await read(running, greedy(prompt))).tokens

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(score, number)
        nursery.start_soon(write, 0, PROMPT)
        nursery.start_soon(write, 1, (9,))

    assert [scored[number] for number in range(4)] == alone
    assert [written[number] for number in range(2)] == answers
    assert (running.load().running, running.load().waiting) == (0, 0)


async def test_every_group_has_its_record(running: Engine) -> None:
    answer = await read(running, scoring(TOKENS, top=5))
    marked = [read_marks(ChunkBody(p.tokens, p.text, p.logprobs, p.evidence)) for p in answer.pieces]
    records = read_records(b"".join(part.records for part in marked))

    assert len(records) == group_count(len(TOKENS) - 1)
    assert {record.rows for record in records} == {1}
    assert all(1 <= len(piece.tokens) <= 16 for piece in answer.pieces)
    assert all(len(piece.evidence) <= MAX_CHUNK_EVIDENCE for piece in answer.pieces)


async def test_leaving_ends_the_work(running: Engine) -> None:
    async with running.stream(scoring(TOKENS)) as pieces:
        await anext(pieces)
    with trio.fail_after(30):
        while running.load().running or running.load().waiting:
            await trio.sleep(0.002)
    assert (await read(running, scoring(TOKENS))).finish is Finish.EOS


@pytest.mark.parametrize(
    "generation",
    [
        Generation(TOKENS[:1], Sampling(8), seed(0), TOKENS[1:]),
        Generation(TOKENS[:1], SCORE_SAMPLING, seed(0), tuple(range(1, 129))),
        Generation(TOKENS[:1], SCORE_SAMPLING, seed(0), (1, 2, 10_000)),
    ],
    ids=["it samples", "longer than the context", "no token of the model"],
)
async def test_what_cannot_be_scored_is_refused(running: Engine, generation: Generation) -> None:
    with pytest.raises(InvalidJob):
        async with running.stream(generation):
            pass


@pytest.mark.parametrize("family", sorted(LONE))
def test_a_model_with_another_cache_goes_token_by_token(family: str, tmp_path: Path) -> None:
    model = load_weights(make_model(family, tmp_path / family), Hardware(torch.device("cpu"), torch.float32))
    reader = try_out(model, 4).batch.reader
    assert reader is not None and reader.part == 1
    with torch.inference_mode():
        reading = reader.begin(TOKENS[:1], TOKENS[1:20])
        passes = []
        while not reading.complete:
            passes.append(reader.advance(reading))
    seen = [value for one in passes for value in one.logprobs(reading.tokens)]
    plain = plain_logprobs(model, TOKENS[:20])

    assert seen == pytest.approx([float(plain[place, TOKENS[place + 1]]) for place in range(19)], abs=1e-3)
    assert passes[-1].likeliest(1)[0][0][0] == int(plain[19].argmax())


def test_one_pass_holds_as_many_places_as_their_logits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "LOGITS_AT_ONCE", 1000)

    assert [part_positions(size) for size in (1, 10, 400, 5000)] == [256, 100, 2, 1]


def test_ties_go_to_the_lowest_id() -> None:
    seen = reading_module.Seen(0, torch.tensor([[1.0, 3.0, 0.0, 3.0, 3.0]]), None)

    assert [token for token, _ in seen.likeliest(3)[0]] == [1, 3, 4]
    assert [token for token, _ in seen.likeliest(5)[0]] == [1, 3, 4, 0, 2]
    assert seen.likeliest(0) == [[]]


def test_a_prompt_of_several_tokens_is_not_scored(checkpoint: Directory) -> None:
    model = load_weights(checkpoint("llama"), Hardware(torch.device("cpu"), torch.float32))
    reader = Reader(model, in_parts=True)
    reader.part = 3
    seen = []
    with torch.inference_mode():
        reading = reader.begin(TOKENS[:8], TOKENS[8:20])
        while not reading.complete:
            seen += reader.advance(reading).logprobs(reading.tokens)
    plain = plain_logprobs(model, TOKENS[:20])

    assert seen == pytest.approx([float(plain[place - 1, TOKENS[place]]) for place in range(8, 20)], abs=1e-4)


def test_an_encoder_decoder_model_scores_no_texts(tmp_path: Path) -> None:
    assert not open_engine(str(make_translator("t5", tmp_path / "t5"))).info.scores


async def test_the_fake_scores_too(nursery: trio.Nursery) -> None:
    engine = FakeEngine()
    await nursery.start(engine.run)
    tokens = encode("so the world and the word of zebras " * 8)
    answer = await read(engine, scoring(tokens, top=2))
    told = scores(answer, tokens, top=2)

    assert decode(tokens[:1]) + answer.text == decode(tokens)
    assert (await read(engine, scoring(tokens, top=2))).pieces == answer.pieces
    assert all(math.isfinite(score.logprob) and len(score.likeliest) == 2 for score in told)
