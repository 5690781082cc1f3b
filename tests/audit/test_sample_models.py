"""The sampling audit of a node with several models: it looks at the runs of one, vectors as well as answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from tallynet.audit.opened_run import Asking
from tallynet.audit.replay import Bench, Terms
from tallynet.audit.sample import Sample, Wish
from tallynet.audit.sample_draw import find_drawn
from tallynet.audit.sample_file import Outcome, SampleReport
from tallynet.audit.sample_statement import Standing, standing
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.cheats.engine_node import PromptEdit
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.engine import open_engine
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.log_reader import LogReader
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS
from tallynet.protocol.keys import Key
from tests.engine.embedders import make_embedder

TEXTS = ("a text", "another text", "vectors point the same way", "others do not")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder("bert", tmp_path_factory.mktemp("models") / "bert", "mean_tokens")


@asynccontextmanager
async def asked(folder: Path, embedder: Path, cheat: LedgerCheat | None = None) -> AsyncIterator[Devnet]:
    """A node with the fake and an embedder, which has anchored two answers, and vectors of which one has no consent."""
    vectors = partial(open_engine, str(embedder), device="cpu")
    async with open_devnet(folder, more=[vectors], cheats={0: cheat} if cheat else {}) as devnet:
        async with devnet.client() as client:
            for question in ("Hello?", "Hello again?"):
                await client.ask("fake", question, max_tokens=4, audit_consent=True)
            await client.embed("bert", TEXTS, audit_consent=True)
            (last,) = await client.embed("bert", "of mine alone")
            await client.wait_for_anchor(last.answer.bundle(), 60)
        cast(MemoryLedger, devnet.ledger).mine(DRAW_DELAY_BLOCKS)
        yield devnet


async def report(devnet: Devnet, bench: Bench, runs: int) -> SampleReport:
    node, ledger, transport = devnet.nodes[0], devnet.ledger, devnet.transport()
    drawn = await find_drawn(ledger, node.address)
    async with transport.run():
        asking = Asking(LogReader(transport, node.peer, ledger.domain), ledger, drawn, Key.generate())
        return await Sample(asking, bench, Wish(950_000, runs)).take(lambda done, of: None, lambda said: None)


async def test_vectors_with_consent_are_made_again_and_other_models_passed_over(embedder: Path, tmp_path: Path) -> None:
    bench = Bench(embedder, read_thresholds(), Terms(device="cpu"))
    async with asked(tmp_path, embedder) as devnet:
        found = await report(devnet, bench, len(TEXTS) + 1)

    assert [found.count(outcome) for outcome in (Outcome.PASS, Outcome.OTHER_MODEL, Outcome.NO_CONSENT)] == [4, 2, 1]
    assert standing(found) is Standing.OPEN  # one more was wanted than there are


async def test_a_vector_of_another_text_is_found(embedder: Path, tmp_path: Path) -> None:
    bench = Bench(embedder, read_thresholds(), Terms(device="cpu"))
    async with asked(tmp_path, embedder, LedgerCheat(PromptEdit, honest=2)) as devnet:
        found = await report(devnet, bench, len(TEXTS))

    assert standing(found) is Standing.BAD
    assert (found.count(Outcome.PASS), found.count(Outcome.FAIL)) == (2, 2)
    assert all(run.says.startswith("(2)") for run in found.runs if run.outcome is Outcome.FAIL)
