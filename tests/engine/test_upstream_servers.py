"""The upstream engine in front of real servers, which these tests start themselves: `make test-upstream`.

They need an interpreter with the server in it, named by TALLYNET_UPSTREAM_PYTHON where it is not the tests' own.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trio

import tallynet.devnet
from tallynet.devnet.fixture import open_devnet
from tallynet.engine import Engine, Finish, Generation, open_engine
from tallynet.engine.engine import check_sampling
from tallynet.engine.upstream import UpstreamEngine
from tallynet.protocol.bundle_checks import State, verify_bundle
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Message, Request
from tests.engine.generations import MILLION, Read, read, seed

pytestmark = [pytest.mark.upstream, pytest.mark.timeout(600)]

PYTHON = os.environ.get("TALLYNET_UPSTREAM_PYTHON", sys.executable)
TINY = Path(tallynet.devnet.__file__).parent / "models" / "tally-tiny"
START_SECONDS = 240
QUESTION = Request(messages=(Message("user", "What is the capital of Japan?"),))


def need(*modules: str) -> None:
    """Skip unless the interpreter has them all."""
    found = subprocess.run([PYTHON, "-c", f"import {', '.join(modules)}"], capture_output=True, text=True)
    if found.returncode:
        lines = found.stderr.strip().splitlines()
        pytest.skip(f"{PYTHON} has not all of {', '.join(modules)}: {lines[-1] if lines else 'no reason given'}")


@contextmanager
def served(command: list[str], folder: Path, ready: str) -> Iterator[int]:
    """A server that answers GET `ready` with 200; its port. It ends with the block."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log, stderr=log, env=environment, cwd=folder,
        )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}{ready}", process, folder / "server.log")
        yield port
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    with httpx.Client(trust_env=False) as client:
        for _ in range(2 * START_SECONDS):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                if client.get(url, timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # not yet
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """transformers' own server with the model that comes along."""
    need("transformers", "fastapi", "uvicorn", "openai", "accelerate")
    command = ["transformers.cli.transformers", "serve", str(TINY), "--device", "cpu"]
    with served(command, tmp_path_factory.mktemp("serve"), "/health") as port:
        yield f"openai:http://127.0.0.1:{port}/v1#{TINY}"


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's server for Python with a tiny Llama of random weights."""
    need("llama_cpp.server.app", "gguf", "uvicorn")
    folder = tmp_path_factory.mktemp("llama-cpp")
    subprocess.run([PYTHON, str(Path(__file__).with_name("gguf_model.py")), str(folder / "tiny.gguf")], check=True)
    command = ["llama_cpp.server", "--model", str(folder / "tiny.gguf"), "--model_alias", "tiny-gguf"]
    with served([*command, "--n_ctx", "512", "--n_threads", "1"], folder, "/v1/models") as port:
        yield f"openai:http://127.0.0.1:{port}/v1#tiny-gguf"


async def ask(engine: Engine, request: Request, sampling: Sampling, number: int = 1) -> Read:
    return await read(engine, Generation(await engine.tokenize(request), sampling, seed(number)))


async def open_and_run(spec: str, nursery: trio.Nursery) -> UpstreamEngine:
    engine = await trio.to_thread.run_sync(open_engine, spec)
    assert isinstance(engine, UpstreamEngine)
    await nursery.start(engine.run)
    return engine


async def test_transformers_serve_answers_through_the_engine(transformers_serve: str, nursery: trio.Nursery) -> None:
    engine = await open_and_run(transformers_serve, nursery)

    answer = await ask(engine, QUESTION, Sampling(32))
    cut = await ask(engine, QUESTION, Sampling(3))
    stopped = await ask(engine, QUESTION, Sampling(32, stop=("Tok",)))
    text = await ask(engine, Request(text="Once upon a time"), Sampling(6))

    assert (answer.text, answer.finish) == ("The capital of Japan is Tokyo.", Finish.EOS)
    assert (len(cut.tokens), cut.finish) == (3, Finish.LENGTH)
    assert (stopped.text, stopped.finish) == ("The capital of Japan is ", Finish.STOP)
    assert 1 <= len(text.tokens) <= 6 and text.text
    assert engine.info.evidence == "signature-only"
    with pytest.raises(InvalidJob, match="top_k"):
        check_sampling(Sampling(1, top_k=5), engine.info)


async def test_llama_cpp_answers_through_the_engine(llama_cpp: str, nursery: trio.Nursery) -> None:
    engine = await open_and_run(llama_cpp, nursery)

    first = await ask(engine, QUESTION, Sampling(24))
    hot = [await ask(engine, QUESTION, Sampling(24, MILLION), number) for number in (2**250, 2**251)]
    text = await ask(engine, Request(text="the"), Sampling(24))

    assert 1 <= len(first.tokens) <= 24 and first.text
    assert hot[0].text != hot[1].text
    assert first.text == (await ask(engine, QUESTION, Sampling(24))).text
    assert 1 <= len(text.tokens) <= 24
    assert engine.info.unheeded == ()
    assert json.loads(engine.info.environment)["engine"] == "upstream"


@pytest.mark.parametrize("server", ["transformers_serve", "llama_cpp"])
async def test_a_job_over_the_network_ends_in_a_receipt_that_verifies(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    spec = str(request.getfixturevalue(server))
    async with open_devnet(tmp_path, engine=lambda: open_engine(spec)) as devnet, devnet.client() as client:
        (model,) = await client.models()
        answer = await client.ask(model.name, "What is the capital of Japan?", max_tokens=24)
        bundle = await client.wait_for_anchor(answer.bundle(), 60)

    assert model.evidence == "signature-only"
    assert answer.text and answer.status.finished
    assert all(result.state is State.OK for result in verify_bundle(bundle, devnet.ledger.domain))


async def test_leaving_early_frees_the_server(transformers_serve: str, nursery: trio.Nursery) -> None:
    engine = await open_and_run(transformers_serve, nursery)
    prompt = await engine.tokenize(QUESTION)

    async with engine.stream(Generation(prompt, Sampling(400), seed(1))) as pieces:
        await anext(pieces)
    answer = await ask(engine, QUESTION, Sampling(32))

    assert answer.text == "The capital of Japan is Tokyo."
    assert engine.load().running == 0
