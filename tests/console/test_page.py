"""Pages of HTML: foreign words stand there and do nothing, and a page that cannot be written is told."""

from pathlib import Path

import pytest

from tallynet.console.page import definitions, render_page, safe, shown, write_page
from tallynet.protocol.errors import Misconfigured


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    page = render_page("A <title>", "<p>body</p>", "p { color: red }")

    assert page.startswith("<!doctype html>")
    assert page.count("A &lt;title&gt;") == 2 and "<title>A" in page and "<h1>A" in page
    assert "default-src 'none'" in page and "<script" not in page
    assert "<p>body</p>" in page and "p { color: red }" in page


def test_foreign_words_are_harmless_in_text_and_in_quotes() -> None:
    assert safe('<b a="x">\x1b[2J') == "&lt;b a=&quot;x&quot;&gt;\ufffd[2J"
    assert definitions([("<dt>", "</dd>")]) == "<dl><dt>&lt;dt&gt;</dt><dd>&lt;/dd&gt;</dd></dl>"
    assert shown("one\ttwo\n\x07\u202e") == "one\ttwo\n\ufffd\ufffd"


def test_a_page_is_written_as_it_is(tmp_path: Path) -> None:
    write_page(page := render_page("Tally \N{SNOWMAN}", ""), tmp_path / "page.html")

    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_a_page_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        write_page("", tmp_path / "missing" / "page.html")
