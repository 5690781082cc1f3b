"""Schemathesis reads the gateway's own OpenAPI and asks whatever comes to it: nothing gets 500.

`make test-api` runs this. Without the package it is skipped: it is an extra (`pip install -e '.[api]'`).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tallynet.client.portal import Portal
from tests.client.gateway.scripted_engine import Scripted
from tests.client.gateway.stage import Stage, open_stage

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is missing: pip install -e '.[api]'")

pytestmark = [pytest.mark.api, pytest.mark.timeout(600)]
SAID = 'I look. <tool_call>{"name": "0", "arguments": {}}</tool_call>'
"""By a model that takes tools, schemas and biases."""
EXAMPLES = 40
"""Of each route and method."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stage")
    settings: dict[str, Any] = {"requests_per_minute": 1_000_000, "deadline_seconds": 5.0}
    portal: Portal[Stage] = Portal(open_stage(folder, engine=partial(Scripted, SAID), **settings), "stage")

    async def url_of(stage: Stage) -> str:
        return stage.url

    yield portal.call(url_of)
    portal.close()


def test_no_request_gets_500(url: str) -> None:
    asked: dict[str, set[int]] = {}
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        ask_many(operation, asked.setdefault(operation.label, set()))

    assert {label.split()[1] for label in asked} >= {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models",
    }  # fmt: skip
    assert 200 in asked["GET /v1/models"]
    assert 400 in asked["POST /v1/chat/completions"]


def ask_many(operation: Any, statuses: set[int]) -> None:
    """Adds every status that was answered."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any) -> None:
        answer = case.call()
        statuses.add(answer.status_code)
        assert answer.status_code not in (500, 501), answer.text
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    ask()
