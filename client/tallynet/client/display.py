"""How offers and answers are told: to people in 80 columns, to programs as JSON. Foreign text steers no terminal."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tallynet.client.answer import Answer
from tallynet.client.embedding import Embedding
from tallynet.client.market import REPLAYABLE, ModelOnOffer
from tallynet.client.score import Score
from tallynet.client.surprise import probability
from tallynet.console.page import shown
from tallynet.protocol.advert import Offer, VerifiedAdvert
from tallynet.protocol.job import Task
from tallynet.protocol.score import Likely
from tallynet.protocol.units import Wei, prefixed

GWEI = 10**9
NAME_CHARACTERS = 24
MOST_SURPRISING = 5
"""Tokens of a score that are listed."""


plain = shown
"""Text that cannot steer the terminal."""


def write(out: Console, text: str) -> None:
    """Print model text at once and as it is; to a terminal without what would steer it."""
    safe = plain(text) if out.is_terminal else text
    encoding = out.encoding
    out.file.write(safe.encode(encoding, "replace").decode(encoding))
    out.file.flush()


def models_table(models: Sequence[ModelOnOffer]) -> Table:
    table = _table("MODEL", "ID", numbers=("NODES", "CONTEXT", "TOKENS/S", "PRICE/1K TOKENS"))
    for model in models:
        price = f"{money(Wei(1000 * model.prompt_price))} + {money(Wei(1000 * model.completion_price))}"
        table.add_row(
            _name(model.name), f"{prefixed(model.model)[:10]}…", str(model.nodes), str(model.context_length),
            str(model.tokens_per_second), "free" if not model.prompt_price + model.completion_price else price,
        )  # fmt: skip
    return table


def nodes_table(adverts: Sequence[VerifiedAdvert]) -> Table:
    table = _table("NODE", "MODEL", numbers=("FREE", "TOKENS/S"))
    for known in adverts:
        for offer in known.advert.offers:
            free = f"{offer.free_slots}/{offer.slots}"
            table.add_row(prefixed(known.node), _name(offer.name), free, str(offer.tokens_per_second))
    return table


def remarks(offers: Iterable[ModelOnOffer | Offer]) -> Text:
    """Lines under a table: what its columns have no room for, and nobody should miss."""
    lines = set()
    for offer in offers:
        name = _name(offer.name).plain
        if offer.evidence != REPLAYABLE:
            lines.add(f"{name}: {plain(offer.evidence)}, nobody can check which model answers")
        if offer.task == Task.EMBED:
            lines.add(f"{name}: makes vectors, for `tallynet embed`")
    return Text("\n".join(sorted(lines)), style="dim")


def embeddings_table(texts: Sequence[str], embeddings: Sequence[Embedding]) -> Table:
    table = _table("TEXT", "NODE", numbers=("DIMENSIONS", "LEAF", "PRICE"))
    for text, embedding in zip(texts, embeddings, strict=True):
        answer = embedding.answer
        table.add_row(
            _name(text), f"{prefixed(answer.node)[:10]}…", str(len(embedding.vector)), str(answer.index),
            money(answer.price),
        )  # fmt: skip
    return table


def score_table(score: Score) -> Table:
    """The tokens that surprised the model most, with what it expected instead."""
    table = _table("TOKEN", "EXPECTED", numbers=("AT", "CHANCE", "LOGPROB", "ITS CHANCE"))
    places = sorted(zip(score.offsets, score.tokens, strict=True), key=lambda place: place[1].logprob)
    for at, token in places[:MOST_SURPRISING]:
        best = token.likeliest[0] if token.likeliest else None
        table.add_row(
            _name(repr(token.text)), _name(repr(best.text)) if best else "", str(at), probability(token.logprob),
            f"{token.logprob:.3f}", probability(best.logprob) if best else "",
        )  # fmt: skip
    return table


def score_summary(score: Score) -> Text:
    greedy = {True: "the model would have written it", False: "the model would have written another", None: ""}
    facts = (
        f"{len(score.tokens)} tokens",
        f"log-probability {score.total:.6g}",
        f"perplexity {score.perplexity:.6g}",
        greedy[score.greedy],
    )
    return Text(" · ".join(fact for fact in facts if fact))


def summary(answer: Answer) -> Text:
    """One line under an answer."""
    speed = answer.tokens_per_second
    facts = (
        f"{answer.usage.completion_tokens} tokens",
        "" if speed is None else f"{speed:.0f} tokens/s",
        money(answer.price),
        f"{answer.evidence} as leaf {answer.index}",
        f"node {prefixed(answer.node)[:10]}…",
        "" if answer.status.finished else f"cut short: {answer.status.name.lower()}",
    )
    return Text(" · ".join(fact for fact in facts if fact), style="dim")


def describe_model(model: ModelOnOffer) -> dict[str, object]:
    return {
        "name": model.name,
        "model": prefixed(model.model),
        "nodes": model.nodes,
        "context_length": model.context_length,
        "prompt_price_wei": model.prompt_price,
        "completion_price_wei": model.completion_price,
        "tokens_per_second": model.tokens_per_second,
        "free_slots": model.free_slots,
        "task": model.task,
        "evidence": model.evidence,
    }


def describe_node(known: VerifiedAdvert) -> dict[str, object]:
    advert = known.advert
    return {
        "node": prefixed(known.node),
        "peer": advert.peer,
        "addresses": list(advert.addresses),
        "issued": advert.issued,
        "expires": advert.expires,
        "offers": [_describe_offer(offer) for offer in advert.offers],
    }


def describe_answer(answer: Answer, *, evidence: str, saved: Path | None) -> dict[str, object]:
    """The JSON object of `tallynet ask`. Prices are whole wei, times seconds."""
    first = answer.seconds_to_first_token
    return {
        "text": answer.text,
        "finish": answer.status.name.lower(),
        "model": {"name": answer.model_name, "id": prefixed(answer.model)},
        "node": prefixed(answer.node),
        "job": prefixed(answer.job),
        "tokens": {"prompt": answer.usage.prompt_tokens, "completion": answer.usage.completion_tokens},
        "price_wei": answer.price,
        "index": answer.index,
        "anchor_by": answer.receipt.receipt.anchor_by,
        "evidence": evidence,
        "seconds": {"first_token": None if first is None else round(first, 4), "total": round(answer.seconds, 4)},
        "saved": None if saved is None else str(saved),
        "anchored": evidence == "anchored",
        "failures": [
            {"node": prefixed(failure.node), "code": failure.error.code, "message": str(failure.error)}
            for failure in answer.failures
        ],
    }


def describe_score(score: Score, *, saved: Path | None) -> dict[str, object]:
    """The JSON object of `tallynet score`: as `describe_answer`, with the tokens instead of the text. Logs are natural;
    an infinite perplexity is null."""
    told = describe_answer(score.answer, evidence=score.answer.evidence, saved=saved)
    del told["text"]
    return {
        "log_probability": score.total,
        "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
        "greedy": score.greedy,
        "context": score.context,
        "scores": [
            {
                "token": token.token, "text": token.text, "offset": at, "logprob": token.logprob,
                "greedy": token.greedy, "likeliest": _describe_likely(token.likeliest),
            }
            for at, token in zip(score.offsets, score.tokens, strict=True)
        ],
        "after": _describe_likely(score.after),
        **told,
    }  # fmt: skip


def _describe_likely(likeliest: Sequence[Likely]) -> list[dict[str, object]]:
    return [{"token": likely.token, "text": likely.text, "logprob": likely.logprob} for likely in likeliest]


def describe_embedding(embedding: Embedding, *, saved: Path | None) -> dict[str, object]:
    """One object of `tallynet embed`: as `describe_answer`, with the vector instead of the text."""
    told = describe_answer(embedding.answer, evidence=embedding.answer.evidence, saved=saved)
    del told["text"]
    return {"vector": list(embedding.vector), **told}


def money(wei: Wei) -> str:
    """An amount of the chain's coin, in the unit that makes it short."""
    if wei < GWEI // 1000:
        return f"{wei} wei"
    return f"{wei / GWEI:.4g} gwei" if wei < GWEI * GWEI // 1000 else f"{wei / (GWEI * GWEI):.4g} ether"


def _table(*columns: str, numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column in ("ID", "NODE"), overflow="ellipsis")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _name(name: str) -> Text:
    line = plain(name).replace("\n", " ").replace("\t", " ")
    return Text(line if len(line) <= NAME_CHARACTERS else line[: NAME_CHARACTERS - 1] + "…")


def _describe_offer(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.name,
        "model": prefixed(offer.model),
        "context_length": offer.context_length,
        "prompt_price_wei": offer.prompt_price,
        "completion_price_wei": offer.completion_price,
        "tokens_per_second": offer.tokens_per_second,
        "slots": offer.slots,
        "free_slots": offer.free_slots,
        "waiting": offer.waiting,
        "evidence": offer.evidence,
        "task": offer.task,
    }
