"""The evidence of a generation: its form, what keys it, and that it says nothing for anybody but the model."""

import hashlib

import pytest
import torch
import trio

from tallynet.engine import Engine, Generation
from tallynet.engine.evidence import (
    GROUP_TOKENS,
    RECORD_BYTES,
    SKETCH_ENTRIES,
    Record,
    SignKeys,
    group_count,
    read_records,
    sign_bytes,
)
from tallynet.engine.sketch import exact_hash, measure, project
from tallynet.protocol.units import Digest
from tests.engine.conftest import Opened
from tests.engine.generations import greedy, read, sampled, seed

KEY = Digest(hashlib.sha256(b"group").digest())
WIDTH = 96


def hidden(number: int = 0, tokens: int = GROUP_TOKENS) -> torch.Tensor:
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(number))


def distance(one: Record, other: Record) -> float:
    left, right = torch.tensor(one.sketch), torch.tensor(other.sketch)
    return float((left - right).norm() / right.norm())


def test_record_reads_as_it_was_packed() -> None:
    record = measure(hidden(), KEY, 3)

    assert read_records(record.pack() * 2) == (record, record)
    assert len(record.pack()) == RECORD_BYTES == 64
    assert record.rows == 3


def test_full_group_costs_four_bytes_a_token() -> None:
    assert RECORD_BYTES / GROUP_TOKENS <= 4


def test_cut_record_is_refused() -> None:
    with pytest.raises(ValueError, match="63 bytes"):
        read_records(measure(hidden(), KEY, 1).pack()[:-1])


@pytest.mark.parametrize(("tokens", "groups"), [(0, 0), (1, 1), (16, 1), (17, 2), (256, 16)])
def test_last_group_may_be_short(tokens: int, groups: int) -> None:
    assert group_count(tokens) == groups


@pytest.mark.parametrize("tokens", [1, 2, 15, 16])
def test_sketch_is_the_signed_sum_of_the_definition(tokens: int) -> None:
    states, packed = hidden(tokens=tokens), sign_bytes(KEY, WIDTH)
    expected = []
    for entry in range(SKETCH_ENTRIES):
        total = 0.0
        for channel in range(WIDTH):
            plus = packed[4 * channel + entry // 8] >> (entry % 8) & 1
            column = sum((-1) ** at * float(states[at, channel]) for at in range(tokens))
            total += column if plus else -column
        expected.append(total / (WIDTH * tokens) ** 0.5)

    assert project(states, KEY).tolist() == pytest.approx(expected, abs=1e-5)


def test_rounding_moves_a_sketch_by_less_than_a_hundredth() -> None:
    exact = project(hidden(), KEY)
    rounded = torch.tensor(measure(hidden(), KEY, 1).sketch)

    assert float((rounded - exact).norm() / exact.norm()) < 0.01


def test_what_all_tokens_share_leaves_no_trace() -> None:
    """Large constant channels would let a forger pass who knows only them."""
    shifted = hidden() + 1000 * torch.arange(WIDTH) / WIDTH

    assert project(shifted, KEY).tolist() == pytest.approx(project(hidden(), KEY).tolist(), abs=0.01)


@pytest.mark.parametrize("forged", [0 * hidden(), -hidden(), hidden(1), hidden().mean(dim=0).expand(16, WIDTH)])
def test_null_forgeries_are_far_away(forged: torch.Tensor) -> None:
    assert distance(measure(forged, KEY, 1), measure(hidden(), KEY, 1)) > 0.5


def test_silence_has_a_record() -> None:
    record = measure(0 * hidden(), KEY, 1)

    assert record.scale == 0 and set(record.entries) == {0}


def test_exact_hash_is_of_the_bytes_of_the_numbers() -> None:
    states = hidden().bfloat16()
    raw = b"".join(int(word).to_bytes(2, "little", signed=True) for word in states.flatten().view(torch.int16))

    assert exact_hash(states) == hashlib.sha256(raw).digest()


def test_key_follows_from_seed_prompt_and_every_token() -> None:
    keys = {
        SignKeys(seed(number), prompt).after(tokens)
        for number in (1, 2)
        for prompt in ((1, 2), (1, 3))
        for tokens in ((5, 6), (5, 7), (4, 6))
    }

    assert len(keys) == 12


def test_key_of_a_later_group_follows_from_the_tokens_of_earlier_ones() -> None:
    one, other = SignKeys(seed(1), (1,)), SignKeys(seed(1), (1,))
    one.after((2,)), other.after((3,))

    assert one.after((4,)) != other.after((4,))


# In the engine


@pytest.fixture
async def running(engine: Opened, nursery: trio.Nursery) -> Engine:
    await nursery.start(engine("llama").run)
    return engine("llama")


async def evidence_of(engine: Engine, generation: Generation) -> tuple[Record, ...]:
    return read_records(b"".join(piece.evidence for piece in (await read(engine, generation)).pieces))


@pytest.mark.parametrize("max_tokens", [1, 15, 16, 17, 40])
async def test_answer_has_a_record_for_each_group(running: Engine, max_tokens: int) -> None:
    answer = await read(running, greedy(max_tokens=max_tokens))

    records = read_records(b"".join(piece.evidence for piece in answer.pieces))
    assert len(records) == group_count(len(answer.tokens))
    assert all(record.rows == 1 for record in records)


async def test_record_rides_in_the_piece_whose_token_completes_its_group(running: Engine) -> None:
    count = 0
    for piece in (await read(running, greedy(max_tokens=40))).pieces:
        before, count = count, count + len(piece.tokens)
        full = count // GROUP_TOKENS - before // GROUP_TOKENS
        last = piece.finish is not None and count % GROUP_TOKENS > 0
        assert len(read_records(piece.evidence)) == full + last


async def test_alone_the_same_run_has_the_same_record(running: Engine) -> None:
    assert await evidence_of(running, sampled(3)) == await evidence_of(running, sampled(3))


async def test_shared_steps_are_recorded_and_hardly_move_the_sketch(running: Engine) -> None:
    alone = await evidence_of(running, sampled(0, max_tokens=32))
    together: dict[int, tuple[Record, ...]] = {}

    async def run(number: int) -> None:
        together[number] = await evidence_of(running, sampled(number, max_tokens=32))

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(run, number)
    assert max(record.rows for record in together[0]) > 1
    for one, other in zip(together[0], alone, strict=True):
        assert distance(one, other) < 0.01


async def test_other_seed_leaves_another_sketch(running: Engine) -> None:
    """Greedy tokens are the same under every seed; their signs are not."""
    generation = greedy()
    other = Generation(generation.prompt, generation.sampling, seed(9))

    first, second = (await evidence_of(running, generation))[0], (await evidence_of(running, other))[0]
    assert first.exact == second.exact
    assert distance(first, second) > 0.5
