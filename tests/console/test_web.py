"""The HTTP port that programs serve on."""

import logging
from pathlib import Path

import httpx
import pytest
import trio
from fastapi import FastAPI

from tallynet.console.web import serve_app, split_bind
from tallynet.protocol.errors import Misconfigured

LOG = logging.getLogger("tests")


async def test_it_serves_where_it_says() -> None:
    app = FastAPI()
    app.add_api_route("/", lambda: {"here": True})
    async with trio.open_nursery() as nursery:
        url = await nursery.start(_serve, app)
        async with httpx.AsyncClient() as http:
            assert (await http.get(url)).json() == {"here": True}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bind", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "no.such.host.invalid:0", ":80"])
async def test_an_address_that_cannot_be_used_is_a_configuration_error(bind: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        await serve_app(FastAPI(), bind, LOG, remedy="Choose another.")

    assert refused.value.remedy == "Choose another."


def test_addresses_are_split_at_their_last_colon() -> None:
    assert split_bind("[::1]:80") == ("::1", 80)
    assert split_bind("localhost:0") == ("localhost", 0)


async def _serve(app: FastAPI, *, task_status: trio.TaskStatus[str]) -> None:
    await serve_app(app, "127.0.0.1:0", LOG, remedy="", task_status=task_status)
