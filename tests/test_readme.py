"""What README.md shows is true: its program runs against a real network, its commands and targets exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner

from tallynet.audit.flow_audit import audit_flow_offline
from tallynet.audit.verdict import Verdict
from tallynet.client.flow import parse_definition, run_flow
from tallynet.client.flow.display import shown
from tallynet.console.network_file import write_network
from tallynet.devnet.command import app
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.devnet.world import real_world
from tallynet.engine import open_engine
from tallynet.node.config import NodeConfig
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.flow_file import write_flow
from tests.client.gateway.stage import open_stage

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAM, OPENAI_PROGRAM, PIPELINE_PROGRAM, LANGCHAIN_PROGRAM = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(FLOW,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\.venv/bin/(tallynet .*?)(?:\s+#.*)?$", README, re.MULTILINE)
TARGETS = re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)


async def run_programs(folder: Path, *programs: str) -> list[str]:
    """What programs print that are run, one after the other, beside a real network in `D`."""
    (folder / "D").mkdir()
    engine = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    async with open_devnet(folder / "nodes", world=real_world, engine=lambda: engine) as devnet:
        write_network(folder / "D" / "network.json", devnet.network)
        names = ("TALLYNET_CONFIG", "TALLYNET_STATE")
        paths = os.pathsep.join(str(Path(place).resolve()) for place in sys.path)
        environment = {**{name: str(folder / "user") for name in names}, "PATH": "", "PYTHONPATH": paths}
        printed = []
        for program in programs:
            done = await trio.run_process(
                [sys.executable, "-c", program], cwd=folder, env=environment, capture_stdout=True, stderr=None
            )
            printed.append(done.stdout.decode())
    return printed


async def test_the_python_examples_run_against_a_real_network(tmp_path: Path) -> None:
    answers, words = await run_programs(tmp_path, PROGRAM, PIPELINE_PROGRAM)

    assert "Tokyo" in answers
    assert (tmp_path / "story.tally").read_text().startswith("tallynet-bundle@v2\n")
    assert "word for cat is chat. signed" in words and "word for dog is chien. signed" in words


async def test_the_openai_example_runs_against_a_gateway(tmp_path: Path) -> None:
    engine = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    async with open_stage(tmp_path, engine=lambda: engine) as stage:
        program = OPENAI_PROGRAM.replace("http://127.0.0.1:8000", stage.url)
        done = await trio.run_process(
            [sys.executable, "-c", program], cwd=tmp_path, env={"PATH": ""}, capture_stdout=True, stderr=None
        )
        domain = stage.devnet.network.domain

    assert program != OPENAI_PROGRAM
    assert "Tokyo" in done.stdout.decode()
    results = verify_bundle(read_bundle((tmp_path / "japan.tally").read_text()), domain)
    assert {result.state for result in results} <= {State.OK, State.PENDING}


async def test_the_flow_runs_and_is_proven(tmp_path: Path) -> None:
    engine = await trio.to_thread.run_sync(open_engine, str(DEFAULT_MODEL))
    checked = parse_definition(FLOW.encode())
    (words,) = re.findall(r'--input words="([^"]+)"', README)
    given = {"words": words, "languages": ("French", "German", "Spanish")}
    async with open_devnet(tmp_path / "nodes", engine=lambda: engine) as devnet, devnet.client() as client:
        finished = await run_flow(client, checked.flow, given, state=tmp_path / "state")
        found = audit_flow_offline(write_flow(finished.file), devnet.network.domain)

    assert "```\n" + shown(finished.value) + "\n```" in README
    assert (found.verdict, found.failure) == (Verdict.OK, None)
    assert found.words is not None and found.words.detail == "1 task"


def test_the_readme_has_its_commands() -> None:
    assert len(COMMANDS) == 14
    assert {"demo", "test", "bench"} <= set(TARGETS)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_readme_exists(line: str) -> None:
    words = line.split()[1:]
    path = words[: 2 if words[0] in ("audit", "devnet", "flow", "node") else 1]
    shown = CliRunner().invoke(app, [*path, "--help"])

    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


@pytest.mark.parametrize("target", sorted(set(TARGETS)))
def test_make_target_of_the_readme_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _linked() -> Iterator[str]:
    for text in [ROOT / "README.md", *ROOT.glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", text.read_text()):
            yield str((text.parent / link).relative_to(ROOT) if not link.startswith("../") else (text.parent / link))


@pytest.mark.parametrize("link", sorted(set(_linked())))
def test_linked_file_exists(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_example_configuration_names_every_setting_with_its_default(tmp_path: Path) -> None:
    example = tmp_path / "node.toml"
    example.write_text((ROOT / "node" / "config.example.toml").read_text())
    config = NodeConfig.read(example, {})

    own = {"keystore", "data", "network", "model", "password"}
    for field in fields(NodeConfig):
        if field.name not in own:
            assert getattr(config, field.name) == field.default, field.name
