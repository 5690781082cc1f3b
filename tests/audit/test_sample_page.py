"""A sampling audit as a page: every run and every reason is on it, and nothing foreign does anything."""

import msgspec
import pytest

from tallynet.audit.sample_file import Outcome, sign_report
from tallynet.audit.sample_page import LETTERS, sample_page
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tests.audit.examples import STRANGER
from tests.audit.samples import OUTCOMES, SIZE, valid_report
from tests.audit.suspects import Scene, scene


@pytest.fixture
async def made() -> Scene:
    anchored = await scene(SIZE)
    anchored.ledger.mine(DRAW_DELAY_BLOCKS)
    return anchored


async def test_a_good_node_has_its_statement_and_every_run(made: Scene) -> None:
    report = await valid_report(made.ledger)
    page = sample_page(sign_report(report, STRANGER))

    assert '<b class="good">GOOD</b>' in page and report.says in page
    assert page.count('<i class="pass" title=') == OUTCOMES.count(Outcome.PASS)
    assert all(f'title="entry {run.index}, {run.outcome}"' in page for run in report.runs)
    assert f"{report.at_most_millionths / 10_000:.2f} %" in page
    assert "Runs that did not pass" not in page
    for word in (report.root, report.auditor, report.model, "that the answers are true"):
        assert word in page


async def test_bad_runs_are_told_with_their_reasons_and_foreign_words_are_harmless(made: Scene) -> None:
    report = await valid_report(made.ledger, (Outcome.PASS,) * 19 + (Outcome.FAIL,))
    *rest, last = report.runs
    runs = (*rest, msgspec.structs.replace(last, says="<script>alert('x')</script>"))
    page = sample_page(sign_report(msgspec.structs.replace(report, runs=runs), STRANGER))

    assert '<b class="bad">BAD</b>' in page and "bad at least" in page
    assert f"entry {last.index}, fail: &lt;script&gt;" in page
    assert "<script" not in page
    assert f">{LETTERS[Outcome.FAIL]}</i>" in page


async def test_a_sample_of_nothing_has_a_page_too(made: Scene) -> None:
    page = sample_page(sign_report(await valid_report(made.ledger, (), 1), STRANGER))

    assert '<b class="open">OPEN</b>' in page and "No run was drawn." in page
