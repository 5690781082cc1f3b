"""The anchors of a flow's runs, put into its file once the chain has them."""

from dataclasses import replace

import trio

from tallynet.client.client import AsyncClient
from tallynet.protocol.bundle import read_bundle, write_bundle
from tallynet.protocol.errors import Deferred, Refused, Unreachable
from tallynet.protocol.flow_file import FlowFile, StepRun

AT_ONCE = 8


async def anchor_flow(client: AsyncClient, file: FlowFile, seconds: float) -> FlowFile:
    """The file with the anchor of every run that has one within `seconds`; the others stay as they are.

    Raises `InvalidBundle`, `InvalidProof` and `InvalidCheckpoint` when a node has broken its promise.
    """
    until, places = trio.current_time() + seconds, trio.CapacityLimiter(AT_ONCE)
    found: dict[int, StepRun] = {}

    async def work(at: int, run: StepRun) -> None:
        async with places:
            found[at] = await _anchored(client, run, max(until - trio.current_time(), 0.0))

    async with trio.open_nursery() as nursery:
        for at, run in enumerate(file.runs):
            nursery.start_soon(work, at, run)
    return replace(file, runs=tuple(found[at] for at in range(len(file.runs))))


def anchored_runs(file: FlowFile) -> int:
    """How many of its runs have an anchor."""
    return sum(read_bundle(run.bundle).inclusion is not None for run in file.runs)


async def _anchored(client: AsyncClient, run: StepRun, seconds: float) -> StepRun:
    bundle = read_bundle(run.bundle)
    if bundle.inclusion is not None:
        return run
    try:
        found = await client.wait_for_anchor(bundle, seconds)
    except (Deferred, Refused, Unreachable):
        return run
    return replace(run, bundle=write_bundle(found).encode())
