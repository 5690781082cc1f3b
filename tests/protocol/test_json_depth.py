"""Foreign JSON that nests too deeply ends nobody's process, whatever limit of recursion libraries have set."""

import sys
from collections.abc import Callable, Iterator

import pytest

from tallynet.client.gateway.parameters import read_body
from tallynet.client.gateway.policy import Policy
from tallynet.client.tasks.reading import read_json
from tallynet.protocol.errors import InvalidJob, TallyError
from tallynet.protocol.json_depth import MAX_JSON_DEPTH, check_depth
from tallynet.protocol.request import Message, Request, ToolCall, decode_request, encode_request

DEEP = "[" * 100_000


@pytest.fixture(autouse=True)
def limit_of_py_ecc() -> Iterator[None]:
    """What it is as soon as web3 is imported: any parser would end the process."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


def nested(depth: int) -> str:
    return '{"a": [' * (depth // 2) + "]}" * (depth // 2)


@pytest.mark.parametrize("text", ["", "1", '"' + DEEP + '"', r'{"\"[[": "]"}', "[]" * 1000, nested(MAX_JSON_DEPTH)])
def test_what_does_not_nest_too_deeply(text: str) -> None:
    check_depth(text)
    check_depth(text.encode())


@pytest.mark.parametrize("text", [DEEP, nested(MAX_JSON_DEPTH + 2), r'"\\"' + DEEP, "]" + "[ {" * 200], ids=range(4))
def test_what_does(text: str) -> None:
    with pytest.raises(RecursionError, match="more than 200 deep"):
        check_depth(text)
    with pytest.raises(RecursionError):
        check_depth(text.encode())


@pytest.mark.parametrize(
    "request_",
    [
        Request(text="x", schema='{"a":' * 6000),
        Request(text="x", tools=DEEP),
        Request(messages=(Message("assistant", "x", tool_calls=(ToolCall("1", "f", '{"a":' + DEEP),)),)),
    ],
    ids=["schema", "tools", "arguments"],
)
def test_5_a_request_that_would_end_its_node_is_refused(request_: Request) -> None:
    with pytest.raises(InvalidJob, match="200 deep") as refused:
        decode_request(encode_request(request_))
    assert refused.value.check == 5


@pytest.mark.parametrize(
    "read", [read_json, lambda text: read_body(b'{"a": ' + text.encode(), Policy)], ids=["answer", "gateway"]
)
def test_what_answers_and_callers_hold_is_refused(read: Callable[[str], object]) -> None:
    with pytest.raises(TallyError, match="200 deep"):
        read(DEEP)
