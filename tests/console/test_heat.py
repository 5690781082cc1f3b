"""Coloured texts: the same words as without colours, and nothing foreign that does anything."""

from io import StringIO

import pytest
from rich.console import Console

from tallynet.console.heat import COLD, WARM, HeatMap, Piece, colour, heat_page, print_heat

MAP = HeatMap(
    "A <title>",
    (Piece("plain ", 0.0), Piece("warm", 1.0, 'a "note"'), Piece(" <b>cold</b>\x1b[2J", -1.0), Piece("\nend", 0.4)),
    (Piece(" warm ", 1.0), Piece(" cold ", -1.0)),
    (("model", "<script>"),),
)


def printed(**console: object) -> str:
    out = StringIO()
    print_heat(Console(file=out, width=80, **console), MAP)  # type: ignore[arg-type]
    return out.getvalue()


def test_colours_go_from_none_to_the_strongest() -> None:
    assert [colour(heat) for heat in (0.0, 0.1, -0.1)] == [None] * 3
    assert [colour(heat) for heat in (0.2, 1.0, 7.0)] == [WARM[0], WARM[-1], WARM[-1]]
    assert [colour(heat) for heat in (-0.2, -1.0)] == [COLD[0], COLD[-1]]


def test_a_terminal_gets_colours_and_no_foreign_control_characters() -> None:
    shown = printed(force_terminal=True, color_system="truecolor")

    assert "48;2;232;105;11" in shown, "the warmest colour"
    assert "\x1b[2J" not in shown and "\ufffd[2J" in shown


@pytest.mark.parametrize("console", [{}, {"force_terminal": True, "no_color": True}])
def test_without_colours_the_text_is_there_with_its_warmest_pieces_marked(console: dict[str, object]) -> None:
    shown = printed(**console)

    assert "plain [warm] <b>cold</b>" in shown
    assert "48;2" not in shown


def test_the_page_is_whole_and_escapes_what_is_foreign() -> None:
    page = heat_page(MAP)

    assert "<script" not in page and "&lt;script&gt;" in page
    assert "&lt;b&gt;cold&lt;/b&gt;\ufffd[2J" in page
    assert f'<span style="background:{WARM[-1]}" title="a &quot;note&quot;">warm</span>' in page
    assert "http://" not in page and "https://" not in page and "src=" not in page
