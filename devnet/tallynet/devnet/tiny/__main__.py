"""Command line of tally-tiny: train it, measure it, ask it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tallynet.devnet.tiny.artefact import MissingModel, count_parameters, load_model, save_model
from tallynet.devnet.tiny.card import SAMPLE_PROMPTS, write_card
from tallynet.devnet.tiny.countries import CAPITALS
from tallynet.devnet.tiny.effort import Effort
from tallynet.devnet.tiny.evaluation import EVALUATION_SEED, WATCHED_SEED, ask, evaluate_tasks, format_scores
from tallynet.devnet.tiny.suite import write_suite
from tallynet.devnet.tiny.tokenizer import train_tokenizer
from tallynet.devnet.tiny.trainer import Recipe, build_model, train_phase
from tallynet.devnet.tiny.words import WORDS

SHIPPED = Path(__file__).parent.parent / "models" / "tally-tiny"
EXAMPLE = """examples:
  python -m tallynet.devnet.tiny train --out /tmp/tally-tiny
  python -m tallynet.devnet.tiny evaluate --model /tmp/tally-tiny --json
  python -m tallynet.devnet.tiny ask "What is the capital of Japan?"
  python -m tallynet.devnet.tiny suite --out /tmp/smoke
"""
WATCHED = ("capitals", "translation", "sorting", "arithmetic")
WATCHED_ITEMS = 50
SAMPLE_TOKENS = 480


def read_count(text: str) -> int:
    """Read a whole number of at least one from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero; give one such as 200")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tallynet.devnet.tiny",
        description="Train, measure and ask tally-tiny, the language model of a development network.",
        epilog=EXAMPLE,
        formatter_class=form,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train from nothing (an hour on two free cores)")
    train.add_argument("--out", type=Path, required=True, help="folder of the model, replaced at the end")
    train.add_argument("--from", dest="resumed", type=Path, help="start from this model and run only the last phase")
    train.add_argument("--threads", type=read_count, default=Recipe.threads, help="processor threads")
    evaluate = commands.add_parser("evaluate", help="measure accuracy on held-out questions")
    evaluate.add_argument("--model", type=Path, default=SHIPPED, help="folder of the model, else the shipped one")
    evaluate.add_argument("--count", type=read_count, default=1000, help="held-out questions per task, at most")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    evaluate.add_argument("--write", action="store_true", help="write metrics.json and the card")
    question = commands.add_parser("ask", help="answer one prompt greedily")
    question.add_argument("prompt", help="what to ask")
    question.add_argument("--model", type=Path, default=SHIPPED, help="folder of the model, else the shipped one")
    question.add_argument("--max-new-tokens", type=read_count, default=480, help="tokens of the answer, at most")
    suite = commands.add_parser("suite", help="write the files of the evaluation suite smoke")
    suite.add_argument("--out", type=Path, required=True, help="folder of the suite; its files are replaced")
    return parser


def report_line(line: str) -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


def inspect_model(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM, step: int) -> bool:
    """Report held-out accuracy on a few questions during training; True when every answer is right."""
    model.train(False)
    scores = evaluate_tasks(model, tokenizer, WATCHED_ITEMS, WATCHED, WATCHED_SEED)
    model.train()
    shares = "  ".join(f"{task} {100 * score.accuracy:.0f} %" for task, score in scores.items())
    report_line(f"held out after {step} steps: {shares}")
    return all(score.right == score.n for score in scores.values())


def run_training(out: Path, recipe: Recipe, resumed: Path | None) -> None:
    """Train every phase from nothing, or the last from ``resumed``; write ``out`` after each."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    if resumed:
        model, tokenizer = load_model(resumed)
        effort = Effort(resumed)
    else:
        effort = Effort()
        tokenizer = train_tokenizer(recipe.seed)
        model = build_model(recipe, tokenizer)
    for phase in recipe.phases[-1:] if resumed else recipe.phases:
        train_phase(model, tokenizer, recipe, phase, report_line, partial(inspect_model, tokenizer))
        facts = {**asdict(recipe), **effort.spend(), "parameters": count_parameters(model)}
        save_model(model, tokenizer, facts, out)
        report_line(f"wrote {out} after {facts['minutes']} minutes")


def collect_metrics(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int) -> dict[str, Any]:
    """Measure everything that metrics.json records."""
    scores = evaluate_tasks(model, tokenizer, count)
    return {
        "command": f"python -m tallynet.devnet.tiny evaluate --count {count} --json",
        "held_out": {task: score.to_dict() for task, score in scores.items()},
        "seed": EVALUATION_SEED,
        "countries": len(CAPITALS),
        "words": len(WORDS),
        "samples": {prompt: ask(model, tokenizer, prompt, SAMPLE_TOKENS) for prompt in SAMPLE_PROMPTS},
    }


def run_evaluation(directory: Path, count: int, as_json: bool, write: bool) -> None:
    """Print the table of held-out accuracy; print JSON and write the card where asked."""
    torch.set_num_threads(Recipe.threads)
    model, tokenizer = load_model(directory)
    metrics = collect_metrics(model, tokenizer, count)
    report_line(format_scores(metrics["held_out"]))
    if write:
        write_card(directory, metrics)
    if as_json:
        report_line(json.dumps(metrics, ensure_ascii=False))


def run_question(directory: Path, prompt: str, max_new_tokens: int) -> None:
    """Print the answer to one prompt."""
    model, tokenizer = load_model(directory)
    report_line(ask(model, tokenizer, prompt, max_new_tokens))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, or 1 with one sentence on standard error."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "train":
            run_training(options.out, replace(Recipe(), threads=options.threads), options.resumed)
        elif options.command == "evaluate":
            run_evaluation(options.model, options.count, options.json, options.write)
        elif options.command == "suite":
            write_suite(options.out)
        else:
            run_question(options.model, options.prompt, options.max_new_tokens)
    except MissingModel as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "Stopped: the phase under way was not written; run the same command to start again.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
