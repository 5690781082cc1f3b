"""From answers to a report: the numbers, the digest, and one last job that commits to it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from tallynet.client.client import AsyncClient
from tallynet.client.evaluate.asking import Terms
from tallynet.client.market import ModelOnOffer
from tallynet.evaluation.metrics import measure
from tallynet.evaluation.outputs import read_output
from tallynet.evaluation.questions import Question
from tallynet.evaluation.report import Evaluation, Report, Run, closing_request
from tallynet.evaluation.suite import Suite
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import Misconfigured, NodeUnreachable
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.units import Address, prefixed

CLOSING_TOKENS = 1
"""The answer is of no interest."""


def write_evaluation(
    suite: Suite,
    limit: int,
    model: ModelOnOffer,
    domain: Domain,
    questions: Sequence[Question],
    bundles: Sequence[Bundle],
) -> Evaluation:
    """All that the closing run commits to; `bundles` are the answers to `questions`. Raises `Misconfigured` when they
    are of more than one client."""
    runs = dict(zip(questions, bundles, strict=True))
    return Evaluation(
        software=describe_software(),
        chain_id=domain.chain_id,
        contract=prefixed(domain.contract),
        client=prefixed(_client_of(bundles)),
        model=prefixed(model.model),
        model_name=model.name,
        nodes=tuple(sorted({prefixed(bundle.node) for bundle in bundles})),
        suite_digest=prefixed(suite.digest),
        suite=suite,
        limit=limit,
        metrics=measure(suite, {question: read_output(bundle, question) for question, bundle in runs.items()}),
        runs=tuple(_list(question, bundle) for question, bundle in runs.items()),
    )


async def close(client: AsyncClient, evaluation: Evaluation, terms: Terms) -> Report:
    """Have the digest logged by one of the nodes that serve the model. The report is not anchored yet.

    Raises what `AsyncClient.ask` raises, `NodeUnreachable` when the run was cut short, and `Misconfigured` when all
    answers were kept ones of another key.
    """
    answer = await client.ask(
        terms.model, closing_request(evaluation.digest), max_tokens=CLOSING_TOKENS,
        deadline_seconds=terms.deadline_seconds, max_price_wei=terms.max_price_wei, nodes=terms.nodes,
        audit_consent=terms.audit_consent,
    )  # fmt: skip
    if prefixed(answer.order.job.job.client) != evaluation.client:
        raise Misconfigured(
            f"The answers are of the key {evaluation.client}, the closing run of another.",
            remedy="Use that key again, or another folder to keep answers in.",
        )
    if not answer.status.finished:
        raise NodeUnreachable(f"The node ended the closing run with {answer.status.name.lower()}.")
    return Report(evaluation, write_bundle(answer.bundle()))


def describe_software() -> str:
    """`tallynet 0.1.0, sacrebleu 2.6.0`, and how BLEU and chrF are computed."""
    from tallynet.evaluation.overlap import SACREBLEU, SETTINGS

    try:
        ours = version("tallynet")
    except PackageNotFoundError:  # run from its source tree
        ours = "from source"
    return f"tallynet {ours}, sacrebleu {SACREBLEU}: {SETTINGS}"


def _client_of(bundles: Sequence[Bundle]) -> Address:
    clients = {bundle.job.job.client for bundle in bundles}
    if len(clients) > 1:
        raise Misconfigured(
            f"The answers are of {len(clients)} keys: those that were kept were asked with another one.",
            remedy="Use that key again, or another folder to keep answers in.",
        )
    return clients.pop()


def _list(question: Question, bundle: Bundle) -> Run:
    receipt, output = bundle.receipt.receipt, Leaf.unpack(bundle.receipt.leaf).output
    return Run(
        question.part, question.item, question.side, prefixed(receipt.job), prefixed(output), write_bundle(bundle)
    )
