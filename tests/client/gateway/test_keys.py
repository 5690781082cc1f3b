"""API keys: who gets in, how much, and that nobody reads another's receipts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallynet.client.gateway.commands import gateway_app
from tallynet.client.gateway.config import GatewayConfig
from tallynet.client.gateway.keys import Caller, open_keys
from tallynet.client.gateway.policy import Policy
from tallynet.client.gateway.rates import Rates
from tallynet.client.gateway.serving import run_gateway
from tallynet.devnet.fixture import open_devnet
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import JobId, Seconds, Wei
from tests.client.gateway.stage import Stage, chat_body, open_stage

CHAT = "/v1/chat/completions"
DAY = Seconds(86_400)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as stage:
        yield stage


async def ask(stage: Stage, secret: str | None, **changes: Any) -> Any:
    async with stage.http(secret) as http:
        return await http.post(CHAT, json={**chat_body(), **changes})


async def test_without_keys_everybody_on_this_machine_may_ask(stage: Stage) -> None:
    assert (await ask(stage, None)).status_code == 200


async def test_once_there_is_a_key_nobody_asks_without_one(stage: Stage) -> None:
    secret = stage.key()

    assert (await ask(stage, secret)).status_code == 200
    for wrong in (None, "tally-nonsense", secret + "x"):
        refused = await ask(stage, wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


async def test_a_revoked_key_opens_nothing_at_once(stage: Stage) -> None:
    secret = stage.key()
    stage.key("bob")
    with open_keys(stage.config.keys) as keys:
        keys.revoke("alice", Seconds(1))

    assert (await ask(stage, secret)).status_code == 401


async def test_metrics_and_models_need_the_key_as_well(stage: Stage) -> None:
    stage.key()

    assert [(await stage.get(path)).status_code for path in ("/metrics", "/v1/models", "/healthz")] == [401, 401, 200]


async def test_nobody_reads_the_receipt_of_another_key(stage: Stage) -> None:
    alice, bob = stage.key(), stage.key("bob")
    path = (await ask(stage, alice)).json()["tally"]["receipt"]
    async with stage.http(alice) as http:
        own = await http.get(path)
    async with stage.http(bob) as http:
        foreign = await http.get(path)

    assert (own.status_code, foreign.status_code) == (200, 404)


async def test_a_port_that_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    config = GatewayConfig(keys=tmp_path / "keys", listen="0.0.0.0:0")
    async with open_devnet(tmp_path) as devnet, devnet.client() as client:
        with pytest.raises(Misconfigured, match="no API key"):
            await run_gateway(config, client)


async def test_the_days_tokens_run_out(stage: Stage) -> None:
    secret = stage.key(tokens_per_day=100)
    first = await ask(stage, secret)
    refused = await ask(stage, secret, max_tokens=100)

    assert first.status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["x-should-retry"] == "false"


async def test_too_many_requests_are_told_when_to_come_back(stage: Stage) -> None:
    secret = stage.key(requests_per_minute=2)
    answers = [await ask(stage, secret) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(answers[2].headers["retry-after"]) <= 30


def test_a_bucket_fills_again_evenly() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    rates.take("alice", 1)
    now = 59.0
    with pytest.raises(Exception, match="come back in 1 s"):
        rates.take("alice", 1)
    now = 60.0
    rates.take("alice", 1)


async def test_the_policy_of_a_key_holds_for_all_its_requests(tmp_path: Path) -> None:
    async with open_stage(tmp_path, nodes=2) as stage:
        first, second = ("0x" + node.address.hex() for node in stage.devnet.nodes)
        secret = stage.key(policy=Policy(nodes=(second,)))
        answers = [await ask(stage, secret) for _ in range(4)]
        refused = await ask(stage, secret, tally={"nodes": [first]})

    assert {answer.json()["tally"]["node"] for answer in answers} == {second}
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "nodes_not_allowed")


def test_the_file_holds_no_secret(tmp_path: Path) -> None:
    with open_keys(tmp_path / "keys") as keys:
        secret = keys.add(Caller("alice"), Seconds(5))
        keys.book(JobId(bytes(32)), Caller("alice"), 10, Wei(2**63 - 1), DAY)
        keys.book(JobId(bytes(32)), Caller("alice"), 10, Wei(7), DAY)

        assert keys.find(secret) == Caller("alice")
        assert (keys.tokens_today("alice", DAY), keys.tokens_today("alice", Seconds(2 * DAY))) == (10, 0)
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("nonsense" * 1000)
    with pytest.raises(Misconfigured, match="cannot be used"), open_keys(tmp_path / "keys"):
        pass


def test_keys_are_made_listed_and_revoked_from_the_command_line(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        done = CliRunner().invoke(gateway_app, ["keys", *arguments, "--keys", str(tmp_path / "k"), "--json"])
        return done.exit_code, json.loads(done.stdout.splitlines()[-1])

    code, made = run("add", "alice", "--tokens-per-day", "500", "--max-price", "9", "--minimum-evidence", "anchored")
    with open_keys(tmp_path / "k") as keys:
        caller = keys.find(made["secret"])

    assert code == 0
    assert caller == Caller("alice", 500, None, Policy(minimum_evidence="anchored", max_price_wei=9))
    assert run("add", "alice")[0] == run("add", "b b")[0] == run("revoke", "nobody")[0] == 2
    assert run("add", "bob", "--minimum-evidence", "hearsay")[0] == 2
    assert run("revoke", "alice") == (0, {"revoked": "alice"})
    (row,) = run("list")[1]["keys"]
    assert (row["name"], row["tokens_per_day"], row["runs"]) == ("alice", 500, 0) and row["revoked"]
