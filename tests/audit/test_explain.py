"""`tallynet audit explain`: plain words in 80 columns, and never more than was checked."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.explanation import FAILURES, explain
from tallynet.audit.verify import verify_offline
from tallynet.ledger.memory import MemoryLedger
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_checks import NAMES
from tallynet.protocol.bundle_link import write_link
from tallynet.protocol.bundle_openings import open_part
from tallynet.protocol.units import Digest, Seconds, prefixed
from tests.audit.examples import CLIENT, DOMAIN, NODE, ExampleNode, bundle
from tests.audit.staging import Stage
from tests.audit.suspects import Scene, scene

WORDS_OF_THE_TRADE = ("merkle", "hash", "commitment", "inclusion", "tree", "root", "sha-256", "eip")


@pytest.fixture
async def made() -> Scene:
    """A node that has anchored 3 entries, and has 5 more."""
    return await scene(3)


def _variants() -> dict[str, Bundle]:
    node = ExampleNode()
    long = node.run("x" * 2000 + "\x1b[2J" + "word " * 300)
    return {
        "whole": bundle(),
        "closed": bundle().closed(),
        "part": replace(bundle(), opening=open_part(bundle().opening, [1])),
        "request": replace(bundle(), opening=open_part(bundle().opening, [], request=True)),
        "pending": ExampleNode().run(),
        "made": ExampleNode().run(template=Digest(b"\xab" * 32), documents=(Digest(bytes(32)),) * 2),
        "long": node.anchored(long),
    }


@pytest.mark.parametrize("variant", _variants())
async def test_every_explanation_fits_80_columns_and_needs_no_words_of_the_trade(stage: Stage, variant: str) -> None:
    path = stage.save("a.tally", _variants()[variant])

    for options in ((), ("--offline",)):
        found = await stage.ran("explain", path, *options)

        assert max(map(len, found.stdout.splitlines())) <= 80
        assert not [word for word in WORDS_OF_THE_TRADE if word in found.stdout.lower().split()]
        assert "\x1b" not in found.stdout


async def test_an_anchored_run_is_public(stage: Stage, made: Scene) -> None:
    found = await stage.ran("explain", stage.save("a.tally", made.runs[1]))

    assert found.code == 0
    assert "It was checked just now, also against the public chain, and it holds." in found.words
    assert "asked What is the capital of Japan? answered The capital is Tōkyō." in found.words
    assert "5. It has been public since 2027-01-15 08:00:00 UTC." in found.words
    assert "It stands in the node's log, as entry 1 of 3." in found.words
    assert f"client {prefixed(CLIENT.address)} node {prefixed(NODE.address)}" in found.words
    assert "asked through http://memory.invalid" in found.words
    assert "That the answer is true." in found.words
    assert "That it is public." not in found.words
    assert "That chain and contract" not in found.words


async def test_offline_it_is_not_called_public(stage: Stage) -> None:
    found = await stage.ran("explain", stage.save("a.tally", bundle()), "--offline")

    assert found.code == 0
    assert "All that the file alone can show was checked just now, and it holds." in found.words
    assert "It has been public" not in found.words
    assert "That it is public." in found.words
    assert "Ask the chain as well: tallynet audit explain a.tally --network network.json" in found.words


async def test_what_the_question_was_made_from_is_the_client_s_word(stage: Stage) -> None:
    found = await stage.ran("explain", stage.save("a.tally", _variants()["made"]), "--offline")

    assert "The client said what it made the question from." in found.words
    assert "template abab…abab and 2 passages of documents" in found.words
    assert "Nobody checked" in found.words
    plain = await stage.ran("explain", stage.save("b.tally", bundle()), "--offline")
    assert "made the question from" not in plain.words


async def test_without_a_network_file_the_bundle_alone_is_explained(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALLYNET_NETWORK")

    found = await stage.ran("explain", stage.save("a.tally", bundle()))

    assert found.code == 0
    assert "That chain and contract are the ones you know." in found.words
    assert "trusted nobody's word but the file's own" in found.words


async def test_a_run_that_is_not_anchored_exits_3_and_says_what_to_wait_for(stage: Stage, made: Scene) -> None:
    found = await stage.ran("explain", stage.save("a.tally", made.runs[5]))

    assert found.code == 3
    assert "One thing is still to come." in found.words
    assert "The node promised to keep it, as entry 5 of its log." in found.words
    assert "It stands in the node's log" not in found.words
    assert "Complete the file once the entry is public: tallynet audit upgrade a.tally" in found.words


async def test_a_young_block_may_still_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, ledger = ExampleNode(), MemoryLedger(confirmations=3)
    run = node.run()
    await node.register(ledger)
    await node.anchor(ledger)
    stage = Stage(tmp_path, ledger, monkeypatch)
    stage.nodes.append(node)

    found = await stage.ran("explain", stage.save("a.tally", run))

    assert found.code == 3
    assert "so young that it may still be replaced" in found.words
    assert "It has been public" not in found.words


async def test_a_broken_promise_exits_1_in_plain_words(stage: Stage, made: Scene) -> None:
    run = made.node.run(anchor_by=Seconds(int(made.time.now)))
    made.time.now += 10
    made.ledger.mine()

    found = await stage.ran("explain", stage.save("a.tally", run))

    assert found.code == 1
    assert "This file does NOT hold: do not rely on it." in found.words
    assert "The node broke its promise" in found.words
    assert "What is proven" not in found.stdout


async def test_a_damaged_file_proves_nothing(stage: Stage) -> None:
    path = stage.save("a.tally", bundle())
    path.write_text(path.read_text().replace("anchor 12", "anchor 13"))

    found = await stage.ran("explain", path, "--offline")

    assert found.code == 1
    assert "The file was changed after it was written." in found.words
    assert "What was said" not in found.stdout
    assert "What is proven" not in found.stdout
    assert "By whom" not in found.stdout


async def test_what_is_closed_is_said(stage: Stage) -> None:
    part = replace(bundle(), opening=open_part(bundle().opening, [1]))

    some = await stage.ran("explain", stage.save("a.tally", part), "--offline")
    none = await stage.ran("explain", stage.save("b.tally", bundle().closed()), "--offline")

    assert "answered […] is Tōkyō." in some.words
    assert "What this file keeps closed: the request, chunk 0, prompt tokens and evidence." in some.words
    assert "asked (not open in this file) answered (not open in this file)" in none.words
    assert "The words were sealed." in none.words
    assert "These were the words." not in some.words + none.words


async def test_a_link_is_explained_like_its_file(stage: Stage) -> None:
    link = "https://example.org/" + write_link(write_bundle(bundle()).encode())
    kept = stage.folder / "link.txt"
    kept.write_text(link + "\n")

    given, read = await stage.ran("explain", link, "--offline"), await stage.ran("explain", kept, "--offline")

    assert given.code == read.code == 0
    assert given.words.replace("LINK", "link.txt") == read.words
    assert "The capital is Tōkyō." in given.stdout


async def test_json_tells_the_same(stage: Stage, made: Scene) -> None:
    found = await stage.ran("explain", stage.save("a.tally", made.runs[1]), "--json")

    told = found.json
    assert (told["verdict"], told["level"], told["failed_check"]) == ("ok", "anchored", None)
    assert told["answered"] == "The capital is Tōkyō."
    assert isinstance(told["proven"], list) and len(told["proven"]) == 5
    assert told["parties"] == {
        "client": prefixed(CLIENT.address),
        "node": prefixed(NODE.address),
        "contract": prefixed(DOMAIN.contract),
        "chain": "31337",
    }
    assert told["opened"] == {"whole": True, "request": True, "chunks": [0, 1], "of_chunks": 2}
    assert "What is proven" in found.stderr


async def test_json_of_a_failure_has_the_check(stage: Stage) -> None:
    path = stage.folder / "a.tally"
    path.write_bytes(b"\x00")

    found = await stage.ran("explain", path, "--offline", "--json")

    assert found.code == 1
    assert (found.json["failed_check"], found.json["proven"], found.json["opened"]) == (1, [], None)


def test_every_check_has_its_plain_words() -> None:
    assert set(FAILURES) == set(NAMES)


def test_nothing_is_proven_of_a_bundle_that_fails() -> None:
    broken = write_bundle(bundle()).encode().replace(b"anchor 12", b"anchor 13")

    told = explain(verify_offline(broken), "a.tally")

    assert not told.proven and not told.parties and not told.not_proven
