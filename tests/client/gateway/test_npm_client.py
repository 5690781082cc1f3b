"""OpenAI's npm client against the gateway: `make test-node` fetches it and runs this."""

import json
import shutil
from pathlib import Path

import pytest
import trio

from tallynet.engine import FakeEngine, open_engine
from tallynet.protocol.leaf import Leaf, Status
from tests.client.gateway.stage import MODEL, open_stage
from tests.engine.embedders import DIMENSIONS, make_embedder

HERE = Path(__file__).parent / "npm"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="Node.js is not on the PATH: install it, then `make test-node`"),
    pytest.mark.skipif(not (HERE / "node_modules" / "openai").is_dir(), reason="run `make test-node` to fetch openai"),
]


async def test_lists_chats_streams_embeds_is_refused_and_cancels(tmp_path: Path) -> None:
    directory = make_embedder("bert", tmp_path / "bert")
    engines = iter([FakeEngine(tokens_per_second=500, end_every=1_000_000), open_engine(str(directory))])
    async with open_stage(tmp_path, nodes=2, engine=lambda: next(engines)) as stage:
        command = [str(NODE), str(HERE / "talk.mjs"), f"{stage.url}/v1", MODEL, "bert"]
        with trio.fail_after(60):
            done = await trio.run_process(command, capture_stdout=True, stderr=None)
            told = json.loads(done.stdout)
            while (await stage.get(f"/v1/receipts/{told['cancelledJob']}")).status_code != 200:
                await trio.sleep(0.1)
        for job in (told["job"], told["streamedJob"], *told["vectorJobs"]):
            await stage.receipt(job)
        cancelled = Leaf.unpack((await stage.receipt(told["cancelledJob"])).receipt.leaf)

    assert set(told["models"]) == {MODEL, "bert"}
    assert told["answer"] == told["streamed"] != ""
    assert told["usage"] == 32
    assert told["dimensions"] == [DIMENSIONS] * 2
    assert told["lengths"] == pytest.approx([1, 1], abs=1e-2)
    assert told["refused"] == {"status": 400, "code": "unsupported_parameter", "param": "tools"}
    assert cancelled.status is Status.CANCELLED and cancelled.completion_tokens < 4000
