"""Definitions of flows: start valid, break one thing."""

from typing import Any

import msgspec
import pytest

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import Critic, Flow, Kind, Map, Reduce, Step, TaskWords, Vote
from tallynet.protocol.flow_rules import check_flow, encode_flow
from tests.protocol.examples import digest
from tests.protocol.flows import capitals, everything


def step(prompt: str = "Hello", **fields: Any) -> Step:
    return Step(**{"model": "one", "prompt": prompt, **fields})


def task(document: str, template: str = "answer@1") -> TaskWords:
    return TaskWords(template, digest("a file"), documents=(document,))


def flow(**steps: Step) -> Flow:
    return Flow("test", steps, {"text": Kind.TEXT, "list": Kind.LIST})


def test_the_graph_is_what_the_templates_name() -> None:
    checked = check_flow(capitals())

    assert {name: checked.parents(name) for name in checked.steps} == {
        "capital": (), "french": ("capital",), "river": ("capital",), "merge": ("french", "river"),
        "title": ("merge",),
    }  # fmt: skip
    assert check_flow(everything()).parents("short") == ("notes",)


def test_a_definition_has_one_encoding() -> None:
    encoded = encode_flow(everything())

    assert encode_flow(msgspec.json.decode(encoded, type=Flow)) == encoded
    assert b'"split"' not in encoded


@pytest.mark.parametrize(
    ("broken", "name", "why"),
    [
        (flow(item=step()), None, "'item' is taken"),
        (flow(text=step()), None, "'text' is taken"),
        (flow(a=step("{{ b }}"), b=step()), "a", "names 'b', which is no input and no step before it"),
        (flow(a=step("{{ a }}")), "a", "names 'a'"),
        (flow(a=step("{{ item }}")), "a", "names 'item'"),
        (flow(a=step(map=Map("b"))), "a", "names 'b'"),
        (flow(a=step("{{ draft }}", critic=Critic("?", "ok", "!"))), "a", "names 'draft'"),
        (flow(a=step("{{ list }}")), "a", "'list' is a list and used as a text"),
        (flow(a=step("{{ text|join }}")), "a", "'text' is a text and used as a list"),
        (flow(a=step("{{ items }}", reduce=Reduce("list"))), "a", "'items' is a list"),
        (flow(a=step(reduce=Reduce("text"))), "a", "'text' is one text"),
        (flow(a=step(map=Map("list"), vote=Vote(2))), "a", "map and vote at once"),
        (flow(a=step(raw=True, system="Be brief.")), "a", "raw and system exclude each other"),
        (flow(a=step("{{ text")), "a", "the template cannot be read"),
        (flow(a=step(task=task("{{ text }}"))), "a", "a document of its task names 'text', and its prompt does not"),
        (flow(a=step(task=task("{{ text"))), "a", "the template cannot be read"),
        (flow(a=step(task=task("x", template="translate"))), None, "template"),
        (flow(a=step(max_tokens=0)), None, "max_tokens"),
        (flow(a=step(temperature=11)), None, "temperature"),
        (flow(a=step(map=Map("list", most=65))), None, "most"),
        (flow(Big=step()), None, "Big|pattern|regex"),
        (flow(), None, "cannot be read"),
        (flow(a=step("\ud800")), None, "cannot be read"),
        (Flow("Not A Name", {"a": step()}), None, "cannot be read"),
        (
            flow(a=step(map=Map("list", most=17)), b=step("{% for x in a %}{{ x }}{% endfor %}")),
            "b",
            "may build on 17 answers",
        ),
        (flow(a=step(vote=Vote(15)), b=step("{{ a }}", critic=Critic("?", "ok", "{{ a }}"))), "b", "may build on 17"),
        (flow(**{f"a{at}": step(map=Map("list", most=64)) for at in range(5)}), None, "may take 320 jobs"),
    ],
    ids=range(27),
)  # fmt: skip
def test_an_unsound_definition_is_refused(broken: Flow, name: str | None, why: str) -> None:
    with pytest.raises(InvalidFlow, match=why) as caught:
        check_flow(broken)

    assert caught.value.check == 2
    assert caught.value.step == name
    assert caught.value.remedy
