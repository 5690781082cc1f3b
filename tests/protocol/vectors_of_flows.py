"""Vectors of flows: what a plan commits to, what is decided from answers, what templates make, whole files."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import msgspec

from tallynet.protocol.bundle import read_bundle, write_bundle
from tallynet.protocol.flow import Choice, Flow, Kind, Split, Step
from tallynet.protocol.flow_choice import accepts, choose, split_text
from tallynet.protocol.flow_file import FlowFile, write_flow
from tallynet.protocol.flow_plan import commit_input, encode_plan, job_nonce, plan_digest
from tallynet.protocol.flow_rules import encode_flow
from tallynet.protocol.flow_template import Value, read_template, render
from tallynet.protocol.leaf import Status
from tests.protocol import vectors_of_tasks as of_tasks
from tests.protocol.examples import CLIENT, DOMAIN, STRANGER, digest
from tests.protocol.flows import closed, run_flow, with_plan
from tests.protocol.json_form import write

SPLITS = ((" one\r\n\n two", Split.LINES), ("", Split.LINES), ('["a", "b\\n"]', Split.JSON))
BALLOTS = (
    (("Osaka", " TOKYO.", "tokyo!"), Choice.MAJORITY),
    (("a", "b", "b", "a"), Choice.MAJORITY),
    (("blue and green", "the sky is blue", "the sky is blue today", "is it"), Choice.AGREEMENT),
    (("one", "two"), Choice.AGREEMENT),
)
CRITIQUES = (("\n OK, fine", "ok"), ("Not ok", "ok"), ("Yes", "YES"))
VALUES: dict[str, Value | int] = {"name": "Ada", "parts": ("a", "b", "c"), "number": 2}
TEMPLATES = (
    "Hello {{ name }}!\n",
    "{% for x in parts %}{{ loop.index }}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{{ parts|join('-') }} {{ parts|length }}",
    "line\n  {% if number > 1 %}\nmore\n{% else %}\none\n{% endif %}\nout",
)


def flows() -> dict[str, Any]:
    file = run_flow(two_steps())
    plan = plan_digest(file.plan)
    return {
        "domain": {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)},
        "inputs": [committed("Japan"), committed(""), committed(("a", "", "b"))],
        "plan": {"json": encode_plan(file.plan).decode(), "digest": write(plan)},
        "nonces": [
            {"secret": write(file.secret), "plan": write(plan), "step": step, "place": place,
             "nonce": write(job_nonce(file.secret, plan, step, place))}
            for step, place in (("capital", 0), ("french", 0), ("french", 255))
        ],
        "splits": [{"text": text, "split": split, "items": list(split_text(text, split))} for text, split in SPLITS],
        "votes": [{"ballots": list(ballots), "by": by, "winner": choose(ballots, by)} for ballots, by in BALLOTS],
        "critiques": [
            {"critique": critique, "accept": accept, "accepts": accepts(critique, accept)}
            for critique, accept in CRITIQUES
        ],
        "values": {name: list(value) if isinstance(value, tuple) else value for name, value in VALUES.items()},
        "templates": [{"source": source, "text": render(read_template(source), VALUES)} for source in TEMPLATES],
        "words": of_tasks.words(),
        "invalid_definitions": [
            {"json": encode_flow(of_tasks.definition(steps)).decode(), **refusal(2, step, reason)}
            for steps, step, reason in of_tasks.unsound()
        ],
        "valid": [
            {"file": text_of(file), "words": {}},
            {"file": text_of(closed(file, "country", ["capital"])), "words": {}},
            of_tasks.file_with_tasks(),
        ],
        "invalid": [
            {"file": broken if isinstance(broken, str) else text_of(broken), **refusal(check, step, reason)}
            for broken, check, step, reason in wrong(file)
        ],
    }  # fmt: skip


def refusal(check: int, step: str | None, reason: str) -> dict[str, Any]:
    return {"error": "invalid-flow", "check": check, "step": step, "reason": reason}


def two_steps() -> Flow:
    return Flow(
        "two",
        {
            "capital": Step("one", "What is the capital of {{ country }}?"),
            "french": Step("two", "In French: {{ capital }}", max_tokens=24, temperature=0.5),
        },
        {"country": Kind.TEXT},
    )


def wrong(file: FlowFile) -> Any:
    def parentless(step: str, _place: int, job: Any) -> Any:
        return msgspec.structs.replace(job, parents=()) if step == "french" else job

    def elsewhere(step: str, _place: int, job: Any) -> Any:
        return msgspec.structs.replace(job, nonce=digest("another plan")) if step == "french" else job

    prompts = {**file.plan.flow.steps, "french": msgspec.structs.replace(two_steps().steps["french"], prompt="Hm")}
    forgotten = {**file.plan.flow.steps, "french": Step("two", "{{ italian }}")}
    sampled = {**file.plan.flow.steps, "french": msgspec.structs.replace(two_steps().steps["french"], temperature=1.0)}
    renamed = {**file.plan.flow.steps, "capital": msgspec.structs.replace(two_steps().steps["capital"], prompt="Hm")}
    text = text_of(file)
    yield text[:-20], 1, None, "the last bundle is cut short"
    yield text.replace('plan {"flow"', 'plan { "flow"'), 1, None, "the plan is written in another way"
    yield with_plan(file, steps=forgotten), 2, "french", "it names a step that is not there"
    yield with_models(file), 3, None, "the plan lacks a model"
    yield replace(file, opened={"country": replace(file.opened["country"], value="China")}), 3, None, "another input"
    yield replace(file, runs=(file.runs[0], altered(file))), 4, "french", "an answer is altered"
    yield replace(file, runs=file.runs[:1]), 5, "french", "a run is missing"
    yield replace(file, runs=(*file.runs, file.runs[1])), 5, "french", "a run has the place of another"
    yield with_plan(file, steps=sampled), 6, "french", "tokens were chosen in another way"
    cut = run_flow(two_steps(), status=lambda step, _: Status.DEADLINE if step == "french" else Status.EOS)
    yield cut, 7, "french", "an answer was cut short"
    yield run_flow(two_steps(), change_job=parentless), 8, "french", "a job does not name what it builds on"
    yield with_plan(file, steps=prompts), 8, "french", "its template no longer names what it was built on"
    yield with_plan(file, steps=renamed), 9, "capital", "its template makes another prompt"
    yield run_flow(two_steps(), change_job=elsewhere), 10, "french", "a job was signed for another plan"
    stranger = run_flow(two_steps(), client=lambda step, _: STRANGER if step == "french" else CLIENT)
    yield stranger, 10, "french", "two clients"
    yield other_sum(text), 11, None, "the second line is another file's"
    for flow, step, reason in of_tasks.wrong_words():
        yield run_flow(flow), 13, step, reason


def with_models(file: FlowFile) -> FlowFile:
    models = {"one": file.plan.models["one"]}
    return replace(file, plan=msgspec.structs.replace(file.plan, models=models))


def other_sum(text: str) -> str:
    """The file with a second line of 32 other bytes."""
    first, _, *others = text.split("\n")
    return "\n".join((first, "sha256 " + b64encode(digest("another file")).decode(), *others))


def altered(file: FlowFile) -> Any:
    bundle: Any = read_bundle(file.runs[1].bundle)
    body = msgspec.structs.replace(bundle.opening.chunks[0], text="forged")
    bundle = replace(bundle, opening=replace(bundle.opening, chunks=(body,)))
    return replace(file.runs[1], bundle=write_bundle(bundle).encode())


def committed(value: Value) -> dict[str, Any]:
    salt = digest(f"salt of {value}")
    given = list(value) if isinstance(value, tuple) else value
    return {"salt": write(salt), "value": given, "commitment": write(commit_input(salt, value))}


def text_of(file: FlowFile) -> str:
    return write_flow(file).decode()
