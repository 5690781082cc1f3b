"""A suite's folder is read, and whatever is wrong with it is named with its file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tallynet.client.evaluate.suite_file import MANIFEST, SHIPPED, open_suite, read_suite, shipped_suites
from tallynet.evaluation.suite import BiasPart, ExactPart, PerplexityPart, TranslationPart
from tallynet.protocol.errors import Misconfigured

SUITE = """\
format = "tallynet-suite@v1"
name = "mine"
version = "2"

[[parts]]
name = "sums"
kind = "exact"
max_tokens = 8
system = "Only the number."

[[parts]]
name = "pairs"
kind = "bias"
one = "a"
other = "b"
"""
SUMS = '{"prompt": "1 + 1 = ?", "answer": "2"}\n{"prompt": "Zwölf?", "answer": "12"}\n'
PAIRS = '{"text": "{} sang.", "one": "Ben", "other": "Ada"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in ((MANIFEST, SUITE), ("sums.jsonl", SUMS), ("pairs.jsonl", PAIRS)):
        (tmp_path / name).write_text(text)
    return tmp_path


def refused(named: Path | str) -> str:
    with pytest.raises(Misconfigured) as refusal:
        open_suite(str(named))
    assert refusal.value.remedy
    return refusal.value.message


def test_a_folder_is_read(folder: Path) -> None:
    suite = open_suite(str(folder))
    sums, pairs = suite.parts

    assert (suite.name, suite.version) == ("mine", "2")
    assert isinstance(sums, ExactPart) and sums.system and sums.items[1].prompt == "Zwölf?"
    assert isinstance(pairs, BiasPart) and pairs.items[0].other == "Ada"
    assert suite.digest == read_suite(folder).digest


def test_the_digest_is_of_what_is_asked_and_not_of_how_it_is_written(folder: Path) -> None:
    before = read_suite(folder).digest
    (folder / MANIFEST).write_text("# mine\n" + SUITE.replace('kind = "exact"', 'kind="exact"'))
    (folder / "pairs.jsonl").write_text(PAIRS.replace('": "', '":"'))

    assert read_suite(folder).digest == before


def test_the_suite_that_comes_with_us_has_a_part_of_every_kind() -> None:
    suite = open_suite("smoke")

    assert shipped_suites() == ["smoke"]
    assert {type(part) for part in suite.parts} == {ExactPart, TranslationPart, PerplexityPart, BiasPart}
    assert suite == read_suite(SHIPPED / "smoke")


def test_a_suite_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    assert refused("nonsense") == "There is no suite 'nonsense'."
    assert "suite.toml cannot be read" in refused(tmp_path)


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / MANIFEST).write_text("name ="), "suite.toml is no TOML"),
        (lambda folder: (folder / MANIFEST).write_bytes(b'name = "\xff"'), "suite.toml is no TOML"),
        (lambda folder: (folder / MANIFEST).write_text("#" * 70_000), "suite.toml has more than 65536 bytes"),
        (lambda folder: (folder / MANIFEST).write_text('parts = "sums"'), "has no list of [[parts]]"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE.replace("@v1", "@v9")), "suite.toml is not valid"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE.replace("exact", "exotic")), "Invalid value 'exotic'"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE.replace("max_tokens = 8", "")), "missing required field"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE.replace("= 8", "= 8000")), "`int` <= 1024"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE + 'colour = "red"\n'), "unknown field `colour`"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE + "items = []\n"), "belong into pairs.jsonl"),
        (lambda folder: (folder / MANIFEST).write_text(SUITE.replace('"sums"', '"../sums"')), "without a name of a-z"),
        (lambda folder: (folder / "sums.jsonl").unlink(), "sums.jsonl cannot be read"),
        (lambda folder: (folder / "sums.jsonl").write_text(""), "`array` of length >= 1"),
        (lambda folder: (folder / "sums.jsonl").write_text(SUMS + "{"), "sums.jsonl has no item on line 3"),
        (lambda folder: (folder / "sums.jsonl").write_text("[" * 100_000), "sums.jsonl has no item on line 1"),
        (lambda folder: (folder / "sums.jsonl").write_text(SUMS * 2501), "has 5002 lines, more than 5000 items"),
        (lambda folder: (folder / "sums.jsonl").write_text(SUMS.replace("answer", "reply")), "field `reply`"),
        (lambda folder: (folder / "sums.jsonl").write_text(SUMS.replace('"12"', "12")), "Expected `str`, got `int`"),
        (lambda folder: (folder / "pairs.jsonl").write_text(PAIRS.replace("{}", "")), "{} exactly once"),
    ],
    ids=[
        "toml", "utf-8", "large", "parts", "format", "kind", "missing", "bound", "unknown", "inline", "path",
        "file", "empty", "line", "deep", "many", "field", "type", "pair",
    ],
)  # fmt: skip
def test_what_makes_no_suite_is_named(damage: Damage, words: str, folder: Path) -> None:
    damage(folder)

    assert words in refused(folder)
