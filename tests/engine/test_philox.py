"""The noise: known answers of the reference, and the tensor version equal to it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine.noise import BLOCK, gumbel, philox_words, philox_words_on_cpu
from tallynet.engine.philox import MASK, Words, noise_key, philox, uniform
from tallynet.engine.philox import gumbel as gumbel_reference
from tallynet.protocol.units import Digest

WORD = st.integers(0, MASK)
WORDS = st.tuples(WORD, WORD, WORD, WORD)

SEED = Digest(bytes(range(32)))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MASK, MASK, MASK, MASK), (MASK, MASK), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: Words, key: tuple[int, int], words: Words) -> None:
    assert philox(counter, key) == words


@given(counter=WORDS, key=st.tuples(WORD, WORD))
def test_tensor_philox_equals_the_reference(counter: Words, key: tuple[int, int]) -> None:
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    word0, word1 = philox_words((c0, c1, c2, c3), (torch.tensor([key[0]]), torch.tensor([key[1]])))

    assert (int(word0), int(word1)) == philox(counter, key)[:2]


@given(counter=WORDS, key=st.tuples(WORD, WORD))
def test_array_philox_equals_the_reference(counter: Words, key: tuple[int, int]) -> None:
    c0, c1, c2, c3, k0, k1 = (np.array([word], np.uint64) for word in (*counter, *key))
    word0, word1 = philox_words_on_cpu((c0, c1, c2, c3), (k0, k1))

    assert (int(word0[0]), int(word1[0])) == philox(counter, key)[:2]


def test_uniform_is_never_zero_or_one_and_exact() -> None:
    assert uniform(0, 0) == 2.0**-53
    assert uniform(MASK, MASK) == 1 - 2.0**-53
    assert uniform(0x8000_0000, 0) == 0.5 + 2.0**-53


def test_noise_key_is_the_head_of_a_tagged_hash() -> None:
    assert noise_key(SEED) == (0x116D5C8F, 0x9D7695DF, 0x1C22719A, 0x801570D6)


@pytest.mark.parametrize(
    ("token", "position", "value"),
    [
        (0, 0, -0.5215023011105531),
        (1, 0, 0.5107898363189158),
        (0, 1, 1.367442078538909),
        (151_935, 8191, 5.003808181638258),
        (MASK, MASK, -1.061984021994759),
    ],
)
def test_gumbel_gives_the_known_answers(token: int, position: int, value: float) -> None:
    assert math.isclose(gumbel_reference(noise_key(SEED), token, position), value, rel_tol=1e-13)


@pytest.mark.parametrize("count", [1, 5, BLOCK, BLOCK + 3])
def test_tensor_gumbel_equals_the_reference(count: int) -> None:
    key = noise_key(SEED)
    noise = gumbel(torch.tensor(key)[:, None], torch.arange(count), torch.tensor([9]))

    assert noise.dtype == torch.float64
    for token in {0, count // 2, count - 1}:
        assert math.isclose(float(noise[token]), gumbel_reference(key, token, 9), rel_tol=1e-13)


def test_rows_may_have_different_keys_and_positions() -> None:
    keys = [noise_key(SEED), noise_key(Digest(bytes(32)))]
    noise = gumbel(torch.tensor(keys).T, torch.tensor([3, 3]), torch.tensor([4, 5]))

    assert math.isclose(float(noise[0]), gumbel_reference(keys[0], 3, 4), rel_tol=1e-13)
    assert math.isclose(float(noise[1]), gumbel_reference(keys[1], 3, 5), rel_tol=1e-13)


@pytest.mark.parametrize("columns", [7, BLOCK // 2 + 5])
def test_a_table_of_noise_has_every_row_under_its_own_key(columns: int) -> None:
    keys = [noise_key(SEED), noise_key(Digest(bytes(32)))]
    words = torch.tensor([(*keys[0], 4), (*keys[1], 5)]).T[..., None]
    noise = gumbel(words[:4], torch.arange(columns), words[4])

    assert noise.shape == (2, columns)
    for row, position in ((0, 4), (1, 5)):
        for token in (0, columns // 2, columns - 1):
            assert math.isclose(float(noise[row, token]), gumbel_reference(keys[row], token, position), rel_tol=1e-13)
