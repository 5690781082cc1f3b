"""The memory plan: what it predicts is what is taken, and no work takes more."""

import logging
import re
import subprocess
from pathlib import Path

import pytest
import torch
import trio

from tallynet.engine import Engine, open_engine, plan
from tallynet.engine.apart import ApartEngine
from tallynet.engine.batch import SlotBatch
from tallynet.engine.hardware import DTYPES, Hardware, free_bytes
from tallynet.engine.packing import PackedLinears
from tallynet.engine.plan import fit_context, plan_memory
from tallynet.engine.weights import load_weights
from tallynet.protocol.errors import Misconfigured
from tests.engine.checkpoints import CONTEXT, FAMILIES
from tests.engine.conftest import Directory
from tests.engine.generations import greedy, read, sampled

CPU = torch.device("cpu")
REQUESTS = 500
ROUND = 50
"""Requests between two looks at the memory."""
WARM_UP = 5
"""In so many rounds the libraries load and compile what they need, and the allocator's arenas reach their size."""
LIBRARY_BYTES = 64_000_000
LEAK_BYTES = 8_000_000
"""A quarter of what the 250 requests after those would take if each left its keys and values behind."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_and_keys_and_values_are_as_large_as_planned(family: str, dtype: str, checkpoint: Directory) -> None:
    hardware = Hardware(CPU, DTYPES[dtype])
    planned = plan_memory(checkpoint(family), hardware, 5, 100)
    model = load_weights(checkpoint(family), hardware)
    batch = SlotBatch(model, planned.slots, planned.context_length)
    with torch.inference_mode():
        batch.join((1, 2, 3))

    assert (planned.slots, planned.context_length) == (5, 100)
    assert planned.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert planned.kv == batch.cache_bytes
    assert planned.packed >= PackedLinears(model).nbytes


def test_context_is_what_the_model_holds_unless_it_is_lowered(checkpoint: Directory) -> None:
    hardware = Hardware(CPU, torch.float32)

    assert plan_memory(checkpoint("llama"), hardware, 1).context_length == CONTEXT
    assert plan_memory(checkpoint("llama"), hardware, 1, 64, None, 99).context_length == 64


def test_plan_that_does_not_fit_is_refused_or_shortened(checkpoint: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, hardware = checkpoint("llama"), Hardware(CPU, torch.float32)
    free = plan_memory(directory, hardware, 4, CONTEXT // 2).total
    monkeypatch.setattr(plan, "free_bytes", lambda device: free)
    monkeypatch.setattr(plan, "LEAST_CONTEXT", CONTEXT // 2)

    assert fit_context(directory, hardware, 4, None, CONTEXT).context_length == CONTEXT // 2
    with pytest.raises(Misconfigured, match=f"4 slots of {CONTEXT} tokens need"):
        fit_context(directory, hardware, 4, CONTEXT)
    with pytest.raises(Misconfigured, match="slots of"):
        fit_context(directory, hardware, 400, None)


def test_directory_without_weights_is_refused(checkpoint: Directory, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((checkpoint("llama") / "config.json").read_bytes())
    with pytest.raises(Misconfigured, match="no safetensors"):
        plan_memory(tmp_path, Hardware(CPU, torch.float32), 1)


@pytest.mark.parametrize(
    "content", [b"", b"not safetensors", b"\xff" * 8, b"\x02" + bytes(7) + b"[]", b"\x07" + bytes(7) + b'{"a":1}']
)
def test_weights_without_a_header_are_refused(content: bytes, checkpoint: Directory, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((checkpoint("llama") / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(Misconfigured, match="cannot be loaded"):
        plan_memory(tmp_path, Hardware(CPU, torch.float32), 1)


def test_planned_and_taken_are_told_at_the_start(checkpoint: Directory, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tallynet.engine"):
        open_engine(str(checkpoint("llama")), slots=2)
    found = re.search(r"keys and values ([\d.]+) MB planned, ([\d.]+) MB there", caplog.text)

    assert found is not None
    assert found[1] == found[2] != "0.0"


def test_free_memory_is_what_the_system_says() -> None:
    free = free_bytes(CPU)

    assert free is None or 10_000_000 < free < 2**50


@pytest.mark.slow
async def test_requests_of_the_longest_size_take_no_more_than_planned(
    checkpoint: Directory, nursery: trio.Nursery
) -> None:
    slots = 16
    planned = plan_memory(checkpoint("llama"), Hardware(CPU, torch.float32), slots)
    engine = open_engine(str(checkpoint("llama")), device="cpu", dtype="float32", slots=slots, apart=True)
    assert isinstance(engine, ApartEngine)
    await nursery.start(engine.run)
    taken = [resident_bytes(engine.pid)]
    for _ in range(REQUESTS // ROUND):
        async with trio.open_nursery() as clients:
            for number in range(ROUND):
                clients.start_soon(ask_for_the_longest, engine, len(taken) * ROUND + number)
        taken.append(resident_bytes(engine.pid))

    assert max(taken) - taken[0] <= planned.workspace + planned.prefixes + LIBRARY_BYTES
    assert max(taken[WARM_UP:]) - taken[WARM_UP] <= LEAK_BYTES


async def ask_for_the_longest(engine: Engine, number: int) -> None:
    prompt = tuple(1 + (number + at) % 300 for at in range(CONTEXT - 8))
    answer = await read(engine, greedy(prompt, 8) if number % 2 else sampled(number, prompt, 8))
    assert answer.finish is not None


def resident_bytes(pid: int) -> int:
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True)
    return int(told.stdout) * 1024
