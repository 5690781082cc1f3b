"""A node that starts before it is registered waits for that, but not for ever; it serves what it is told to."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock
from typer.testing import CliRunner

from tallynet.ledger import MemoryLedger
from tallynet.node import program
from tallynet.node.commands import node_app
from tallynet.node.config import NodeConfig
from tallynet.node.program import REGISTRATION_SECONDS, _check_registered
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.units import Wei

NODE, OPERATOR = Key.generate(), Key.generate()


async def test_node_that_nobody_registers_does_not_start(autojump_clock: MockClock) -> None:
    began = trio.current_time()

    with pytest.raises(Misconfigured, match="is not registered"):
        await _check_registered(MemoryLedger(), NODE)

    assert trio.current_time() - began == pytest.approx(REGISTRATION_SECONDS)


async def test_node_that_is_registered_while_it_starts_goes_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ledger = MemoryLedger()

    async def register() -> None:
        await trio.sleep(REGISTRATION_SECONDS / 3)
        await ledger.register(OPERATOR, NODE, Wei(10**18), "/memory")

    nursery.start_soon(register)
    await _check_registered(ledger, NODE)

    assert await ledger.node(NODE.address) is not None


@pytest.mark.parametrize(
    ("options", "served"),
    [((), ["fake:a", "fake:b"]), (("--model", "fake:c", "--model", "openai:http://h/v1#m"), ["fake:c", "openai:http://h/v1#m"])],
    ids=["configured", "named"],
)  # fmt: skip
def test_models_on_the_command_line_take_the_place_of_those_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], served: list[str]
) -> None:
    ran: list[NodeConfig] = []

    async def run(config: NodeConfig, ready: Path | None) -> None:
        await trio.lowlevel.checkpoint()
        ran.append(config)

    monkeypatch.setattr(program, "run_node", run)
    path = tmp_path / "node.toml"
    path.write_text('keystore = "k"\ndata = "d"\nnetwork = "n"\nmodels = ["fake:a", "fake:b"]\n')

    assert CliRunner().invoke(node_app, ["run", "--config", str(path), *options]).exit_code == 0
    assert [model.model for config in ran for model in config.served] == served
