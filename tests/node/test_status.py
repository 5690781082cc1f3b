"""The node over HTTP: what it tells, what it refuses to, and that it tells no secrets."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.ledger import MemoryLedger
from tallynet.node.anchoring import Anchoring
from tallynet.node.desk import Desk
from tallynet.node.log_desk import LogDesk
from tallynet.node.status import Status, build_app, serve_http
from tallynet.protocol import merkle
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, verify_checkpoint
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.note import read_checkpoint_note, read_key_note
from tallynet.protocol.receipt import Receipt, SignedReceipt, verify_receipt
from tallynet.protocol.tiles import Tile, check_bundle, read_bundle, read_tile
from tallynet.protocol.units import Digest, Seconds, Signature, prefixed
from tests.node.examples import (
    DOMAIN,
    MODEL,
    NODE,
    REQUEST,
    SECRET,
    HeldEngine,
    append,
    clock,
    job_id,
    open_desk,
    valid_leaf,
    valid_submit,
)

SIZE = 5
PASSWORD = "correct horse"


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
async def desk(tmp_path: Path, engine: HeldEngine) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, engine, FakeEngine("parrot"), password=PASSWORD) as desk:
        for number in range(SIZE):
            await append(desk.worker.journal, number)
        yield desk


@pytest.fixture
async def http(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(status_of(desk), log_of(desk))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http:
        yield http


def status_of(desk: Desk) -> Status:
    worker = desk.worker
    anchoring = Anchoring(NODE, MemoryLedger(), worker.journal, desk.metrics, clock, 300.0, 1000)
    return Status(worker.config, NODE, desk.admission.engines, worker.journal, anchoring, desk, clock)


def log_of(desk: Desk) -> LogDesk:
    return LogDesk(NODE, DOMAIN, desk.worker.journal)


async def get(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_healthz(http: httpx.AsyncClient) -> None:
    assert await get(http, "/healthz") == {"status": "ok"}


async def test_healthz_of_a_stopping_node(http: httpx.AsyncClient, desk: Desk) -> None:
    await desk.drain(0.0)

    assert (await http.get("/healthz")).status_code == 503


async def test_status(http: httpx.AsyncClient, desk: Desk) -> None:
    report = await get(http, "/status")

    assert report["node"] == prefixed(NODE.address)
    assert report["peer"] == NODE.peer_id
    assert [(model["name"], model["task"], model["open_jobs"]) for model in report["models"]] == [
        ("fake", "generate", 0), ("parrot", "generate", 0),
    ]  # fmt: skip
    assert report["log"] == {"size": SIZE, "root": desk.worker.journal.tree.root().hex()}
    assert report["jobs"] == {"open": 0, "stopping": False}
    assert report["anchor"] == {"size": 0, "last_error": ""}


async def test_status_tells_of_each_model_what_it_does_now(
    steady_clock: MockClock, http: httpx.AsyncClient, desk: Desk, engine: HeldEngine
) -> None:
    run = await desk.take(valid_submit())
    with trio.fail_after(30):
        while not engine.streams:
            await trio.lowlevel.checkpoint()
    busy, idle = (await get(http, "/status"))["models"]
    engine.go.set()
    await run.ended()

    assert (busy["open_jobs"], busy["running"]) == (1, 1)
    assert (idle["open_jobs"], idle["running"]) == (0, 0)
    assert busy["id"] == prefixed(MODEL) != idle["id"]


async def test_status_tells_of_the_memory(http: httpx.AsyncClient) -> None:
    """The fake has no plan and no process; the node itself has one."""
    report = await get(http, "/status")

    assert report["memory"]["planned_bytes"] == 0
    assert report["memory"]["resident_bytes"] is None or report["memory"]["resident_bytes"] > 10_000_000
    assert report["models"][0]["memory"] == {"planned_bytes": 0, "resident_bytes": None}


async def test_metrics(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f"tallynet_log_size {SIZE}.0" in answer.text
    for model in ("fake", "parrot"):
        assert f'tallynet_jobs_running{{model="{model}"}} 0.0' in answer.text
        assert f'tallynet_tokens_per_second{{model="{model}"}} 1e+06' in answer.text
        assert f'tallynet_memory_planned_bytes{{model="{model}"}} 0.0' in answer.text


async def test_checkpoint(http: httpx.AsyncClient) -> None:
    told = await get(http, "/log/checkpoint")

    checkpoint = Checkpoint(told["size"], Digest(bytes.fromhex(told["root"])))
    signed = SignedCheckpoint(checkpoint, Signature(bytes.fromhex(told["signature"])))
    assert verify_checkpoint(signed, DOMAIN, NODE.address).size == SIZE


async def test_the_checkpoint_is_a_note_that_nobody_caches(http: httpx.AsyncClient) -> None:
    vkey, note = await http.get("/vkey"), await http.get("/checkpoint")

    note_key = read_key_note(vkey.content, DOMAIN, NODE.address)
    assert read_checkpoint_note(note.content, DOMAIN, NODE.address, note_key).checkpoint.size == SIZE
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert note.headers["cache-control"] == "no-cache"


async def test_an_earlier_checkpoint_never_changes(http: httpx.AsyncClient) -> None:
    note = await http.get("/checkpoint/3")

    assert read_checkpoint_note(note.content, DOMAIN, NODE.address).checkpoint.size == 3
    assert note.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_tiles_are_bytes_that_never_change(http: httpx.AsyncClient) -> None:
    tile, bundle = await http.get(f"/tile/0/000.p/{SIZE}"), await http.get(f"/tile/entries/000.p/{SIZE}")

    hashes = read_tile(tile.content, Tile(0, 0, SIZE))
    check_bundle(read_bundle(bundle.content, Tile(None, 0, SIZE)), hashes, Tile(None, 0, SIZE))
    for answer in (tile, bundle):
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_entries(http: httpx.AsyncClient) -> None:
    assert await get(http, "/log/entries?start=1&count=2") == {
        "start": 1,
        "leaves": [valid_leaf(1).pack().hex(), valid_leaf(2).pack().hex()],
    }
    assert len((await get(http, "/log/entries"))["leaves"]) == SIZE
    assert (await get(http, f"/log/entries?start={SIZE}"))["leaves"] == []


async def test_proofs(http: httpx.AsyncClient, desk: Desk) -> None:
    tree = desk.worker.journal.tree

    inclusion = (await get(http, f"/log/inclusion?index=2&size={SIZE}"))["path"]
    consistency = (await get(http, f"/log/consistency?old=3&new={SIZE}"))["path"]

    merkle.verify_inclusion(
        valid_leaf(2).hash, 2, SIZE, [Digest(bytes.fromhex(step)) for step in inclusion], tree.root()
    )
    steps = [Digest(bytes.fromhex(step)) for step in consistency]
    merkle.verify_consistency(3, tree.root(3), SIZE, tree.root(), steps)


@pytest.mark.parametrize("prefix", ["", "0x"])
async def test_receipt(http: httpx.AsyncClient, prefix: str) -> None:
    leaf = valid_leaf(3)

    told = await get(http, f"/log/receipt/{prefix}{leaf.job.hex()}")

    receipt = Receipt(leaf.hash, told["index"], Seconds(told["anchor_by"]), leaf.job)
    signed = SignedReceipt(receipt, bytes.fromhex(told["leaf"]), Signature(bytes.fromhex(told["signature"])))
    assert verify_receipt(signed, DOMAIN, NODE.address).receipt.index == 3


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/log/entries?start=-1", 422),
        ("/log/entries?count=0", 422),
        ("/log/entries?count=1025", 422),
        ("/log/entries?start=1e3", 422),
        (f"/log/entries?start={2**64}", 422),
        ("/log/inclusion", 422),
        (f"/log/inclusion?index={SIZE}&size={SIZE}", 400),
        (f"/log/inclusion?index=0&size={SIZE + 1}", 400),
        (f"/log/consistency?old=0&new={SIZE}", 400),
        ("/log/consistency?old=3&new=2", 400),
        (f"/log/receipt/{'00' * 31}ff", 404),
        ("/log/receipt/00", 400),
        ("/log/receipt/secret", 400),
        (f"/checkpoint/{SIZE + 1}", 404),
        ("/checkpoint/0", 404),
        ("/checkpoint/-1", 404),
        ("/tile/", 404),
        ("/tile/0/000", 404),
        (f"/tile/0/000.p/{SIZE + 1}", 404),
        ("/tile/0/000.p/0", 404),
        ("/tile/..%2f..%2fcheckpoint", 404),
        ("/tile/entries/001.p/1", 404),
        ("/tile/x/000", 404),
        ("/", 404),
        ("/log", 404),
        ("/docs", 404),
    ],
)
async def test_bad_parameters(http: httpx.AsyncClient, path: str, code: int) -> None:
    assert (await http.get(path)).status_code == code


@pytest.mark.parametrize("path", ["/log/entries", "/status", "/checkpoint", "/vkey", "/tile/0/000.p/1", "/healthz"])
async def test_nothing_can_be_written(http: httpx.AsyncClient, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await http.request(method, path)).status_code == 405


async def test_no_secrets_are_told(
    steady_clock: MockClock, http: httpx.AsyncClient, desk: Desk, engine: HeldEngine
) -> None:
    """Neither the key and its password, nor a word of what was asked and answered."""
    engine.go.set()
    run = await desk.take(valid_submit())
    await run.ended()
    job = job_id(valid_submit()).hex()

    paths = [
        "/status", "/metrics", "/checkpoint", "/vkey", "/log/checkpoint", "/log/entries", f"/log/receipt/{job}",
        "/openapi.json", "/healthz",
    ]  # fmt: skip
    told = "".join([(await http.get(path)).text for path in paths])

    assert job in told
    for secret in (NODE.secret.hex(), PASSWORD, SECRET.hex(), REQUEST.messages[0].content):
        assert secret not in told
        assert secret.encode().hex() not in told


async def test_over_a_real_port(desk: Desk) -> None:
    serve = partial(serve_http, "127.0.0.1:0", status_of(desk), log_of(desk))
    async with trio.open_nursery() as nursery:
        url: str = await nursery.start(lambda task_status: serve(task_status=task_status))
        async with httpx.AsyncClient(base_url=url) as http:
            assert await get(http, "/healthz") == {"status": "ok"}
            assert (await get(http, "/status"))["log"]["size"] == SIZE
        nursery.cancel_scope.cancel()


async def test_no_port_when_none_is_wanted(desk: Desk) -> None:
    async with trio.open_nursery() as nursery:
        assert await nursery.start(partial(serve_http, "", status_of(desk), log_of(desk))) == ""


@pytest.mark.parametrize(
    "bind", ["taken", "nonsense", "8080", "127.0.0.1:99999", "127.0.0.1:-1", "256.1.1.1:80", "unix:/socket"]
)
async def test_an_address_that_cannot_be_used(desk: Desk, bind: str) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    if bind == "taken":
        bind = f"127.0.0.1:{listener.socket.getsockname()[1]}"

    async with listener:
        with pytest.raises(Misconfigured, match="cannot be used") as caught:
            await serve_http(bind, status_of(desk), log_of(desk))

    assert bind in str(caught.value)
