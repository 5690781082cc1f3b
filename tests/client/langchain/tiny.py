"""A real network in memory whose model is tiny: it calls tools because it is held to the JSON of a call."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from tallynet.client import AsyncClient, Client
from tallynet.client.portal import Portal
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import Engine, open_engine

NAME = "with-tools"
TEMPLATE = """{{ bos_token }}{% if tools %}<|system|>{{ tools | tojson }}{{ eos_token }}{% endif %}
{%- for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}
{%- for call in message.get('tool_calls') or [] %}{{ call['function'] | tojson }}{% endfor %}{{ eos_token }}
{%- endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
"""That of tally-tiny, with a place for tools and calls."""


class TinyClient(Client):
    """A client, and in its loop the whole network."""

    def __init__(self, folder: Path) -> None:
        self._portal = Portal(_open(folder), "client")


@cache
def client() -> Client:
    """Of two models: `tally-tiny`, which takes no tools, and NAME, the same with another template."""
    folder = Path(_folder().name)
    shutil.copytree(DEFAULT_MODEL, folder / NAME)
    (folder / NAME / "chat_template.jinja").write_text(TEMPLATE)
    return TinyClient(folder)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Gone when the tests are over."""
    return tempfile.TemporaryDirectory()


@asynccontextmanager
async def _open(folder: Path) -> AsyncIterator[AsyncClient]:
    def with_tools() -> Engine:
        return open_engine(str(folder / NAME))

    def plain() -> Engine:
        return open_engine(str(DEFAULT_MODEL))

    async with open_devnet(folder / "nodes", engine=with_tools, more=[plain]) as devnet, devnet.client() as client:
        yield client
