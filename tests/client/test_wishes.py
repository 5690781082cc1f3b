"""A schema, tools and biases on their way into the request, and what cannot go there."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.client import commands
from tallynet.client.choosing import TEMPLATE_SPACE
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import Bias, Message, Request, decode_request
from tests.client.hosted import HostedTransport
from tests.client.test_commands import app
from tests.client.world import World

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOLD = {"type": "function", "function": TOOL["function"] | {"description": ""}}
"""As every template can read it."""
QUESTION = Message("user", "Is it warm?")


async def test_wishes_are_part_of_the_request_that_the_job_commits_to(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        await client.ask("tally-tiny", "Is it warm?", schema=SCHEMA, tools=[TOOL], logit_bias={9: -1.5, 3: 100, 4: 0})

    request = decode_request(node.submits[0].request)
    assert json.loads(request.schema) == SCHEMA
    assert json.loads(request.tools) == [TOLD]
    assert request.logit_bias == (Bias(3, 100_000_000), Bias(9, -1_500_000))


async def test_what_a_request_says_itself_stays_where_no_option_says_more(world: World) -> None:
    node = await world.node()
    mine = Request(messages=(QUESTION,), schema='{"type":"string"}', logit_bias=(Bias(1, 5),))
    async with world.client() as client:
        await client.ask("tally-tiny", mine, logit_bias={2: 1})

    request = decode_request(node.submits[0].request)
    assert (request.schema, request.logit_bias) == ('{"type":"string"}', (Bias(2, 1_000_000),))


async def test_without_wishes_the_request_is_what_it_always_was(world: World) -> None:
    node = await world.node()
    async with world.client() as client:
        await client.ask("tally-tiny", "Is it warm?")

    assert decode_request(node.submits[0].request) == Request(messages=(QUESTION,))


async def test_ceiling_leaves_room_for_tools_as_templates_write_them(world: World) -> None:
    node = await world.node(prompt_price=1, completion_price=0)
    async with world.client() as client:
        await client.ask("tally-tiny", "Is it warm?", tools=[TOOL])

    indented = json.dumps([TOOL], indent=4)
    assert len(indented) < TEMPLATE_SPACE * len(decode_request(node.submits[0].request).tools)
    assert node.submits[0].signed.job.max_price > len(indented)


@pytest.mark.parametrize(
    "wish",
    [
        {"schema": "{"},
        {"schema": "[]"},
        {"schema": {"type": object}},
        {"schema": {"description": "x" * 40_000}},
        {"tools": [1]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [TOOL] * 2},
        {"tools": [TOOL], "tool_choice": "rain"},
        {"tools": [TOOL], "tool_choice": {"type": "function"}},
        {"tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": "required", "schema": SCHEMA},
        {"tools": [TOOL], "parallel_tool_calls": False},
        {"tools": [{"type": "function", "function": {"name": "weather", "strict": True}}]},
        {"logit_bias": {1: 101}},
        {"logit_bias": {-1: 1}},
        {"logit_bias": {1: float("inf")}},
        {"logit_bias": dict.fromkeys(range(301), 1)},
    ],
    ids=lambda wish: str(wish)[:30],
)
async def test_wish_that_no_request_can_carry_is_refused_before_anybody_is_asked(world: World, wish: Any) -> None:
    node = await world.node()
    async with world.client() as client:
        with pytest.raises(InvalidJob):
            await client.ask("tally-tiny", "Is it warm?", **wish)

    assert node.submits == []


def test_schema_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = HostedTransport({})
    monkeypatch.setattr(commands, "open_client", lambda _, keep=True: transport.client(False))
    (tmp_path / "city.json").write_text(json.dumps(SCHEMA))

    def run(name: str) -> int:
        return CliRunner().invoke(app, ["ask", "tally-tiny", "Is it warm?", "--schema", str(tmp_path / name)]).exit_code

    assert run("city.json") == 0
    (node,) = transport.nodes
    assert json.loads(decode_request(node.submits[0].request).schema) == SCHEMA
    (tmp_path / "broken.json").write_bytes(b"\xff")
    assert (run("broken.json"), run("nowhere.json"), run(".")) == (2, 2, 2)
