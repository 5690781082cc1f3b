"""Every way to be wrong that the corpus holds is found, by the right check and in the right words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.audit.commands import audit_app
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import verify_offline
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.units import Address
from tests.audit.examples import DOMAIN, bundle
from tests.audit.make_corpus import FOLDER, MODULES, reason
from tests.audit.ways import WAYS

FOLDERS = sorted(path for path in FOLDER.iterdir())


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "reason.json").read_text())
    return found


def network(of: dict[str, Any]) -> Domain | None:
    named = of.get("network")
    return Domain(named["chain_id"], Address(bytes.fromhex(named["contract"][2:]))) if named else None


ANYWHERE = [folder for folder in FOLDERS if "network" not in told(folder)]
"""Those that are wrong whatever the network."""


def test_what_the_corpus_starts_from_is_valid() -> None:
    assert verify_offline(write_bundle(bundle()).encode(), DOMAIN).verdict is Verdict.OK


def test_the_committed_folders_are_those_that_the_generator_makes() -> None:
    assert {folder.name for folder in FOLDERS} == set(WAYS)
    for folder in FOLDERS:
        assert {path.name for path in folder.iterdir()} == {"bundle.tally", "reason.json"}
        assert (folder / "bundle.tally").read_bytes() == WAYS[folder.name].data, f"run make corpus: {folder.name}"
        assert (folder / "reason.json").read_text() == reason(WAYS[folder.name]), f"run make corpus: {folder.name}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_is_found_by_the_right_check_in_the_right_words(folder: Path) -> None:
    expected = told(folder)

    found = verify_offline((folder / "bundle.tally").read_bytes(), network(expected))

    assert found.verdict is Verdict.FAILED
    assert found.failure is not None
    assert found.failure.check == expected["check"], found.failure.message
    assert expected["words"] in found.failure.message


@pytest.mark.parametrize("folder", ANYWHERE, ids=lambda folder: folder.name)
def test_the_command_refuses_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYNET_CONFIG", str(tmp_path))

    shown = CliRunner().invoke(audit_app, ["verify", str(folder / "bundle.tally"), "--offline", "--json"])

    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["failed_check"] == told(folder)["check"]


def test_there_are_many_ways_and_each_is_another_one() -> None:
    assert len(FOLDERS) >= 60
    assert len({(folder / "bundle.tally").read_bytes() for folder in ANYWHERE}) == len(ANYWHERE)
    assert len({told(folder)["about"] for folder in FOLDERS}) == len(FOLDERS)


def test_every_check_that_needs_only_the_file_is_tried() -> None:
    tried = Counter(told(folder)["check"] for folder in FOLDERS)

    assert set(tried) == set(range(1, 11))
    assert min(tried.values()) >= 2


def test_every_module_of_ways_is_registered() -> None:
    ways = {way.make.__module__ for way in WAYS.values()}

    assert ways == {module.__name__ for module in MODULES}
