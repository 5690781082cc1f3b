"""Every command of `tallynet` keeps the conventions: help with an example, exit codes, a quick start."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from tallynet.devnet.command import app

HEAVY = {"eth", "eth_account", "fastapi", "hypercorn", "libp2p", "numpy", "torch", "transformers", "web3"}


def command_paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from command_paths(child, (*path, name))


def options_of(path: tuple[str, ...]) -> set[str]:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return {option for parameter in command.params for option in parameter.opts}


PATHS = list(command_paths(typer.main.get_command(app)))
LEAVES = [path for path in PATHS if not any(other[:-1] == path for other in PATHS if other)]


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="tallynet")


def test_the_commands_are_these() -> None:
    assert {("ask",), ("models",), ("nodes",), ("demo",), ("audit", "verify"), ("audit", "node"),
            ("audit", "upgrade"), ("audit", "explain"), ("audit", "export"), ("audit", "open"),
            ("devnet", "up"), ("node", "run")} <= set(LEAVES)  # fmt: skip


@pytest.mark.parametrize("path", [(), *LEAVES], ids=" ".join)
def test_every_help_has_an_example(path: tuple[str, ...]) -> None:
    shown = run(*path, "--help")

    assert shown.exit_code == 0
    assert re.search(r"Example:? +(tallynet|python -m tallynet)", " ".join(shown.output.split()))


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_fits_80_columns(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")

    assert max(map(len, run(*path, "--help").output.splitlines())) <= 80


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_can_be_debugged(path: tuple[str, ...]) -> None:
    assert "--debug" in options_of(path)


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] != "node"], ids=" ".join)
def test_every_command_speaks_json(path: tuple[str, ...]) -> None:
    assert "--json" in options_of(path)


@pytest.mark.parametrize(
    "path",
    [
        ("ask",),
        ("models",),
        ("nodes",),
        ("audit", "verify"),
        ("audit", "upgrade"),
        ("audit", "explain"),
        ("audit", "node"),
    ],
    ids=" ".join,
)
def test_what_needs_a_network_takes_its_file(path: tuple[str, ...]) -> None:
    assert "--network" in options_of(path)


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("ask",), ("models", "--nonsense"), ("devnet", "up", "--nodes", "x"), ()], ids=" ".join
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "--network", "missing.json"),
        ("audit", "verify", "missing.tally", "--offline"),
        ("devnet", "up", "--nodes", "0"),
        ("devnet", "up", "--chain", "nonsense", "--model", "fake"),
    ],
    ids=" ".join,
)
def test_a_missing_file_or_an_impossible_setting_exits_2_and_says_what_to_do(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYNET_DATA", str(tmp_path))

    result = run(*arguments, "--json")

    told = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 2
    assert told["error"]["code"] == "misconfigured"
    assert told["error"]["message"] and told["error"]["remedy"]
    assert "Traceback" not in result.output


def test_the_version_is_told() -> None:
    try:
        version("tallynet")
    except PackageNotFoundError:
        pytest.skip("the package is not installed here, it runs from its source tree")

    shown = run("--version")

    assert shown.exit_code == 0
    assert re.fullmatch(r"tallynet \d+\.\d+\.\d+\n", shown.output)


def test_help_loads_nothing_heavy() -> None:
    program = f"import sys, tallynet.devnet.command; print(sorted({HEAVY!r} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"
