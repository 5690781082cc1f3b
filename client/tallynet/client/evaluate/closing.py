"""From answers to a report: the numbers, the digest, and one last job that commits to it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from tallynet.client.answer import Answer
from tallynet.client.client import AsyncClient
from tallynet.client.evaluate.asking import Terms
from tallynet.client.market import ModelOnOffer
from tallynet.evaluation.metrics import measure
from tallynet.evaluation.outputs import read_output
from tallynet.evaluation.questions import Question
from tallynet.evaluation.report import Evaluation, Report, Run, closing_request
from tallynet.evaluation.suite import Suite
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import prefixed

CLOSING_TOKENS = 1
"""The answer is of no interest."""


def write_evaluation(
    suite: Suite,
    limit: int,
    model: ModelOnOffer,
    domain: Domain,
    questions: Sequence[Question],
    answers: Sequence[Answer],
) -> Evaluation:
    """All that the closing run commits to; `answers` are those to `questions`, of one client and model."""
    runs = [(question, answer.bundle()) for question, answer in zip(questions, answers, strict=True)]
    outputs = {question: read_output(bundle, question) for question, bundle in runs}
    return Evaluation(
        software=describe_software(),
        chain_id=domain.chain_id,
        contract=prefixed(domain.contract),
        client=prefixed(answers[0].order.job.job.client),
        model=prefixed(model.model),
        model_name=model.name,
        nodes=tuple(sorted({prefixed(answer.node) for answer in answers})),
        suite_digest=prefixed(suite.digest),
        suite=suite,
        limit=limit,
        metrics=measure(suite, outputs),
        runs=tuple(_list(question, answer) for question, answer in zip(questions, answers, strict=True)),
    )


async def close(client: AsyncClient, evaluation: Evaluation, terms: Terms) -> Report:
    """Have the digest logged by one of the nodes that serve the model. The report is not anchored yet.

    Raises what `AsyncClient.ask` raises, and `NodeUnreachable` when the run was cut short.
    """
    answer = await client.ask(
        terms.model, closing_request(evaluation.digest), max_tokens=CLOSING_TOKENS,
        deadline_seconds=terms.deadline_seconds, max_price_wei=terms.max_price_wei, nodes=terms.nodes,
        audit_consent=terms.audit_consent,
    )  # fmt: skip
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


def _list(question: Question, answer: Answer) -> Run:
    return Run(
        question.part, question.item, question.side, prefixed(answer.job), prefixed(answer.output),
        write_bundle(answer.bundle()),
    )  # fmt: skip
