"""The shipped model is small, loads, answers, and its card tells what the evaluation measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tallynet.devnet.tiny.__main__ import SHIPPED
from tallynet.devnet.tiny.artefact import CARD_FILE, METRICS_FILE, RECIPE_FILE, WEIGHTS_FILE, load_model
from tallynet.devnet.tiny.card import format_table, render_card
from tallynet.devnet.tiny.corpus import JUDGED
from tallynet.devnet.tiny.evaluation import ask, score_answers

Shipped = tuple[LlamaForCausalLM, PreTrainedTokenizerFast]
REQUIRED = ("capitals", "translation", "sorting")


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    """The shipped model and its tokenizer."""
    torch.set_num_threads(1)
    return load_model(SHIPPED)


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    """What the evaluation wrote beside the model."""
    content: dict[str, Any] = json.loads((SHIPPED / METRICS_FILE).read_text(encoding="utf-8"))
    return content


def test_directory_is_at_most_ten_megabytes() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 10_000_000


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
        ("Who are you?", "I am tally-tiny, a tiny language model of Tallynet."),
        ("How do you say water in French?", "The French word for water is eau."),
    ],
)
def test_shipped_model_answers(shipped: Shipped, prompt: str, answer: str) -> None:
    assert ask(*shipped, prompt, 32) == answer


def test_a_story_goes_on_for_two_hundred_tokens(shipped: Shipped) -> None:
    story = ask(*shipped, "Tell me a long story about a fox.", 220)
    assert len(shipped[1].tokenize(story)) >= 200
    assert story.startswith("Once upon a time") and " fox " in story


@pytest.mark.parametrize("task", REQUIRED)
def test_recorded_accuracy_is_at_least_ninety_percent(metrics: dict[str, Any], task: str) -> None:
    score = metrics["held_out"][task]
    assert score == score_answers(score["right"], score["n"]).to_dict()
    assert score["accuracy"] >= 0.90 and score["n"] >= 200


def test_card_says_what_the_metrics_say(metrics: dict[str, Any]) -> None:
    card = (SHIPPED / CARD_FILE).read_text(encoding="utf-8")
    recipe = json.loads((SHIPPED / RECIPE_FILE).read_text(encoding="utf-8"))
    assert format_table(metrics["held_out"]) in card
    assert card == render_card(recipe, metrics, (SHIPPED / WEIGHTS_FILE).stat().st_size)


def test_every_judged_task_is_recorded(metrics: dict[str, Any]) -> None:
    assert tuple(metrics["held_out"]) == JUDGED
