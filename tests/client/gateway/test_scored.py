"""`/v1/completions` with echo and logprobs, as evaluation harnesses ask; the figures are transformers' own."""

from collections.abc import AsyncIterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.engine.fake import decode, encode
from tallynet.protocol.job import Task
from tests.client.gateway.stage import MODEL, Stage, open_stage

PATH = "/v1/completions"
TEXT = "so the world and the word of the year"
SCORED: dict[str, Any] = {
    "model": MODEL, "prompt": TEXT, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0, "seed": 1234
}  # fmt: skip


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as stage:
        yield stage


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[Stage]:
    """The model that comes with the package, behind the gateway."""
    async with open_stage(tmp_path, engine=partial(open_engine, str(DEFAULT_MODEL))) as stage:
        yield stage


async def ask(stage: Stage, **changes: Any) -> Any:
    answer = await stage.post(PATH, {**SCORED, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()


@cache
def plain() -> tuple[Any, Any]:
    model: Any = AutoModelForCausalLM.from_pretrained(DEFAULT_MODEL, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(DEFAULT_MODEL), model


def plain_logprobs(ids: list[int]) -> torch.Tensor:
    """(length, vocabulary): what transformers itself says after each token, in one pass."""
    with torch.inference_mode():
        logits: torch.Tensor = plain()[1](torch.tensor([ids])).logits[0].float()
    return logits.log_softmax(dim=-1)


def parse(choice: Any, context: int) -> tuple[float, bool]:
    """The sum and the greediness of a continuation, as lm-evaluation-harness reads them off a choice."""
    told = choice["logprobs"]
    logprobs, tops = told["token_logprobs"][context:-1], told["top_logprobs"][context:-1]
    return sum(logprobs), all(own == max(top.values()) for own, top in zip(logprobs, tops, strict=True))


async def test_an_echo_has_every_token_with_its_text_logprob_and_offset(stage: Stage) -> None:
    answer = await ask(stage, logprobs=2)
    (choice,), told = answer["choices"], answer["choices"][0]["logprobs"]
    generated = told["tokens"][-1]

    assert choice["text"] == TEXT + generated == "".join(told["tokens"])
    assert told["tokens"][0] == decode(encode(TEXT)[:1]) and len(told["tokens"]) == len(encode(TEXT)) + 1
    assert (told["token_logprobs"][0], told["top_logprobs"][0]) == (None, None)
    assert [
        choice["text"][at:][: len(token)] for at, token in zip(told["text_offset"], told["tokens"], strict=True)
    ] == (told["tokens"])
    assert generated == max(told["top_logprobs"][-1], key=told["top_logprobs"][-1].get)
    assert all(2 <= len(top) <= 3 for top in told["top_logprobs"][1:])
    assert choice["finish_reason"] == "length"
    assert answer["usage"] == {
        "prompt_tokens": len(encode(TEXT)), "completion_tokens": 1, "total_tokens": len(encode(TEXT)) + 1
    }  # fmt: skip


async def test_without_a_generated_token(stage: Stage) -> None:
    answer = await ask(stage, max_tokens=0, logprobs=0, temperature=None, seed=None)
    told = answer["choices"][0]["logprobs"]

    assert answer["choices"][0]["text"] == TEXT == "".join(told["tokens"])
    assert all(len(top) == 1 for top in told["top_logprobs"][1:]), "the text's own tokens are always told"
    assert answer["usage"]["completion_tokens"] == 0


async def test_every_prompt_is_a_scoring_job_with_its_receipt(stage: Stage) -> None:
    answer = await stage.post(PATH, {**SCORED, "prompt": [TEXT, TEXT + " and so on"]})
    runs = answer.json()["tally"]["runs"]

    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1]
    assert answer.headers["x-tally-job"] == ", ".join(run["job"] for run in runs)
    for run in runs:
        bundle: Any = await stage.receipt(run["job"])
        assert bundle.job.job.task == Task.SCORE


async def test_token_ids_are_scored_as_they_are(stage: Stage) -> None:
    ids, others = list(encode(TEXT)), list(encode("the other words"))
    of_text, of_ids = await ask(stage), await ask(stage, prompt=ids)
    of_both = await ask(stage, prompt=[ids, others])

    assert of_ids["choices"][0]["logprobs"]["token_logprobs"] == of_text["choices"][0]["logprobs"]["token_logprobs"]
    assert of_both["choices"][0]["logprobs"] == of_ids["choices"][0]["logprobs"]
    assert len(of_both["choices"][1]["logprobs"]["tokens"]) == len(others) + 1


async def test_token_ids_are_continued_too(stage: Stage) -> None:
    body = {"model": MODEL, "temperature": 0, "max_tokens": 8}
    of_text = (await stage.post(PATH, {**body, "prompt": TEXT})).json()
    of_ids = (await stage.post(PATH, {**body, "prompt": [list(encode(TEXT))]})).json()

    assert of_ids["choices"][0]["text"] == of_text["choices"][0]["text"] != ""


async def test_openai_client_reads_it(stage: Stage) -> None:
    answer = await stage.openai(
        lambda client: client.completions.create(
            model=MODEL, prompt=TEXT, echo=True, logprobs=1, max_tokens=0, temperature=0
        )
    )
    told: Any = answer.choices[0].logprobs

    assert told.token_logprobs[0] is None and len(told.tokens) == len(told.text_offset) == len(encode(TEXT))


@pytest.mark.parametrize("sent", ["ids", "text"])
async def test_a_harness_gets_the_figures_of_transformers(tiny: Stage, sent: str) -> None:
    """The requests of lm-evaluation-harness's local-completions, by token ids and by texts."""
    tokenizer, _ = plain()
    context, endings = "The capital of France is", (" Paris.", " Rome.")
    ids = [tokenizer.encode(context + ending) for ending in endings]
    prompts: Any = ids if sent == "ids" else [context + ending for ending in endings]
    answer = await ask(tiny, model="tally-tiny", prompt=prompts)

    start, sums = len(tokenizer.encode(context)), []
    for choice, tokens in zip(answer["choices"], ids, strict=True):
        total, greedy = parse(choice, start)
        table = plain_logprobs(tokens)
        places = range(start, len(tokens))
        assert total == pytest.approx(sum(float(table[at - 1, tokens[at]]) for at in places), rel=1e-3, abs=1e-4)
        assert greedy == all(int(table[at - 1].argmax()) == tokens[at] for at in places)
        sums.append(total)
    assert sums[0] > sums[1], "the model knows the capital"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"max_tokens": None}, "unsupported_parameter", "max_tokens"),
        ({"max_tokens": 2}, "unsupported_parameter", "max_tokens"),
        ({"temperature": None, "seed": None}, "unsupported_parameter", "temperature"),
        ({"temperature": 0.5, "seed": None}, "unsupported_parameter", "temperature"),
        ({"stream": True}, "unsupported_parameter", "stream"),
        ({"n": 2}, "unsupported_parameter", "n"),
        ({"logprobs": 6}, "invalid_value", "logprobs"),
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": ["a", 1]}, "invalid_value", "prompt"),
        ({"prompt": [[1], []]}, "invalid_value", "prompt"),
        ({"prompt": [-1]}, "invalid_value", "prompt[0]"),
        ({"prompt": ["a"] * 9}, "invalid_value", "n"),
        ({"tally": {"agreement": {"agree": 1, "among": 1}}}, "invalid_value", "tally.agreement"),
        ({"echo": False}, "unsupported_parameter", "logprobs"),
        ({"echo": False, "logprobs": None, "max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"prompt": [1, 2], "logprobs": None}, "unsupported_parameter", "echo"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(
    stage: Stage, changes: dict[str, Any], code: str, param: str
) -> None:
    error = (await stage.post(PATH, {**SCORED, **changes})).json()["error"]

    assert (error["code"], error["param"]) == (code, param), error


async def test_a_text_of_one_token_has_no_score(stage: Stage) -> None:
    answer = await stage.post(PATH, {**SCORED, "prompt": [65]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
