"""What a caller may demand of an answer: its evidence, its nodes, and that several of them agree."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tallynet.client.gateway.faults import ApiError
from tallynet.client.gateway.policy import Agreement, Policy, both
from tallynet.engine import FakeEngine
from tests.client.gateway.stage import Stage, open_stage

ONE, TWO, THREE = ("0x" + digit * 40 for digit in "1aB")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, nodes=3) as stage:
        yield stage


def test_of_two_policies_the_stricter_holds() -> None:
    key = Policy(minimum_evidence="anchored", max_price_wei=10, nodes=(ONE, TWO), agreement=Agreement(1, 3))
    asked = Policy(max_price_wei=20, nodes=(TWO.upper().replace("X", "x"), THREE), deadline_seconds=5)

    assert both(key, asked) == Policy(
        minimum_evidence="anchored",
        max_price_wei=10,
        nodes=(TWO.upper().replace("X", "x"),),
        agreement=Agreement(1, 3),
        deadline_seconds=5,
    )
    assert both(Policy(), Policy()) == Policy()
    with pytest.raises(ApiError, match="no node in common"):
        both(Policy(nodes=(ONE,)), Policy(nodes=(THREE,)))


@pytest.mark.parametrize("level", ["logged", "anchored"])
async def test_an_answer_waits_for_the_evidence_that_is_demanded(stage: Stage, level: str) -> None:
    answer = await stage.chat(tally={"minimum_evidence": level})

    assert answer.headers["x-tally-evidence"] == answer.json()["tally"]["evidence"] == "anchored"
    assert (await stage.receipt(answer.json()["tally"]["job"])).inclusion is not None


async def test_evidence_that_does_not_come_in_time_is_an_error_with_the_receipt(tmp_path: Path) -> None:
    late = {"settings": {"anchor_seconds": 3600.0, "promise_seconds": 7200}}
    async with open_stage(tmp_path, devnet=late) as stage:
        answer = await stage.chat(tally={"minimum_evidence": "anchored", "deadline_seconds": 1.5})
        told = answer.json()
        bundle = await stage.receipt(told["tally"]["job"])

    assert (answer.status_code, told["error"]["code"]) == (503, "evidence_not_reached")
    assert answer.headers["x-should-retry"] == "false"
    assert bundle.inclusion is None


async def test_parents_are_named_in_the_job(stage: Stage) -> None:
    first = (await stage.chat()).json()["tally"]
    second = (await stage.chat(tally={"parents": [first["output"]]})).json()["tally"]

    assert (await stage.receipt(second["job"])).job.job.parents == (bytes.fromhex(first["output"][2:]),)


async def test_nodes_of_different_operators_agree(stage: Stage) -> None:
    answer = (await stage.chat(tally={"agreement": {"agree": 2, "among": 3}})).json()

    runs = answer["tally"]["runs"]
    assert len(answer["choices"]) == 1
    assert len({run["node"] for run in runs}) == len(runs) == 3
    for run in runs:
        bundle: Any = await stage.receipt(run["job"])
        assert "".join(chunk.text for chunk in bundle.opening.chunks) == answer["choices"][0]["message"]["content"]


class Dissenter(FakeEngine):
    """Says other words under the same model id: a node that runs something else than it offers."""

    async def _next_token(self, generation: Any, position: int) -> int:
        token = await super()._next_token(generation, position)
        return 256 + (token + id(self)) % 50


async def test_nodes_that_do_not_agree_are_an_error_with_their_receipts(tmp_path: Path) -> None:
    async with open_stage(tmp_path, nodes=2, engine=Dissenter) as stage:
        answer = await stage.chat(tally={"agreement": {"agree": 2, "among": 2}})

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "no_agreement")
    assert len(answer.json()["tally"]["runs"]) == 2


async def test_agreement_among_more_operators_than_there_are_is_refused(stage: Stage) -> None:
    answer = await stage.chat(tally={"agreement": {"agree": 2, "among": 4}})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_enough_operators")
