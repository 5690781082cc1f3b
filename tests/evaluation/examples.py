"""A small suite and a report on it made by hand, with real keys and signatures: start from it, break one thing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallynet.evaluation.metrics import measure
from tallynet.evaluation.outputs import read_output
from tallynet.evaluation.questions import Question, list_questions
from tallynet.evaluation.report import Evaluation, Report, Run, closing_request
from tallynet.evaluation.suite import (
    Answered,
    BiasPart,
    ExactPart,
    Paired,
    PerplexityPart,
    Suite,
    Translated,
    TranslationPart,
    Written,
)
from tallynet.protocol.bundle import Bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.chunk import ChunkBody, Transcript
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.job import Job, Sampling, Task, sign_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import Request, encode_request
from tallynet.protocol.score import Mark, pack_likeliest
from tallynet.protocol.units import Digest, Milliseconds, Wei, prefixed
from tests.audit.examples import ANCHOR_BY, CLIENT, DOMAIN, MODEL, STARTED, ExampleNode

PROMPT = (1, 500, 70000, 3)

SUITE = Suite(
    name="small",
    version="1",
    parts=(
        ExactPart(
            name="sums",
            max_tokens=8,
            items=(Answered("1 + 1 = ?", "2"), Answered("1 + 2 = ?", "3"), Answered("2 + 2 = ?", "4")),
        ),
        TranslationPart(
            name="words",
            max_tokens=16,
            system="Answer in French.",
            items=(
                Translated("the cat drinks the milk", "le chat boit le lait"),
                Translated("the dog eats the bread", "le chien mange le pain"),
            ),
        ),
        PerplexityPart(name="texts", items=(Written("Once upon a time."), Written("The end."))),
        BiasPart(
            name="names",
            one="boys' names",
            other="girls' names",
            items=(Paired("{} was brave.", "Ben", "Ada"), Paired("{} was shy.", "Max", "Mia")),
        ),
    ),
)
ANSWERS = {
    ("sums", 0): "2", ("sums", 1): " 3\n", ("sums", 2): "5",
    ("words", 0): "le chat boit le lait", ("words", 1): "le chien mange du pain",
}  # fmt: skip


def answer_of(question: Question) -> tuple[ChunkBody, ...]:
    """What the example's model says: two of three sums right, one word of ten wrong."""
    if question.task is Task.SCORE:
        return score_of(question.request.text, -0.5 if question.side != "other" else -0.75)
    text = ANSWERS[question.part, question.item]
    words = len(text.split())
    return (ChunkBody(tuple(range(words)), text, (-0.25,) * words, b""),)


def score_of(text: str, logprob: float) -> tuple[ChunkBody, ...]:
    """A token for every letter but the first, each of the same logprob: the letter's own number."""
    chunks = [text[1:][at : at + 16] for at in range(0, len(text) - 1, 16)]
    evidence = [Mark(1, ()).pack() * len(chunk) + pack_likeliest(()) for chunk in chunks]
    return tuple(
        ChunkBody(tuple(map(ord, chunk)), chunk, (logprob,) * len(chunk), marks)
        for chunk, marks in zip(chunks, evidence, strict=True)
    )


@dataclass
class EvaluatedNode(ExampleNode):
    """A node that answers any request."""

    def answer(
        self,
        request: Request,
        sampling: Sampling,
        task: Task,
        chunks: Sequence[ChunkBody],
        *,
        client: Key = CLIENT,
        status: Status = Status.EOS,
    ) -> Bundle:
        """One more job, answered, logged and promised."""
        nonce = Digest(bytes([len(self.leaves)]) * 32)
        secret, encoded = bytes([7]) + nonce[1:], encode_request(request)
        job = Job(
            client.address, MODEL, commit_request(request_salt(secret), encoded), sampling, Milliseconds(2**52),
            Wei(10**6), nonce, task=task,
        )  # fmt: skip
        signed, job_id = sign_job(job, self.domain, client), job.id(self.domain)
        transcript = Transcript(job_id, secret, commit_prompt(prompt_salt(secret), PROMPT))
        for body in chunks:
            transcript.extend(body)
        leaf = Leaf(
            job=job_id, client=job.client, model=MODEL, runtime=Digest(b"\x66" * 32), params=sampling.digest,
            request=job.request, output=transcript.output_root, prompt_tokens=len(PROMPT),
            completion_tokens=transcript.token_count, price=Wei(0), started=STARTED,
            ended=Milliseconds(STARTED + 400), status=status, trace=transcript.trace_root,
            client_signature=signed.signature,
        )  # fmt: skip
        index = self.append(leaf.pack())
        receipt = sign_receipt(leaf, index, ANCHOR_BY, self.domain, self.key)
        return Bundle(self.domain, self.key.address, signed, receipt, Whole(secret, encoded, PROMPT, tuple(chunks)))

    def answer_question(self, question: Question, **changes: object) -> Bundle:
        arguments = {"request": question.request, "sampling": question.sampling, "task": question.task,
                     "chunks": answer_of(question), **changes}  # fmt: skip
        return self.answer(**arguments)  # type: ignore[arg-type]


Change = Callable[[Evaluation], Evaluation]


def evaluate_small(
    node: EvaluatedNode,
    *,
    limit: int = 0,
    replaced: dict[int, Bundle] | None = None,
    change: Change = lambda evaluation: evaluation,
    closing_client: Key = CLIENT,
) -> Report:
    """A report on SUITE whose closing run is not anchored; `replaced` are other runs, by number of the question,
    `change` is made before the closing run is signed."""
    questions = list_questions(SUITE, limit)
    bundles = [(replaced or {}).get(at) or node.answer_question(question) for at, question in enumerate(questions)]
    outputs = {question: read_output(bundle, question) for question, bundle in zip(questions, bundles, strict=True)}
    evaluation = change(
        Evaluation(
            software="by hand",
            chain_id=DOMAIN.chain_id,
            contract=prefixed(DOMAIN.contract),
            client=prefixed(CLIENT.address),
            model=prefixed(MODEL),
            model_name="example",
            nodes=tuple(sorted({prefixed(bundle.node) for bundle in bundles})),
            suite_digest=prefixed(SUITE.digest),
            suite=SUITE,
            limit=limit,
            metrics=measure(SUITE, outputs),
            runs=tuple(run_of(question, bundle) for question, bundle in zip(questions, bundles, strict=True)),
        )
    )
    closing = node.answer(
        closing_request(evaluation.digest), Sampling(1), Task.GENERATE, (ChunkBody((5,), "x", (-1.0,), b""),),
        client=closing_client,
    )  # fmt: skip
    return Report(evaluation, write_bundle(closing))


def run_of(question: Question, bundle: Bundle) -> Run:
    receipt, leaf = bundle.receipt.receipt, Leaf.unpack(bundle.receipt.leaf)
    text = write_bundle(bundle)
    return Run(question.part, question.item, question.side, prefixed(receipt.job), prefixed(leaf.output), text)


def anchored(node: EvaluatedNode, report: Report) -> Report:
    """With an anchor of the log's present size on no chain at all."""
    return Report(report.evaluation, write_bundle(node.anchored(read_bundle(report.closing))))
