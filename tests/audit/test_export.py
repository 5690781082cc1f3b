"""`tallynet audit export`: JSON, an in-toto Statement, a link; only of what holds."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tallynet.audit.bundle_json import PREDICATE_TYPE, bundle_as_json, statement_about
from tallynet.protocol.bundle import read_bundle, write_bundle
from tallynet.protocol.bundle_link import read_link
from tallynet.protocol.bundle_openings import open_part
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.units import prefixed
from tests.audit.examples import CHUNKS, NODE, ExampleNode, bundle
from tests.audit.forging import change_chunk, inclusion, whole
from tests.audit.staging import Stage
from tests.audit.suspects import Scene

OUTPUT = Leaf.unpack(bundle().receipt.leaf).output


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, Scene().ledger, monkeypatch)


def test_json_holds_all_that_the_bundle_says(stage: Stage) -> None:
    found = stage.run("export", stage.save("a.tally", bundle()), "--as", "json")

    told = json.loads(found.stdout)
    proof = inclusion(bundle()).proof
    assert found.code == 0
    assert told["format"] == "tallynet-bundle@v2"
    assert (told["node"], told["chain_id"]) == (prefixed(NODE.address), 31337)
    assert told["job"]["id"] == told["receipt"]["job"] == prefixed(bundle().receipt.receipt.job)
    assert (told["job"]["max_price"], told["leaf"]["price"]) == ("1000000", "45")
    assert prefixed(leaf_hash(bytes.fromhex(told["leaf"]["data"][2:]))) == told["receipt"]["leaf"]
    assert told["proof"] == {
        "index": 2,
        "path": [prefixed(part) for part in proof.path],
        "checkpoint": proof.checkpoint,
    }
    assert told["anchor"]["root"] == prefixed(inclusion(bundle()).anchor.root)
    assert told["opening"]["secret"] == prefixed(whole(bundle()).secret)
    assert [chunk["text"] for chunk in told["opening"]["chunks"]] == [body.text for body in CHUNKS]


def test_json_of_a_part_holds_only_the_part() -> None:
    part = replace(bundle(), opening=open_part(bundle().opening, [1], request=True))

    told = json.dumps(bundle_as_json(part), ensure_ascii=False)

    assert " is Tōkyō." in told
    assert "The capital" not in told
    assert whole(bundle()).secret.hex() not in told


def test_json_of_what_is_neither_open_nor_anchored_has_nulls() -> None:
    told = bundle_as_json(ExampleNode().run().closed())

    assert told["opening"] is told["anchor"] is told["proof"] is None


def test_the_statement_is_about_the_output(stage: Stage) -> None:
    found = stage.run("export", stage.save("a.tally", bundle()), "--as", "in-toto", "--json")

    told = found.json
    answer = "The capital is Tōkyō."
    digests = {"tallynetOutputV1": OUTPUT.hex(), "sha256": hashlib.sha256(answer.encode()).hexdigest()}
    assert found.code == 0
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["subject"] == [{"name": "output", "digest": digests}]
    assert told["predicateType"] == PREDICATE_TYPE
    predicate = told["predicate"]
    assert isinstance(predicate, dict)
    assert {"job", "node", "model", "receipt", "anchor", "proof"} <= set(predicate)
    assert predicate["receipt"]["anchorBy"] == bundle().receipt.receipt.anchor_by
    assert predicate["anchor"]["blockHash"] == prefixed(inclusion(bundle()).anchor.block_hash)


def test_the_statement_says_nothing_of_the_conversation() -> None:
    told = json.dumps(statement_about(bundle()), ensure_ascii=False)

    assert "Japan" not in told and "Tōkyō" not in told
    assert whole(bundle()).secret.hex() not in told


def test_an_answer_that_is_not_wholly_open_has_no_digest_to_guess_at() -> None:
    for opening in (None, open_part(bundle().opening, [0, 1])):
        assert statement_about(replace(bundle(), opening=opening))["subject"] == [
            {"name": "output", "digest": {"tallynetOutputV1": OUTPUT.hex()}}
        ]


def test_the_statement_names_the_closed_file(stage: Stage) -> None:
    path, closed = stage.save("a.tally", bundle()), stage.folder / "closed.tally"

    assert stage.run("open", path, "--none", "-o", closed).code == 0

    told = stage.run("export", path, "--as", "in-toto", "--json").json["predicate"]
    assert isinstance(told, dict)
    assert told["bundleSha256"] == hashlib.sha256(closed.read_bytes()).hexdigest()


def test_a_link_holds_the_file(stage: Stage) -> None:
    path = stage.save("a.tally", bundle())

    found, told = stage.run("export", path, "--as", "link"), stage.run("export", path, "--as", "link", "--json")

    assert found.code == told.code == 0
    assert read_link(found.stdout.strip()) == path.read_bytes()
    assert told.json == {"link": found.stdout.strip()}


@pytest.mark.parametrize("offline_command", ["verify", "explain"])
def test_an_exported_link_is_verified_and_explained(stage: Stage, offline_command: str) -> None:
    link = stage.run("export", stage.save("a.tally", bundle()), "--as", "link").stdout.strip()

    found = stage.run(offline_command, link, "--offline")

    assert found.code == 0
    assert "The capital is Tōkyō." in found.stdout


def test_a_link_becomes_a_file_again(stage: Stage) -> None:
    link = stage.run("export", stage.save("a.tally", bundle()), "--as", "link").stdout.strip()
    path = stage.folder / "part.tally"

    assert stage.run("open", link, "--request", "-o", path).code == 0
    assert read_bundle(path.read_bytes()).receipt == bundle().receipt


@pytest.mark.parametrize("form", ["json", "in-toto", "link"])
def test_an_export_goes_to_a_file(stage: Stage, form: str) -> None:
    path, target = stage.save("a.tally", bundle()), stage.folder / "out"

    found = stage.run("export", path, "--as", form, "-o", target, "--json")

    assert found.json == {"as": form, "file": str(target)}
    assert target.read_text() == stage.run("export", path, "--as", form).stdout


@pytest.mark.parametrize("form", ["json", "in-toto", "link"])
def test_what_does_not_hold_is_not_exported(stage: Stage, form: str) -> None:
    broken = change_chunk(bundle(), text="The Capital")

    found = stage.run("export", stage.save("a.tally", broken), "--as", form, "--json")

    assert found.code == 1
    assert isinstance(found.json["error"], dict) and found.json["error"]["code"] == "invalid-bundle"
    assert found.json["error"]["message"].startswith("(7) ")


def test_a_damaged_file_is_not_exported(stage: Stage) -> None:
    path = stage.save("a.tally", bundle())
    path.write_text(path.read_text().replace("anchor 12", "anchor 13"))

    assert stage.run("export", path, "--as", "json").code == 1


def test_an_unknown_form_exits_2(stage: Stage) -> None:
    assert stage.run("export", stage.save("a.tally", bundle()), "--as", "xml").code == 2
    assert stage.run("export", stage.save("a.tally", bundle())).code == 2


def test_a_file_that_is_not_there_exits_2(stage: Stage) -> None:
    assert stage.run("export", stage.folder / "none.tally", "--as", "json").code == 2


def test_a_file_that_cannot_be_written_exits_2(stage: Stage) -> None:
    target = stage.folder / "no" / "out"

    assert stage.run("export", stage.save("a.tally", bundle()), "--as", "json", "-o", target).code == 2


def test_the_text_is_the_same_whatever_is_exported(stage: Stage) -> None:
    path = stage.save("a.tally", bundle())
    for form in ("json", "in-toto", "link"):
        stage.run("export", path, "--as", form)

    assert path.read_text() == write_bundle(bundle())
