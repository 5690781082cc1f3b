"""An opened run's answer attributed to its prompt, told to people and programs; `engine.attribution` does the work."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tallynet.console.heat import STEPS, HeatMap, Piece, print_heat
from tallynet.engine.attribution import MOST_LEFT_OUT, Attribution, Attributor, Method
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.manifest import read_manifest
from tallynet.engine.replay import Replayer
from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.job import Task
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import TokenIds, prefixed, short

Say = Callable[[str], None]

CAUTION = (
    "Weights say what the answer's probability hangs on in this model. They do not say that the answer is true, nor "
    "why the model works this way; words that stand in for each other share or hide their weight."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """How to attribute."""

    method: Method | None = None
    """None leaves out tokens one by one where the prompt is short enough, and integrates else."""
    steps: int = 32
    token: int | None = None
    """Of the answer, counted from 0: attribute this one alone; None: all but the one that only ends the answer."""
    since: int = 0
    """Where there is no `token`: leave out the answer's tokens before this one."""
    device: str = "auto"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Attributed:
    """What came of it."""

    bundle: Bundle
    attribution: Attribution
    prompt: TokenIds
    texts: tuple[str, ...]
    """One per prompt token."""
    words: tuple[bool, ...]
    """Which of them have a text: the others are control tokens."""
    answer: str
    """The part of the answer that was attributed."""


def attribute_run(bundle: Bundle, directory: Path, wish: Wish, say: Say) -> Attributed:
    """Raises `Misconfigured` for a run of another model, of another kind, or that is not open."""
    opening, leaf = _opened(bundle), Leaf.unpack(bundle.receipt.leaf)
    if (model := read_manifest(directory).model_id) != leaf.model:
        raise Misconfigured(
            f"The run is of model {short(leaf.model)}, the files in {directory} are model {short(model)}.",
            remedy="Name the directory of the run's own model with --model.",
        )
    say("loading the model…")
    replayer = Replayer(directory, choose_hardware(wish.device, wish.dtype))
    attributor, tokens = Attributor(replayer), tuple(token for body in opening.chunks for token in body.tokens)
    first, last = _span(tokens, replayer.ends, wish)
    short_enough = len(opening.prompt) <= MOST_LEFT_OUT
    found = attributor.attribute(
        opening.prompt, tokens, first=first, last=last, steps=wish.steps,
        method=wish.method or (Method.LEAVE_OUT if short_enough else Method.INTEGRATED),
        say=lambda done, of: say(f"pass {done} of {of}…"),
    )  # fmt: skip
    texts = tuple(attributor.texts(opening.prompt))
    words = tuple(bool(replayer.decode([token])) for token in opening.prompt)
    return Attributed(bundle, found, opening.prompt, texts, words, replayer.decode(tokens[first:last]))


def attribution_map(attributed: Attributed) -> HeatMap:
    """The prompt; warm is what made the answer likely, cold what spoke against it, the strongest word in full colour.

    Control tokens often weigh more than any word: they get no more colour than the strongest of those.
    """
    found = attributed.attribution
    most = max((abs(weight) for weight, word in zip(found.weights, attributed.words, strict=True) if word), default=0.0)
    pieces = [
        Piece(text, weight / max(most, 1e-9), f"{weight:+.3g} nats")
        for text, weight in zip(attributed.texts, found.weights, strict=True)
    ]
    facts = (
        ("answer", attributed.answer),
        ("its log-probability", f"{found.total:.6g}; {found.without:.6g} without the prompt's words"),
        ("method", _method(found)),
        ("model", prefixed(Leaf.unpack(attributed.bundle.receipt.leaf).model)),
        ("job", prefixed(attributed.bundle.receipt.receipt.job)),
        ("caution", CAUTION),
    )
    legend = (Piece(" made the answer likely ", 1.0), Piece(" a little ", 2 / STEPS), Piece(" spoke against it ", -1.0))
    return HeatMap("What in the question made this answer likely", pieces, legend, facts)


def print_attribution(out: Console, attributed: Attributed) -> None:
    """The coloured prompt, its heaviest tokens, and what all of it is and is not."""
    found = attributed.attribution
    print_heat(out, attribution_map(attributed))
    out.print()
    ranked = sorted(zip(found.weights, attributed.texts, strict=True), key=lambda one: -abs(one[0]))
    for weight, text in ranked[:8]:
        out.print(Text(f"{weight:+9.3f} nats  {_line(text)}"))
    out.print(Text(f"\n{_line(attributed.answer)}", style="bold"))
    out.print(Text(f"log-probability {found.total:.6g}, {found.without:.6g} without the prompt's words"))
    out.print(Text(_method(found), style="dim"))
    out.print(Text(CAUTION, style="dim"))


def describe_attribution(attributed: Attributed) -> dict[str, object]:
    """The JSON object of `tallynet audit attribute`; weights and log-probabilities in nats."""
    found = attributed.attribution
    return {
        "method": found.method,
        "answer": attributed.answer,
        "log_probability": found.total,
        "without_prompt": found.without,
        "gap": found.gap,
        "tokens": [
            {"token": token, "text": text, "weight": weight}
            for token, text, weight in zip(attributed.prompt, attributed.texts, found.weights, strict=True)
        ],
        "caution": CAUTION,
    }


def _opened(bundle: Bundle) -> Whole:
    opening = bundle.opening
    if bundle.job.job.task != Task.GENERATE:
        raise Misconfigured("Only a generated answer can be attributed to its prompt.", remedy="Name another file.")
    if not isinstance(opening, Whole):
        raise Misconfigured(
            "The bundle does not open the whole run: attribution needs the prompt and every token.",
            remedy="Take the file that the client saved itself.",
        )
    return opening


def _span(tokens: TokenIds, ends: frozenset[int], wish: Wish) -> tuple[int, int]:
    """Which of the answer's tokens are attributed: from the first to before the second."""
    if wish.token is not None:
        return wish.token, wish.token + 1
    ended = len(tokens) > 1 and tokens[-1] in ends
    return wish.since, len(tokens) - ended


def _method(found: Attribution) -> str:
    if found.method is Method.LEAVE_OUT:
        return "leave-out: what the answer's log-probability loses when this token alone is taken away"
    return f"integrated gradients: the weights add up to the whole change, {found.gap:+.2g} nats apart"


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])
