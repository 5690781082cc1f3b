"""Tokenizer, chat format, answer masks and scores, all without a trained model."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from tallynet.devnet.tiny.__main__ import build_parser, main
from tallynet.devnet.tiny.chat import Message, render_chat
from tallynet.devnet.tiny.evaluation import score_answers
from tallynet.devnet.tiny.tokenizer import VOCABULARY_SIZE, train_tokenizer
from tallynet.devnet.tiny.trainer import IGNORED, PHASES, mark_answers, scale_rate, stack_batch

CHAT: list[Message] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of Cameroon?"},
    {"role": "assistant", "content": "The capital of Cameroon is Yaoundé."},
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer learned from a small part of the corpus."""
    return train_tokenizer(seed=17, texts=4000)


@pytest.mark.parametrize("text", ["Großmutter, œuf & año!", "12 + 7 = 19.", " two  spaces\n\nand lines", "日本 🙂"])
def test_tokenizer_round_trips(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_tokenizer_is_small_and_keeps_digits_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) <= VOCABULARY_SIZE
    assert tokenizer.tokenize("1234") == ["1", "2", "3", "4"]


@pytest.mark.parametrize("prompting", [True, False])
def test_template_equals_the_python_rule(tokenizer: PreTrainedTokenizerFast, prompting: bool) -> None:
    messages = [{"role": message["role"], "content": message["content"]} for message in CHAT]
    templated = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompting)
    assert templated == render_chat(CHAT, add_generation_prompt=prompting)


def test_only_answers_are_targets(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = stack_batch([tokenizer(render_chat(CHAT), add_special_tokens=False)["input_ids"]], tokenizer)
    targets = [token for token in batch.targets[0].tolist() if token != IGNORED]
    assert tokenizer.decode(targets) == "The capital of Cameroon is Yaoundé.</s>"


def test_a_bare_text_is_a_target_throughout() -> None:
    assert mark_answers([1, 5, 6, 2], assistant=9, end=2) == [5, 6, 2, IGNORED]


def test_rate_rises_and_falls() -> None:
    phase = PHASES[0]
    assert scale_rate(0, phase) == pytest.approx(1 / phase.warmup)
    assert scale_rate(phase.warmup, phase) == pytest.approx(1.0)
    assert scale_rate(phase.steps, phase) == pytest.approx(phase.final_fraction)


def test_wilson_interval() -> None:
    score = score_answers(90, 100)
    assert (score.low, score.high) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert score_answers(50, 50).high == 1.0
    assert score_answers(3, 4).accuracy == 0.75


def test_missing_model_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    assert main(["evaluate", "--model", f"{tmp_path}/absent"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "train one with" in message


def test_a_count_below_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--count", "0"])
    assert "is not a whole number above zero" in capsys.readouterr().err


def test_help_shows_an_example() -> None:
    assert "python -m tallynet.devnet.tiny train --out" in build_parser().format_help()
