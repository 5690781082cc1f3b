"""The suite that comes with the package is the one that the recipe makes, and training never saw its questions."""

from itertools import islice
from pathlib import Path

from tallynet.client.evaluate.suite_file import SHIPPED
from tallynet.devnet.tiny.corpus import generate_texts
from tallynet.devnet.tiny.suite import draw_suite, write_suite
from tallynet.devnet.tiny.trainer import PHASES


def test_the_shipped_files_are_those_of_the_recipe(tmp_path: Path) -> None:
    write_suite(tmp_path)
    shipped = SHIPPED / "smoke"

    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in shipped.iterdir()}
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (shipped / file.name).read_bytes(), file.name


def test_training_saw_none_of_its_questions_and_stories() -> None:
    training = "\n".join(text for phase in PHASES for text in islice(generate_texts(phase.seed, phase.weights), 4000))
    suite = draw_suite()

    for part in ("capitals", "sorting", "words"):
        for item in suite[part]:
            assert f"<|user|>{item['prompt']}</s>" not in training
    for item in suite["stories"]:
        assert item["text"] not in training
