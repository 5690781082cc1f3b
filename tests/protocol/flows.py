"""Flows made by hand: definitions, and flow files whose runs are signed with real keys, to start from and break.

A made-up node answers every prompt by a function of the test; everything else is as in a real run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec

from tallynet.protocol.bundle import Bundle, read_bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole, open_part
from tallynet.protocol.chunk import ChunkBody, Transcript
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.flow import Critic, Flow, Kind, Map, Reduce, Step, TaskWords, Vote
from tallynet.protocol.flow_calls import Call, Known, Result, Run, advance
from tallynet.protocol.flow_file import FlowFile, StepRun
from tallynet.protocol.flow_plan import OpenedInput, Plan, job_nonce, make_plan, plan_digest
from tallynet.protocol.flow_rules import check_flow
from tallynet.protocol.flow_template import Value
from tallynet.protocol.job import Job, sign_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import encode_request
from tallynet.protocol.units import Milliseconds, ModelId, Seconds, Wei
from tallynet.templates.shelf import find_template
from tests.protocol.examples import CLIENT, DOMAIN, NODE, digest

SECRET = digest("secret of the flow")
MODELS = {"one": ModelId(digest("model one")), "two": ModelId(digest("model two"))}

Answer = Callable[[str], str]
"""What the made-up node says to a prompt."""
Change = Callable[[str, int, Any], Any]
"""Changes the job of `(step, place)` before it is signed."""


def capitals() -> Flow:
    """Five steps over two models, with a fan-out: a country's capital, two things about it, their join, a check."""
    return Flow(
        name="capitals",
        inputs={"country": Kind.TEXT},
        steps={
            "capital": Step(model="one", prompt="What is the capital of {{ country }}?", max_tokens=24),
            "french": Step(model="one", prompt="In French: {{ capital }}"),
            "river": Step(model="two", prompt="A river near {{ capital|trim }}, {{ country }}?", temperature=0.7),
            "merge": Step(model="two", prompt="{{ french }} / {{ river }}", system="Join both."),
            "title": Step(model="one", prompt="A title for: {{ merge }}", raw=True, stop=("\n",)),
        },
    )


def everything() -> Flow:
    """A step of every shape."""
    return Flow(
        name="everything",
        inputs={"topic": Kind.TEXT, "tones": Kind.LIST},
        steps={
            "points": Step(model="one", prompt="Points on {{ topic }}"),
            "notes": Step(model="one", prompt="{{ number }}. {{ item }} on {{ topic }}", map=Map(over="points")),
            "short": Step(model="two", prompt="Shorter: {{ item }}", map=Map(over="notes")),
            "sum": Step(
                model="one",
                prompt="Sum up:{% for one in items %}\n- {{ one }}{% endfor %}",
                reduce=Reduce(of="short", width=2),
            ),
            "best": Step(
                model="one", prompt="{{ sum }} {{ tones|join(', ') }}", temperature=1.0, vote=Vote(3, also=("two",))
            ),
            "essay": Step(
                model="one",
                prompt="Write: {{ best }}",
                critic=Critic(
                    prompt="Is it good? {{ draft }}", accept="Yes", revise="{{ draft }} but {{ critique }}", model="two"
                ),
            ),
        },
    )


def with_tasks() -> Flow:
    """Two steps in the words of prompt templates: one that ships, and one that is somebody's own."""
    translate, passages = find_template("translate"), ("{{ word }}", "{{ french }}")
    return Flow(
        name="tasks",
        inputs={"word": Kind.TEXT},
        steps={
            "french": Step(
                model="one",
                prompt="Translate into French: {{ word }}",
                system="You are a translator. Answer with the translation and nothing else.",
                task=TaskWords(translate.label, translate.digest, {"text": "{{ word }}", "to": "fr"}),
            ),
            "which": Step(
                model="two",
                prompt="Which is longer? [1] {{ word }} [2] {{ french }}",
                task=TaskWords("longest@2", digest("somebody's own"), {"passages": passages}, passages),
            ),
        },
    )


def echo(prompt: str) -> str:
    """An answer that differs from prompt to prompt."""
    return f"<{prompt}>"


def scripted(prompt: str) -> str:
    """Three points; two of three ballots alike; a draft that the second critique accepts."""
    if prompt.startswith("Points"):
        return " first\n\nsecond \nthird"
    if prompt.startswith("Is it good?"):
        return "yes, it is." if "but" in prompt else "No: too long"
    return echo(prompt)


OPENED: Mapping[str, Value] = {"country": "Japan", "topic": "trees", "tones": ("calm", "bright"), "word": "cat"}


def opened(flow: Flow) -> dict[str, OpenedInput]:
    return {name: OpenedInput(digest(f"salt of {name}"), OPENED[name]) for name in flow.inputs}


@dataclass(frozen=True)
class Place:
    """Where a flow is run: a network, the node that answers, and its log."""

    domain: Domain = DOMAIN
    node: Key = NODE
    append: Callable[[bytes], int] = lambda leaf: int.from_bytes(leaf_hash(leaf)[:2])
    """Logs a leaf and gives its index; made up by default."""


