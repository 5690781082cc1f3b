"""Tools stand in the prompt: a replay makes it again from the request, and finds the node that left them out."""

from functools import partial
from pathlib import Path
from typing import Any

from tallynet.audit.replay import Bench, Terms
from tallynet.audit.thresholds import read_thresholds
from tallynet.devnet.fixture import open_devnet
from tallynet.engine import Engine, open_engine
from tallynet.engine.checkpoint import Checkpoint
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.model import TransformersEngine
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.request import Request
from tallynet.protocol.units import TokenIds
from tests.engine.checkpoints import make_checkpoint
from tests.engine.test_tokenizer import TOOL_TEMPLATE

TOOL = {"type": "function", "function": {"name": "w"}}
SHORT = TOOL_TEMPLATE.replace("{{ tool | tojson }}", "{{ tool.function | tojson }}")
"""The model holds 128 tokens."""
OPTIONS: dict[str, Any] = {"tools": [TOOL], "max_tokens": 12, "temperature": 1.0}


def make_model(folder: Path) -> Path:
    return make_checkpoint("llama", folder / "tooled", chat_template=SHORT)


class Forgetful(TransformersEngine):
    """Leaves the tools out of the prompt."""

    async def _encode(self, request: Request) -> TokenIds:
        return await super()._encode(Request(messages=request.messages))


async def ask(folder: Path, engine: Any) -> Bundle:
    async with open_devnet(folder, engine=engine) as devnet, devnet.client() as client:
        return (await client.ask("tooled", "hi", **OPTIONS)).bundle()


def verdict(bundle: Bundle, model: Path) -> tuple[str, str]:
    judgement = Bench(model, read_thresholds(), Terms(device="cpu")).replay(bundle, lambda said: None).judgement
    return str(judgement.verdict), judgement.reason


async def test_honest_run_with_tools_passes_and_one_without_them_fails(tmp_path: Path) -> None:
    model = make_model(tmp_path)

    def forgetful() -> Engine:
        return Forgetful(Checkpoint("tooled", model), choose_hardware("cpu", "float32"), slots=2)

    honest = await ask(tmp_path / "one", partial(open_engine, str(model), slots=2))
    without = await ask(tmp_path / "other", forgetful)

    assert verdict(honest, model)[0] == "pass"
    assert verdict(without, model) == ("fail", "(1) the prompt is not that of the request")
