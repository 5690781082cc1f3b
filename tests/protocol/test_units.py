"""How values are shown to people."""

import pytest

from tallynet.protocol.units import prefixed, printable, short


def test_a_short_form_keeps_both_ends() -> None:
    assert short(bytes.fromhex("7c1e" + "00" * 28 + "a49f")) == "7c1e…a49f"
    assert short(b"\x01\x02") == "0102"
    assert prefixed(b"\x01\x02") == "0x0102"


@pytest.mark.parametrize("text", ["plain", "東京 ok", ""])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\n", "\r", "\0", "\x7f", "\x85", "\u2028", "\u202e", "\ud800"])
def test_what_could_disturb_a_terminal_is_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a?b"


def test_a_flood_is_cut() -> None:
    assert printable("x" * 1000, 10) == "x" * 9 + "…"
    assert printable("x" * 10, 10) == "x" * 10
