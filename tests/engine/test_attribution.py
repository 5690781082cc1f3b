"""What made an answer likely: weights that add up, and on a model that knows capitals the words that carry them."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine.attribution import Attribution, Attributor, Method
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.replay import Replayer
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.request import Message, Request
from tallynet.protocol.units import TokenIds
from tests.engine.conftest import Directory
from tests.engine.translators import make_translator

COUNTRIES = ("France", "Japan", "Poland", "Germany", "Iceland")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models as small as these get slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def tiny() -> Attributor:
    return Attributor(Replayer(DEFAULT_MODEL, choose_hardware("cpu", "float32")))


@cache
def asked(country: str) -> tuple[TokenIds, TokenIds]:
    """The prompt and the greedy answer, without its end token."""
    replayer = tiny()._replayer
    prompt = replayer.encode(Request(messages=(Message("user", f"What is the capital of {country}?"),)))
    ids = torch.tensor([prompt])
    model: Any = replayer.model
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
    answer = written[0, len(prompt) :].tolist()
    return prompt, tuple(token for token in answer if token not in replayer.ends)


def attribute(country: str, method: Method, **options: Any) -> Attribution:
    prompt, answer = asked(country)
    return tiny().attribute(prompt, answer, method=method, **options)


@pytest.mark.parametrize("country", COUNTRIES)
@pytest.mark.parametrize("method", Method)
def test_of_all_words_what_is_said_of_a_country_hangs_most_on_the_country(country: str, method: Method) -> None:
    """Of the whole answer, which begins with "The capital of", " capital" carries as much."""
    prompt, answer = asked(country)
    assert tiny()._replayer.decode(answer[:3]) == "The capital of"
    weights = attribute(country, method, first=3).weights
    words = [
        (weight, text.strip()) for weight, text in zip(weights, tiny().texts(prompt), strict=True) if text[0] != "<"
    ]
    heaviest = max(words)[1]

    assert heaviest and heaviest in country


@pytest.mark.parametrize("country", COUNTRIES[:2])
def test_integrated_weights_add_up_to_what_the_prompt_did(country: str) -> None:
    found = attribute(country, Method.INTEGRATED)

    assert found.total - found.without > 10, "without the prompt the answer is unlikely"
    assert abs(found.gap) < 0.01 * (found.total - found.without)
    assert sum(found.weights) == pytest.approx(found.total - found.without, rel=0.01)


def test_more_steps_leave_a_smaller_gap() -> None:
    gaps = [abs(attribute("France", Method.INTEGRATED, steps=steps).gap) for steps in (1, 4, 64)]

    assert gaps[0] > gaps[1] > gaps[2]


def test_what_a_token_is_left_out_for_is_what_is_lost() -> None:
    """Computed again by hand, through the model's embeddings alone."""
    prompt, answer = asked("France")
    found = attribute("France", Method.LEAVE_OUT)
    model: Any = tiny()._replayer.model
    embeddings = model.get_input_embeddings()
    place = 5
    with torch.no_grad():
        inputs = embeddings(torch.tensor([[*prompt, *answer[:-1]]])).clone()
        inputs[0, place] = embeddings.weight.mean(dim=0)
        table = model(inputs_embeds=inputs).logits[0].log_softmax(dim=-1)
    rows = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
    lost = sum(float(table[row, token]) for row, token in zip(rows, answer, strict=True))

    assert found.weights[place] == pytest.approx(found.total - lost, abs=1e-3)


def test_one_token_of_the_answer_alone() -> None:
    prompt, answer = asked("Japan")
    each = [
        tiny().attribute(prompt, answer, first=at, last=at + 1, method=Method.INTEGRATED, steps=4)
        for at in range(len(answer))
    ]
    whole = attribute("Japan", Method.INTEGRATED, steps=4)

    assert sum(one.total for one in each) == pytest.approx(whole.total, abs=1e-3)
    assert [sum(weights) for weights in zip(*(one.weights for one in each), strict=True)] == (
        pytest.approx(whole.weights, abs=1e-3)
    )


def test_control_tokens_stand_there_by_their_number() -> None:
    texts = tiny().texts(asked("France")[0])

    assert texts[0].startswith("<") and texts[0].endswith(">")
    assert "".join(text for text in texts if not text.startswith("<")) == "What is the capital of France?"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_other_families(checkpoint: Directory, family: str) -> None:
    attributor = Attributor(Replayer(checkpoint(family), choose_hardware("cpu", "float32")))
    found = attributor.attribute((40, 41, 42, 43), (50, 60), method=Method.INTEGRATED, steps=256)

    assert len(found.weights) == 4
    assert sum(found.weights) == pytest.approx(found.total - found.without, abs=0.1)


@pytest.mark.parametrize(
    ("prompt", "answer", "span"),
    [((), (1,), (0, 1)), ((1,), (), (0, 0)), ((1,), (2,), (1, 2)), ((1,), (2,), (0, 2)), ((1,), (10**6,), (0, 1))],
)
def test_what_cannot_be_attributed_is_said_so(prompt: TokenIds, answer: TokenIds, span: tuple[int, int]) -> None:
    with pytest.raises(Misconfigured):
        tiny().attribute(prompt, answer, first=span[0], last=span[1], method=Method.INTEGRATED)


def test_a_long_prompt_is_not_left_out_token_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallynet.engine.attribution.MOST_LEFT_OUT", 3)

    with pytest.raises(Misconfigured, match="at most 3"):
        attribute("France", Method.LEAVE_OUT)


def test_an_encoder_decoder_model_is_refused(tmp_path: Path) -> None:
    replayer = Replayer(make_translator("t5", tmp_path / "t5"), choose_hardware("cpu", "float32"))

    with pytest.raises(Misconfigured, match="encoder-decoder"):
        Attributor(replayer)


def test_progress_is_told() -> None:
    heard: list[tuple[int, int]] = []
    say: Callable[[int, int], None] = lambda done, of: heard.append((done, of))  # noqa: E731
    attribute("France", Method.INTEGRATED, steps=3, say=say)

    assert heard == [(1, 3), (2, 3), (3, 3)]
