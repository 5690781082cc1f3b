"""The client without async: from plain threads, asyncio programs and notebooks, and with Ctrl-C."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

from tallynet.client import Client
from tallynet.evaluation.report_checks import check_report
from tallynet.evaluation.suite import Answered, ExactPart, Suite
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidChunk, Misconfigured, NodeUnreachable, Pending
from tallynet.protocol.leaf import Status
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import PIECES, TEXT, ScriptedNode, with_body


def test_answer_in_a_plain_program() -> None:
    with HostedTransport({}).client() as client:
        answer = client.ask("tally-tiny", "Japan?", max_tokens=20)

        assert answer.text == TEXT
        assert [model.name for model in client.models()] == ["tally-tiny"]
        assert len(client.nodes()) == 1


def test_client_works_without_with() -> None:
    client = HostedTransport({}).client()
    try:
        assert client.ask("tally-tiny", "Japan?").text == TEXT
    finally:
        client.close()


def test_stream_in_a_plain_program() -> None:
    with HostedTransport({}).client() as client, client.stream("tally-tiny", "Japan?") as stream:
        pieces = list(stream)

    assert pieces == [body.text for body in PIECES]
    assert stream.answer.text == stream.text == TEXT


def test_errors_come_out_as_they_are() -> None:
    transport = HostedTransport({"change_frame": lambda frame, _: with_body(frame, text="x")})
    with transport.client() as client, pytest.raises(InvalidChunk):
        client.ask("tally-tiny", "Japan?")


def test_answers_in_two_threads_at_once() -> None:
    transport = HostedTransport({"pause": 0.1}, {"pause": 0.1})
    with transport.client() as client, ThreadPoolExecutor(2) as threads:
        began = time.monotonic()
        texts = list(threads.map(lambda _: client.ask("tally-tiny", "Japan?").text, range(2)))

    assert texts == [TEXT, TEXT]
    assert time.monotonic() - began < 10


def test_answer_inside_a_running_asyncio_loop() -> None:
    async def notebook_cell() -> str:
        with HostedTransport({}).client() as client:
            return client.ask("tally-tiny", "Japan?").text

    assert asyncio.run(notebook_cell()) == TEXT


def test_answer_beside_a_running_asyncio_loop() -> None:
    async def program() -> list[str]:
        with HostedTransport({}).client() as client:
            asks = [asyncio.to_thread(client.ask, "tally-tiny", "Japan?") for _ in range(3)]
            return [answer.text for answer in await asyncio.gather(*asks)]

    assert asyncio.run(program()) == [TEXT] * 3


async def test_answer_inside_a_running_trio_loop() -> None:
    with HostedTransport({}).client() as client:
        assert client.ask("tally-tiny", "Japan?").text == TEXT
        answer = await trio.to_thread.run_sync(lambda: client.ask("tally-tiny", "Japan?"))

    assert answer.text == TEXT


def test_leaving_a_stream_early_cancels_the_job() -> None:
    with HostedTransport({"pause": 0.05}).client() as client, client.stream("tally-tiny", "Japan?") as stream:
        next(stream)

    assert stream.answer.status is Status.CANCELLED


def interrupt_once(ready: Callable[[], bool]) -> threading.Thread:
    """Presses Ctrl-C once `ready`."""

    def press() -> None:
        while not ready():
            time.sleep(0.005)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def cancelled(node: ScriptedNode) -> bool:
    return any(run.cancelled for run in list(node.runs.values()))


def test_ctrl_c_cancels_a_question() -> None:
    transport = HostedTransport({"pause": 0.2})
    with transport.client() as client:
        thread = interrupt_once(lambda: bool(transport.nodes[0].runs))
        with pytest.raises(KeyboardInterrupt):
            client.ask("tally-tiny", "Japan?")
        thread.join()

        assert cancelled(transport.nodes[0])
        assert client.ask("tally-tiny", "Japan?").text == TEXT


def test_ctrl_c_cancels_a_stream_and_brings_its_receipt() -> None:
    transport = HostedTransport({"pause": 0.3})
    with transport.client() as client:
        with pytest.raises(KeyboardInterrupt), client.stream("tally-tiny", "Japan?") as stream:
            thread = interrupt_once(lambda: bool(stream.text))
            for _ in stream:
                continue
        thread.join()

    assert cancelled(transport.nodes[0])
    assert stream.answer.status is Status.CANCELLED


def test_closing_ends_what_other_threads_wait_for() -> None:
    transport = HostedTransport({"pause": 60.0})
    client = transport.client()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.ask, "tally-tiny", "Japan?")
        while not transport.nodes[0].runs:
            time.sleep(0.005)
        client.close()
        with pytest.raises(NodeUnreachable, match="closed"):
            asked.result(10)


def test_closed_client_says_so() -> None:
    client = HostedTransport({}).client()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.models()


def test_client_that_cannot_open_says_why_each_time() -> None:
    transport = HostedTransport({})
    transport.nodes.append(transport.nodes[0])
    client = transport.client()
    for _ in range(2):
        with pytest.raises((RuntimeError, ExceptionGroup)):
            client.models()
    client.close()


def test_missing_network_file_is_named() -> None:
    with pytest.raises(Misconfigured, match="missing.json"):
        Client("missing.json")


PROGRAM = """
from tests.client.hosted import HostedTransport
client = HostedTransport({}).client()
print(client.ask("tally-tiny", "Japan?").text)
"""


def test_program_that_never_closes_its_client_ends() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, TEXT + "\n", "")


def test_import_is_light() -> None:
    heavy = "libp2p", "web3", "torch", "transformers", "eth_account"
    program = f"import sys, tallynet.client.commands; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


# --- evaluations -----------------------------------------------------------------------------------------

SUMS = Suite(
    name="sums", version="1", parts=(ExactPart(name="sums", max_tokens=8, items=(Answered("1 + 1 = ?", "2"),) * 2),)
)


def test_a_model_is_evaluated_in_a_plain_program(capsys: pytest.CaptureFixture[str]) -> None:
    transport = HostedTransport({"pieces": (ChunkBody((11,), "2", (-0.5,)),)})
    with transport.client() as client:
        report = client.evaluate("tally-tiny", SUMS, limit=1, at_once=1, progress=True)
        with pytest.raises(Pending):
            client.anchor_report(report, 0)

    assert check_report(report, transport.ledger.domain, lambda _: None).closing.inclusion is None
    assert [(metric.kind, metric.value) for metric in report.evaluation.metrics] == [("exact-match", 1_000_000)]
    assert "Asking" in capsys.readouterr().err


def test_a_suite_that_is_not_there_costs_nothing() -> None:
    transport = HostedTransport({})
    with transport.client() as client, pytest.raises(Misconfigured, match="no suite 'smoky'"):
        client.evaluate("tally-tiny", "smoky")
    assert transport.nodes[0].submits == []
