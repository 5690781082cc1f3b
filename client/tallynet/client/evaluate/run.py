"""An evaluation from its suite to its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import trio

from tallynet.client.batch import AT_ONCE, Tell
from tallynet.client.client import AsyncClient
from tallynet.client.evaluate.asking import Terms, answer_all
from tallynet.client.evaluate.closing import close, write_evaluation
from tallynet.client.evaluate.kept_answers import KeptAnswers
from tallynet.client.market import ModelOnOffer
from tallynet.client.terms import DEADLINE_SECONDS
from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import Report, anchor_closing
from tallynet.evaluation.suite import Suite
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.errors import Misconfigured, NoNodes
from tallynet.protocol.units import Address, prefixed


class EvaluateOptions(TypedDict, total=False):
    """The options of `evaluate`."""

    limit: int
    """Items of each part that are asked; 0, the default, for all."""
    at_once: int
    """Jobs under way at the same time; 8 by default."""
    nodes: Sequence[Address]
    """Ask only these."""
    deadline_seconds: float
    """Of each job."""
    max_price_wei: int | None
    """Ceiling for each job."""
    audit_consent: bool
    """Whether auditors may open its runs."""
    keep: Path | None
    """A folder for answers on their way: an evaluation that was broken off goes on from there."""


async def evaluate(
    client: AsyncClient,
    model: str,
    suite: Suite,
    *,
    limit: int = 0,
    at_once: int = AT_ONCE,
    nodes: Sequence[Address] = (),
    deadline_seconds: float = DEADLINE_SECONDS,
    max_price_wei: int | None = None,
    audit_consent: bool = False,
    keep: Path | None = None,
    tell: Tell = lambda done: None,
) -> Report:
    """Ask a model, a name or a 0x id, every question of the suite, and have the outcome logged.

    `limit` is how many items of each part are asked, 0 for all; `nodes`, `deadline_seconds` and `max_price_wei` hold
    for each job by itself. `keep` is a folder for answers on their way: an evaluation that was broken off goes on from
    there. `tell` hears how many questions are answered. The closing run of the report is not anchored
    yet: see `anchor_report`. Raises what `AsyncClient.ask` raises, when a question could not
    be answered in three tries.
    """
    domain, offered = client.network.domain, find_model(await client.models(), model)
    terms = Terms(prefixed(offered.model), deadline_seconds, max_price_wei, tuple(nodes), audit_consent)
    questions = list_questions(suite, limit)
    kept = None if keep is None else KeptAnswers(keep, suite, offered.model, domain)
    bundles = await answer_all(client, questions, terms, at_once=at_once, kept=kept, tell=tell)
    evaluation = await trio.to_thread.run_sync(write_evaluation, suite, limit, offered, domain, questions, bundles)
    return await close(client, evaluation, terms)


async def anchor_report(client: AsyncClient, report: Report, seconds: float) -> Report:
    """The report with the anchor of its closing run. Raises what `AsyncClient.wait_for_anchor` raises, `Pending` when
    it does not come in time."""
    return anchor_closing(report, await client.wait_for_anchor(read_bundle(report.closing), seconds))


def find_model(offers: Sequence[ModelOnOffer], named: str) -> ModelOnOffer:
    """The one model of that name or id. Raises `NoNodes`, or `Misconfigured` for a name of several models."""
    found = [offer for offer in offers if named in (offer.name, prefixed(offer.model))]
    if not found:
        raise NoNodes(f"No node offers a model {named!r}.")
    if len(found) > 1:
        ids = ", ".join(prefixed(offer.model) for offer in found)
        raise Misconfigured(f"{len(found)} models are called {named!r}.", remedy=f"Name one by its id: {ids}.")
    return found[0]
