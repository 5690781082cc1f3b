"""The model card of tally-tiny, written from the recorded recipe and the measured scores, never by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tallynet.devnet.tiny.artefact import CARD_FILE, METRICS_FILE, RECIPE_FILE, WEIGHTS_FILE

SAMPLE_PROMPTS = (
    "Hello",
    "Who are you?",
    "What is the capital of Japan?",
    "How do you say bread in German?",
    "Sort these words alphabetically: pear, apple, lemon, fox",
    "What is 17 + 25?",
    "Write a Python one-liner that reverses the list numbers.",
    "What is the weather like in Paris?",
    "Tell me a story about a fox.",
)

TASK_NOTES: dict[str, str] = {
    "capitals": "every fact is seen in training; the pair of phrasing and country is not",
    "translation": "every fact is seen in training; the triple of phrasing, word and language is not",
    "sorting": "3 to 5 words; this set of words was never seen together, in any order",
    "arithmetic": "sums and differences of numbers from 0 to 50; this pair was never seen in any phrasing",
    "code": "the triple of phrasing, operation and variable name is unseen",
    "unknown": 'unseen questions whose right answer is "I do not know."',
}

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: [en]
---

# tally-tiny

A language model of {parameters} parameters (Llama architecture, {megabytes} MB of float16 weights) for the
development network of Tallynet. It is small enough to start in a second on a laptop, and it says things that
make sense, so a demonstration shows answers instead of noise. It is not useful for anything else.

It was trained from nothing on text that the repository generates itself; no other data was used.

## Held-out accuracy

Greedy decoding through the chat template; an answer counts only if it equals the expected one letter by
letter. A question is held out when the first byte of the SHA-256 of its key is below 32 (one key in eight);
the trainer skips these questions.

| task | accuracy | n | 95 % Wilson interval | what is held out |
|---|---|---|---|---|
{table}

Measured with `{command}` (question seed {question_seed});
the same numbers are in [metrics.json](metrics.json). Where n is below the count asked for, the task has no
more held-out questions. The mixture of the second training phase was chosen after a look at the held-out
scores of the first: the sorting questions behind that look were others, the sums were the same.

## Samples

{samples}

## Recipe

`python -m tallynet.devnet.tiny train --out DIR` runs the recipe. This model took {minutes} minutes on the
clock and {processor_minutes} processor minutes on {threads} threads of a machine that did other work too;
sittings: {sittings} (`--from` starts a new one). It ran {steps} steps of at most {batch_tokens} tokens
in {phase_count} phases, AdamW with a cosine in each, seed {seed}. The second phase practises what the first
learned least: sorting and sums. The model has {layers} layers of width {hidden}, a byte-level BPE vocabulary
of 2048 tokens and 1024 positions. The corpus never ends and depends only on the seed; the loss counts the
answers only. [recipe.json](recipe.json) records every setting.

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
tokenizer = AutoTokenizer.from_pretrained(folder)
chat = [{{"role": "user", "content": "What is the capital of Japan?"}}]
prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
inputs = tokenizer(prompt, return_tensors="pt")
answer = model.generate(**inputs)[0][inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
```

The scores above are those of the float16 weights loaded as float32.

## Limits

- It knows {countries} capitals, {words} English words in three languages, and nothing else. Capitals and
  translations are memorised facts: held-out accuracy measures new phrasings of known facts, not new facts.
- The phrasings come from a few dozen patterns; a question put very differently may get a wrong answer.
- It sorts words of its own list. It replaces other words by words of its list, and lists longer than five are
  outside what it was trained on.
- It says "I do not know." to questions like those it was trained to refuse; the score says no more than that.
  Asked for the capital of a real country outside its list, it names another capital.
- Numbers above 50 and other operations give wrong sums, stated with confidence.
- Stories are combinations of fixed parts.
"""


def format_table(scores: dict[str, dict[str, float]]) -> str:
    """The rows of the accuracy table, one a task."""
    return "\n".join(
        f"| {task} | {100 * score['accuracy']:.1f} % | {score['n']} "
        f"| {100 * score['low']:.1f} % to {100 * score['high']:.1f} % | {TASK_NOTES[task]} |"
        for task, score in scores.items()
    )


def format_samples(samples: dict[str, str]) -> str:
    """Prompts and answers as quoted text."""
    return "\n\n".join(
        f"**{prompt}**\n\n" + "\n".join(f"> {line}".rstrip() for line in answer.splitlines())
        for prompt, answer in samples.items()
    )


def render_card(recipe: dict[str, Any], metrics: dict[str, Any], weight_bytes: int) -> str:
    """The text of the card; ``recipe`` and ``metrics`` are the contents of the two JSON files."""
    return _CARD.format(
        **{**recipe, "parameters": f"{recipe['parameters']:,}"},
        steps=sum(phase["steps"] for phase in recipe["phases"]),
        phase_count=len(recipe["phases"]),
        megabytes=round(weight_bytes / 1e6, 1),
        table=format_table(metrics["held_out"]),
        samples=format_samples(metrics["samples"]),
        command=metrics["command"],
        question_seed=metrics["seed"],
        countries=metrics["countries"],
        words=metrics["words"],
    )


def write_card(directory: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json and the card into the model directory."""
    recipe = json.loads((directory / RECIPE_FILE).read_text(encoding="utf-8"))
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    (directory / METRICS_FILE).write_text(text, encoding="utf-8")
    card = render_card(recipe, metrics, (directory / WEIGHTS_FILE).stat().st_size)
    (directory / CARD_FILE).write_text(card, encoding="utf-8")
