"""Text from tokens as they come: whole characters, and in the end the whole text."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine.detokenizer import REPLACEMENT, Detokenizer
from tallynet.engine.tokenizer import Tokenizer
from tests.engine.conftest import Directory


def utf8(tokens: Sequence[int]) -> str:
    """One byte per token, as byte-level BPE decodes them."""
    return bytes(tokens).decode(errors="replace")


def byte_fallback(tokens: Sequence[int]) -> str:
    """One byte per token, as SentencePiece decodes them: a run with an invalid byte becomes U+FFFD throughout."""
    runs = bytes(tokens).split(b"|")
    return "|".join(_strict(run) for run in runs)


def _strict(run: bytes) -> str:
    try:
        return run.decode()
    except UnicodeDecodeError:
        return REPLACEMENT * len(run)


def parts_of(decode: object, tokens: Sequence[int]) -> list[str]:
    detokenizer = Detokenizer(decode)  # type: ignore[arg-type]
    return [*(detokenizer.add(token) for token in tokens), detokenizer.rest()]


@pytest.mark.parametrize("decode", [utf8, byte_fallback])
def test_half_a_character_is_never_shown(decode: object) -> None:
    assert parts_of(decode, "a€😀b".encode()) == ["a", "", "", "€", "", "", "", "😀", "b", ""]


def test_unfinished_character_comes_out_at_the_end() -> None:
    assert parts_of(utf8, "a€".encode()[:-1]) == ["a", "", "", REPLACEMENT]


@given(st.binary(max_size=40))
def test_parts_joined_are_the_text(data: bytes) -> None:
    assert "".join(parts_of(utf8, data)) == utf8(data)


@given(st.text(max_size=20))
def test_parts_joined_are_the_text_of_a_byte_fallback_tokenizer(text: str) -> None:
    assert "".join(parts_of(byte_fallback, text.encode())) == text


def test_text_goes_on_after_a_decoder_took_some_back() -> None:
    tokens = "😀".encode() + b"\xff" + b"| and on"

    assert "".join(parts_of(byte_fallback, tokens)).endswith("| and on")


@given(st.lists(st.integers(3, 383), max_size=30))
def test_parts_joined_are_what_a_real_tokenizer_decodes(checkpoint: Directory, tokens: list[int]) -> None:
    tokenizer = Tokenizer(checkpoint("llama"))
    parts = parts_of(tokenizer.decode, tokens)

    assert "".join(parts) == tokenizer.decode(tokens)
