"""The example of the README for LangChain is true: it runs here against a real network."""

from pathlib import Path

import pytest
import trio

from tests.test_readme import LANGCHAIN_PROGRAM, run_programs

pytestmark = pytest.mark.langchain


def test_the_langchain_example_runs_against_a_real_network(tmp_path: Path) -> None:
    (printed,) = trio.run(run_programs, tmp_path, LANGCHAIN_PROGRAM)

    assert "Tokyo" in printed
    assert " signed\n" in printed
    assert printed.endswith("french='chat'\n")