def run_flow(
    flow: Flow,
    answer: Answer = echo,
    *,
    where: Place = Place(),
    change_job: Change = lambda step, place, job: job,
    status: Callable[[str, int], Status] = lambda step, place: Status.EOS,
    client: Callable[[str, int], Key] = lambda step, place: CLIENT,
) -> FlowFile:
    """Run a flow to its end with a made-up node, and write down what came of it."""
    checked, inputs = check_flow(flow), opened(flow)
    plan = make_plan(checked, MODELS, inputs)
    known = Known({name: known.value for name, known in inputs.items()})
    done: list[StepRun] = []
    for name in checked.steps:
        runs: list[Run] = []
        while not isinstance(found := advance(checked, name, known, runs), Result):
            for call in found:
                key = client(name, call.place)
                job = change_job(name, call.place, job_of(call, plan, name, key))
                bundle = perform(name, job, call, key, answer, status(name, call.place), where)
                runs.append(Run(said(bundle), Leaf.unpack(bundle.receipt.leaf).output))
                done.append(StepRun(name, call.place, write_bundle(bundle).encode()))
        known.results[name] = found
    return FlowFile(plan, SECRET, inputs, tuple(done))


def job_of(call: Call, plan: Plan, step: str, key: Key) -> Job:
    assert call.request is not None
    secret = secret_of(step, call.place)
    return Job(
        client=key.address,
        model=ModelId(bytes.fromhex(plan.models[call.model][2:])),
        request=commit_request(request_salt(secret), encode_request(call.request)),
        sampling=call.step.sampling,
        deadline=Milliseconds(2**52),
        max_price=Wei(10**6),
        nonce=job_nonce(SECRET, plan_digest(plan), step, call.place),
        parents=call.parents,
    )


def secret_of(step: str, place: int) -> bytes:
    return sha256(f"{step} {place}".encode()).digest()


def perform(step: str, job: Job, call: Call, key: Key, answer: Answer, status: Status, where: Place) -> Bundle:
    """The bundle of one run, not anchored."""
    assert call.request is not None
    request, prompt = encode_request(call.request), (1, 2, 3)
    asked = call.request.text or call.request.messages[-1].content
    secret = secret_of(step, call.place)
    signed = sign_job(job, where.domain, key)
    transcript = Transcript(job.id(where.domain), secret, commit_prompt(prompt_salt(secret), prompt))
    bodies = (ChunkBody((7, 8), answer(asked), (-0.5, -0.25)),)
    for body in bodies:
        transcript.extend(body)
    leaf = Leaf(
        job=job.id(where.domain), client=job.client, model=job.model, runtime=digest("runtime"),
        params=job.sampling.digest, request=job.request, output=transcript.output_root,
        prompt_tokens=len(prompt), completion_tokens=2,
        price=Wei(20), started=Milliseconds(1000), ended=Milliseconds(2000), status=status,
        trace=transcript.trace_root, client_signature=signed.signature,
    )  # fmt: skip
    receipt = sign_receipt(leaf, where.append(leaf.pack()), Seconds(4_000_000_000), where.domain, where.node)
    return Bundle(where.domain, where.node.address, signed, receipt, Whole(secret, request, prompt, bodies))


def said(bundle: Bundle) -> str:
    assert isinstance(bundle.opening, Whole)
    return "".join(body.text for body in bundle.opening.chunks)


def closed(file: FlowFile, name: str, steps: Sequence[str]) -> FlowFile:
    """The file with one input closed, and so the questions of `steps`."""
    runs = []
    for run in file.runs:
        bundle = read_bundle(run.bundle)
        if run.step in steps:
            bundle = replace(bundle, opening=open_part(bundle.opening, [0]))
        runs.append(replace(run, bundle=write_bundle(bundle).encode()))
    kept = {other: known for other, known in file.opened.items() if other != name}
    return replace(file, opened=kept, runs=tuple(runs))


def with_plan(file: FlowFile, **changes: Any) -> FlowFile:
    """The file with a changed definition, everything else as it was signed."""
    flow = msgspec.structs.replace(file.plan.flow, **changes)
    return replace(file, plan=msgspec.structs.replace(file.plan, flow=flow))


def changed(file: FlowFile, step: str, change: Callable[[Any], Any], place: int = 0) -> FlowFile:
    """The file with one bundle changed and written anew, its own second line and the file's set right."""
    runs = tuple(
        replace(run, bundle=write_bundle(change(read_bundle(run.bundle))).encode())
        if (run.step, run.place) == (step, place)
        else run
        for run in file.runs
    )
    return replace(file, runs=runs)


def with_text(bundle: Any) -> Any:
    """Another answer than was given."""
    body = msgspec.structs.replace(bundle.opening.chunks[0], text="forged")
    return replace(bundle, opening=replace(bundle.opening, chunks=(body,)))
