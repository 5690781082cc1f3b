"""`tallynet audit open`: some of a conversation passed on, the rest kept, all of it still proven."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_openings import open_part
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.commitment import chunk_salt
from tests.audit.examples import ExampleNode, bundle
from tests.audit.forging import change_chunk, whole
from tests.audit.staging import Stage
from tests.audit.suspects import Scene


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, Scene().ledger, monkeypatch)


def test_chosen_chunks_are_opened_and_verify(stage: Stage) -> None:
    node = ExampleNode()
    run = node.run(chunks=[ChunkBody((number,), f"<{number}>", (-1.0,)) for number in range(9)])
    path, part = stage.save("a.tally", node.anchored(run)), stage.folder / "part.tally"

    written = stage.run("open", path, "--chunk", 0, "--chunk", 5, "--chunk", 6, "-o", part)
    found = stage.run("verify", part, "--offline")

    assert written.code == found.code == 0
    assert "open chunks 0, 5–6 closed the request, chunks 1–4, 7–8, prompt tokens and evidence" in written.words
    assert "  answered  <0>[…]<5><6>[…]\n" in found.stdout
    assert "  opened    chunks 0, 5–6\n" in found.stdout
    assert "  closed    the request, chunks 1–4, 7–8, prompt tokens and evidence\n" in found.stdout
    assert " (7) ✓ the answer opens its commitment        3 of 9 chunks opened" in found.stdout
    assert " (5) – the request opens its commitment       the text is not in this file" in found.stdout


def test_the_request_is_opened_alone_and_verifies(stage: Stage) -> None:
    part = stage.folder / "part.tally"

    written = stage.run("open", stage.save("a.tally", bundle()), "--request", "-o", part, "--json")
    found = stage.run("verify", part, "--offline", "--json")

    opened = {"whole": False, "request": True, "chunks": [], "of_chunks": None}
    assert written.json == {"file": str(part), "opened": opened}
    assert found.code == 0
    assert isinstance(found.json["run"], dict) and found.json["run"]["opened"] == opened


def test_nothing_is_opened(stage: Stage) -> None:
    closed = stage.folder / "closed.tally"

    written = stage.run("open", stage.save("a.tally", bundle()), "--none", "-o", closed)
    found = stage.run("verify", closed, "--offline")

    assert written.code == found.code == 0
    assert read_bundle(closed.read_bytes()) == bundle().closed()
    assert "  opened    nothing\n" in found.stdout
    assert "  closed    the request, the answer, prompt tokens and evidence\n" in found.stdout


def test_what_is_kept_is_in_no_byte_of_the_new_file(stage: Stage) -> None:
    part = stage.folder / "part.tally"

    stage.run("open", stage.save("a.tally", bundle()), "--chunk", 1, "-o", part)

    held = values_of(part.read_bytes())
    kept = (whole(bundle()).secret, whole(bundle()).request, b"The capital", chunk_salt(whole(bundle()).secret, 0))
    assert any(" is Tōkyō.".encode() in data for data in held)
    assert not [secret for secret in kept for data in held if secret in data]


def values_of(text: bytes) -> list[bytes]:
    """What the lines from `leaf` to the last before the proof hold."""
    header, _, _ = text.partition(b"\n\n")
    lines = header[header.index(b"\nleaf ") + 1 :].split(b"\n")
    return [b64decode(line.split(b" ")[-1], validate=True) for line in lines]


def test_a_part_of_a_part_is_opened(stage: Stage) -> None:
    some, less = stage.folder / "some.tally", stage.folder / "less.tally"
    stage.run("open", stage.save("a.tally", bundle()), "--chunk", 1, "--request", "-o", some)

    assert stage.run("open", some, "--chunk", 1, "-o", less).code == 0
    assert read_bundle(less.read_bytes()).opening == open_part(bundle().opening, [1])


def test_what_is_not_open_cannot_be_opened(stage: Stage) -> None:
    some, more = stage.folder / "some.tally", stage.folder / "more.tally"
    stage.run("open", stage.save("a.tally", bundle()), "--chunk", 1, "-o", some)

    for chosen in (("--chunk", 0), ("--request",), ("--chunk", 7)):
        found = stage.run("open", some, *chosen, "-o", more)

        assert found.code == 2
        assert "not open in this file" in " ".join(found.stderr.split())
    assert not more.exists()


@pytest.mark.parametrize("chosen", [(), ("--none", "--request"), ("--none", "--chunk", 0), ("--chunk", -1)])
def test_a_choice_that_is_none_exits_2(stage: Stage, chosen: tuple[str | int, ...]) -> None:
    target = stage.folder / "b.tally"

    assert stage.run("open", stage.save("a.tally", bundle()), *chosen, "-o", target).code == 2
    assert not target.exists()


def test_the_only_copy_of_a_text_is_not_replaced(stage: Stage) -> None:
    path = stage.save("a.tally", bundle())
    link = stage.folder / "b.tally"
    link.symlink_to(path)

    for target in (path, link):
        found = stage.run("open", path, "--none", "-o", target)

        assert found.code == 2
        assert "would be replaced by a file that opens less" in " ".join(found.stderr.split())
    assert read_bundle(path.read_bytes()) == bundle()


def test_without_a_target_it_exits_2(stage: Stage) -> None:
    assert stage.run("open", stage.save("a.tally", bundle()), "--none").code == 2


def test_what_does_not_hold_is_not_opened(stage: Stage) -> None:
    target = stage.folder / "b.tally"
    broken = change_chunk(bundle(), text="The Capital")

    found = stage.run("open", stage.save("a.tally", broken), "--chunk", 1, "-o", target, "--json")

    assert found.code == 1
    assert isinstance(found.json["error"], dict) and found.json["error"]["message"].startswith("(7) ")
    assert not target.exists()


def test_a_run_that_is_not_anchored_yet_can_be_opened_in_part(stage: Stage) -> None:
    part = stage.folder / "part.tally"
    pending = replace(bundle(), inclusion=None)

    assert stage.run("open", stage.save("a.tally", pending), "--chunk", 0, "-o", part).code == 0
    assert stage.run("verify", part, "--offline").code == 3


def test_the_new_file_is_the_owner_s_alone(stage: Stage) -> None:
    part = stage.folder / "part.tally"

    stage.run("open", stage.save("a.tally", bundle()), "--request", "-o", part)

    assert part.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_exits_2(stage: Stage) -> None:
    target = stage.folder / "no" / "b.tally"

    found = stage.run("open", stage.save("a.tally", bundle()), "--none", "-o", target, "--json")

    assert found.code == 2
    assert isinstance(found.json["error"], dict) and "cannot be written" in found.json["error"]["message"]
