"""`python -m tests.benchmarks.audit_log`: what it costs to audit a whole log, in seconds of one core.

Every entry is a real one: a job with its EIP-712 id, signed by one of many clients. They are made once and kept in
`--folder`, about 15 s for 100,000. The log is served and audited in one process over the network in memory, as a node
serves it; what the serving costs is part of the second figure and not of the first.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import trio
import typer

from tallynet.audit.history import History
from tallynet.audit.node_audit import NodeVerdict, audit_node
from tallynet.console.terminal import DebugOption, JsonOption, command
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import PeerAddress
from tallynet.protocol.job import Job, Sampling
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import LEAF_BYTES, Leaf, Status
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.tiles import TILE_WIDTH
from tallynet.protocol.units import Digest, Milliseconds, ModelId, Wei
from tallynet.protocol.wire import LOG_PROTOCOL
from tests.audit.examples import DOMAIN, STRANGER, ExampleNode

CLIENTS = 1000
ANCHORS = 20
AIM = 10.0
"""Seconds of one core for 100,000 entries."""
MODEL = ModelId(b"\x55" * 32)
SAMPLING = Sampling(64)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of processor time; `wall_seconds` by the clock on the wall."""

    entries: int
    checking: float
    """Entries, signatures and roots alone: `History.extend`."""
    auditing: float
    """`audit_node` with tiles and frames, and the node's side of it."""
    wall_seconds: float


def make_entries(count: int, clients: int = CLIENTS) -> list[bytes]:
    """Packed leaves of `count` jobs, each signed by its client."""
    keys = [Key((number + 1).to_bytes(32, "big")) for number in range(clients)]
    model, params = Digest(bytes(MODEL)), SAMPLING.digest
    blank = Leaf(
        job=Job(keys[0].address, MODEL, model, SAMPLING, Milliseconds(0), Wei(0), model).id(DOMAIN),
        client=keys[0].address,
        model=MODEL,
        runtime=Digest(b"\x66" * 32),
        params=params,
        request=model,
        output=Digest(b"\x77" * 32),
        prompt_tokens=16,
        completion_tokens=32,
        price=Wei(32),
        started=Milliseconds(1_767_225_600_000),
        ended=Milliseconds(1_767_225_600_400),
        status=Status.EOS,
        trace=Digest(b"\x88" * 32),
        client_signature=keys[0].sign(model),
    )
    return [_entry(blank, keys[number % clients], number) for number in range(count)]


def _entry(blank: Leaf, key: Key, number: int) -> bytes:
    nonce = Digest(number.to_bytes(32, "big"))
    job = Job(key.address, MODEL, blank.request, SAMPLING, Milliseconds(2**52), Wei(10**6), nonce).id(DOMAIN)
    return replace(blank, job=job, client=key.address, client_signature=key.sign(Digest(job))).pack()


def kept_entries(folder: Path, count: int) -> list[bytes]:
    """The entries in `folder`, made now if they are not there."""
    path = folder / f"entries-{count}"
    if not path.exists() or path.stat().st_size != count * LEAF_BYTES:
        path.write_bytes(b"".join(make_entries(count)))
    data = path.read_bytes()
    return [data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)]


async def measure_audit(entries: list[bytes], anchors: int = ANCHORS) -> Cost:
    """Audit a log of these entries, anchored at `anchors` sizes."""
    ledger, node = MemoryLedger(), ExampleNode()
    await node.register(ledger)
    step = max(1, len(entries) // anchors)
    for start in range(0, len(entries), step):
        node.leaves += entries[start : start + step]
        node.tree.extend(map(leaf_hash, entries[start : start + step]))
        await node.anchor(ledger)
    checking = _check(entries, History(await ledger.anchors(node.key.address)))
    network = MemoryNetwork()
    server, auditor = MemoryTransport(network, node.key), MemoryTransport(network, STRANGER.peer_id, listen=False)
    server.serve(LOG_PROTOCOL, node.serve)
    async with server.run(), auditor.run():
        found = await audit_node(auditor, ledger, node.key.address, PeerAddress(server.peer, server.addresses))
    if found.verdict is not NodeVerdict.PASS:
        raise RuntimeError(found.reason)
    return Cost(len(entries), checking, found.cpu_seconds, found.seconds)


def _check(entries: list[bytes], history: History) -> float:
    begun = time.process_time()
    for start in range(0, len(entries), TILE_WIDTH):
        history.extend(entries[start : start + TILE_WIDTH])
    return time.process_time() - begun


def main(
    entries: Annotated[int, typer.Option(min=1, help="Entries of the log.")] = 100_000,
    folder: Annotated[Path | None, typer.Option(help="Where the entries are kept. Default: nowhere.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure what an audit costs.

    Example: python -m tests.benchmarks.audit_log --folder /tmp
    """
    with command(as_json=json, debug=debug) as terminal, tempfile.TemporaryDirectory() as temporary:
        most = AIM * entries / 100_000
        cost = trio.run(measure_audit, kept_entries(folder or Path(temporary), entries))
        terminal.out.print(
            f"{entries:,} entries: {cost.checking:.2f} s of one core for the checks, {cost.auditing:.2f} s for the "
            f"whole audit with the serving of it, {cost.wall_seconds:.2f} s on the clock; aim ≤ {most:g} s"
        )
        terminal.result(
            {
                "entries": entries,
                "checking_cpu_seconds": round(cost.checking, 3),
                "audit_cpu_seconds": round(cost.auditing, 3),
                "wall_seconds": round(cost.wall_seconds, 3),
                "met": cost.auditing <= most,
            }
        )


if __name__ == "__main__":
    typer.run(main)
