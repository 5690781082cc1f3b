"""lm-evaluation-harness against the gateway: its figures are those of transformers' own single passes."""

import json
import math
import os
import re
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trio

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tests.client.gateway.stage import open_stage
from tests.client.gateway.test_scored import plain, plain_logprobs

pytestmark = [
    pytest.mark.lmeval,
    pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is an extra: make test-lm-eval"),
]

HARNESS = Path(__file__).with_name("harness")
TASKS = "tally_stories,tally_capitals"
LONGEST = 32
"""Tokens that the harness sends at a time: some texts take two windows."""


def evaluate(url: str, folder: Path) -> dict[str, Any]:
    """Run the harness as its users do; the results of its tasks."""
    told = f"model=tally-tiny,base_url={url}/v1/completions,tokenizer={DEFAULT_MODEL},max_length={LONGEST + 1}"
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "local-completions",
        "--model_args", f"{told},tokenizer_backend=huggingface", "--tasks", TASKS, "--include_path", str(HARNESS),
        "--batch_size", "4", "--output_path", str(folder / "results"),
    ]  # fmt: skip
    offline = {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    ran = subprocess.run(
        command, cwd=HARNESS, env={**os.environ, **offline}, capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    (written,) = (folder / "results").rglob("results*.json")
    results: dict[str, Any] = json.loads(written.read_text())["results"]
    return results


def documents(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HARNESS / f"{name}.jsonl").read_text().splitlines()]


def rolling(text: str) -> float:
    """The log-probability of a text, read in windows as the harness reads it: each begins with what the one before
    ended with, the first with the tokenizer's first token."""
    tokenizer = plain()[0]
    ids, total = tokenizer.encode(text, add_special_tokens=False), 0.0
    longest = LONGEST - 1
    for start in range(0, len(ids), longest):
        part = ids[start : start + longest]
        room = longest + 1 - len(part) if start else 1
        before = ids[start - room : start] if start else [tokenizer.bos_token_id]
        table = plain_logprobs([*before, *part])
        total += sum(float(table[len(before) - 1 + at, token]) for at, token in enumerate(part))
    return total


def choose(document: dict[str, Any]) -> int:
    """The ending that transformers finds likeliest."""
    tokenizer = plain()[0]
    context = f"The capital of {document['country']} is"
    sums = []
    for ending in document["capitals"]:
        ids, start = tokenizer.encode(f"{context} {ending}"), len(tokenizer.encode(context))
        table = plain_logprobs(ids)
        sums.append(sum(float(table[at - 1, ids[at]]) for at in range(start, len(ids))))
    return sums.index(max(sums))


async def test_perplexity_and_multiple_choice_are_those_of_transformers(tmp_path: Path) -> None:
    async with open_stage(tmp_path, engine=partial(open_engine, str(DEFAULT_MODEL))) as stage:
        results = await trio.to_thread.run_sync(evaluate, stage.url, tmp_path)

    texts = [document["text"] for document in documents("stories")]
    total = sum(rolling(text) for text in texts)
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    size = sum(len(text.encode()) for text in texts)
    stories, capitals = results["tally_stories"], results["tally_capitals"]
    assert stories["word_perplexity,none"] == pytest.approx(math.exp(-total / words), rel=1e-3)
    assert stories["byte_perplexity,none"] == pytest.approx(math.exp(-total / size), rel=1e-3)
    assert stories["bits_per_byte,none"] == pytest.approx(-total / size / math.log(2), rel=1e-3)

    right = [choose(document) == document["answer"] for document in documents("capitals")]
    assert capitals["acc,none"] == pytest.approx(sum(right) / len(right))
    assert sum(right) >= 4, "the model knows these capitals"
