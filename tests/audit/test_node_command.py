"""`tallynet audit node`: what is printed and kept; the checks themselves are in `test_node_audit`."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tallynet.audit import progress
from tallynet.audit.audit_state import read_state
from tallynet.audit.evidence_file import read_evidence
from tallynet.protocol.fault import NotAPrefix
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.tiles import TILE_WIDTH
from tallynet.protocol.units import Digest, prefixed
from tests.audit.examples import NODE, STRANGER, ExampleNode
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, Time, signed

ADDRESS = prefixed(NODE.address)
SIZE = 2 * TILE_WIDTH + 3


def _entries() -> list[bytes]:
    node = ExampleNode()
    for _ in range(SIZE):
        node.run()
    return node.leaves


ENTRIES = _entries()


@pytest.fixture
async def made() -> Scene:
    """Two bundles and three entries, anchored at 300 and all but the last."""
    made = Scene()
    await made.node.register(made.ledger)
    made.node.leaves += ENTRIES
    made.node.tree.extend(map(leaf_hash, ENTRIES[:300]))
    await made.node.anchor(made.ledger)
    made.node.tree.extend(map(leaf_hash, ENTRIES[300:-1]))
    await made.node.anchor(made.ledger)
    made.node.tree.extend([leaf_hash(ENTRIES[-1])])
    return made


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Scene) -> Stage:
    built = Stage(tmp_path, made.ledger, monkeypatch)
    built.nodes.append(made.node)
    return built


async def test_a_whole_log_passes(stage: Stage, made: Scene) -> None:
    found = await stage.ran("node", ADDRESS)
    told = await stage.ran("node", ADDRESS, "--json")

    assert found.code == 0
    assert found.stdout.startswith(f"PASS node {ADDRESS}\n  entries  515 of 515 checked in ")
    assert "  tail     1 not anchored yet\n" in found.stdout
    assert "that no run was kept out of the log" in found.stdout
    assert told.code == 0
    assert (told.json["verdict"], told.json["entries_checked"], told.json["anchors_checked"]) == ("PASS", SIZE, 2)
    assert (told.json["resumed_from"], told.json["evidence"], told.json["fault"]) == (0, None, None)
    assert list((stage.folder / "state" / "audit").iterdir()) == []


async def test_a_named_state_is_kept_and_gone_on_from(stage: Stage) -> None:
    place = stage.folder / "log.audit"
    first = await stage.ran("node", ADDRESS, "--state", place)
    kept = read_state(place)
    second = await stage.ran("node", ADDRESS, "--state", place)

    assert (first.code, second.code) == (0, 0)
    assert kept is not None and kept.size == 2 * TILE_WIDTH
    assert "Going on from the audit of " in second.stderr
    assert "The first 512 entries were checked by an earlier audit." in second.stdout


async def test_a_state_that_does_not_fit_the_chain_is_thrown_away(stage: Stage, made: Scene) -> None:
    place = stage.folder / "log.audit"
    await stage.ran("node", ADDRESS, "--state", place)
    made.ledger.rewind(2)
    await made.node.anchor(made.ledger)

    found = await stage.ran("node", ADDRESS, "--state", place)

    assert found.code == 0
    assert "The earlier audit was thrown away: the chain knows other anchors" in found.words
    assert "checked by an earlier audit" not in found.stdout


async def test_a_file_that_is_no_state_is_left_alone(stage: Stage) -> None:
    place = stage.folder / "notes.txt"
    place.write_text("mine\n")

    found = await stage.ran("node", ADDRESS, "--state", place)

    assert (found.code, place.read_text()) == (2, "mine\n")
    assert "is no state of an audit" in " ".join(found.stderr.split())


async def test_an_audit_that_breaks_off_is_gone_on_with(stage: Stage, made: Scene) -> None:
    made.node.breaks_at = TILE_WIDTH
    broken = await stage.ran("node", ADDRESS)
    made.node.breaks_at = None
    found = await stage.ran("node", ADDRESS)

    assert broken.code == 1
    assert "closed without an answer" in " ".join(broken.stderr.split())
    assert found.code == 0
    assert "The first 256 entries were checked by an earlier audit." in found.stdout
    assert list((stage.folder / "state" / "audit").iterdir()) == []  # finished: the next one begins anew


async def test_an_audit_that_fails_is_finished(stage: Stage, made: Scene) -> None:
    made.node.shown = made.node.leaves[:TILE_WIDTH]

    assert (await stage.ran("node", ADDRESS)).code == 1
    assert list((stage.folder / "state" / "audit").iterdir()) == []


async def test_a_checkpoint_that_contradicts_the_chain_is_written_down(stage: Stage, made: Scene) -> None:
    made.node.head = signed(SIZE - 1, Digest(b"\x99" * 32))
    folder = stage.folder / "evidence"
    folder.mkdir()

    found = await stage.ran("node", ADDRESS, "--evidence", folder, "--json")

    assert (found.code, found.json["failed_check"], found.json["fault"]) == (1, 3, "prefix")
    (path,) = folder.iterdir()
    assert found.json["evidence"] == str(path)
    assert isinstance(read_evidence(path).fault, NotAPrefix)
    assert (await stage.ran("slash", path, "--send", "--keystore", stage.keystore())).code == 0


async def test_a_node_that_nobody_knows_exits_1(stage: Stage) -> None:
    found = await stage.ran("node", prefixed(STRANGER.address))

    assert found.code == 1
    assert "--peer" in found.stderr


def test_progress_is_told_in_lines_where_there_is_no_terminal() -> None:
    text, time = StringIO(), Time()
    heard = progress.Lines(Console(file=text), "entries", time)
    for done in range(256, 1537, 256):
        time.now += 2
        heard(done, 10_000)

    with progress.show_progress(Console(file=text), "entries of a node") as lines:
        assert isinstance(lines, progress.Lines)
    assert text.getvalue() == "768 of 10,000 entries\n1,536 of 10,000 entries\n"


def test_progress_is_a_bar_on_a_terminal() -> None:
    text = StringIO()

    with progress.show_progress(
        Console(file=text, force_terminal=True, width=80), f"entries of {ADDRESS[:10]}…"
    ) as heard:
        heard(256, 10_000)

    assert "256/10000" in text.getvalue()
    assert "0x1563915e" in text.getvalue()
