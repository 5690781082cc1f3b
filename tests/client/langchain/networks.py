"""One network in memory for all tests here: models that write, and one that makes vectors."""

from functools import cache

from tallynet.client import Client
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import encode_embedding
from tallynet.protocol.job import Task
from tallynet.protocol.units import ModelId
from tests.client.hosted import HostedTransport
from tests.client.langchain.obedient import obey

VECTOR = ChunkBody((), encode_embedding((0.6, -0.8)), ())


@cache
def transport() -> HostedTransport:
    """The nodes: `tally-tiny`, `other` and `vectors`, and `obedient`, which does what is wished."""
    return HostedTransport(
        {},
        {"name": "other", "model": ModelId(b"\1" * 32)},
        {"name": "vectors", "model": ModelId(b"\2" * 32), "task": Task.EMBED, "pieces": (VECTOR,)},
        {"name": "obedient", "model": ModelId(b"\3" * 32), "say": obey},
    )


@cache
def client() -> Client:
    """Closed when the tests are over."""
    return transport().client()
