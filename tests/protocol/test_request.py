"""Requests: one encoding, one meaning, in valid text; chapter 1, checks (1) to (7) of a request."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.request import (
    MAX_DOCUMENTS,
    MAX_MESSAGES,
    MAX_REQUEST_BYTES,
    Bias,
    Message,
    Request,
    ToolCall,
    decode_request,
    encode_request,
)
from tests.protocol.examples import valid_request

ENCODED = encode_request(valid_request())
pack = msgspec.msgpack.encode

messages = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=st.text(max_size=50))
digests = st.binary(min_size=32, max_size=32)
made_from = {"template": st.none() | digests, "documents": st.lists(digests, max_size=5).map(tuple)}
wishes = st.fixed_dictionaries(
    {},
    optional={
        "schema": st.sampled_from(['{"type": "object"}', "{}"]),
        "tools": st.just('[{"type": "function"}]'),
        "logit_bias": st.just((Bias(3, -5), Bias(4, 10**8))),
    },
)
requests = st.one_of(
    st.builds(Request, messages=st.lists(messages, min_size=1, max_size=5).map(tuple), **made_from),
    st.builds(Request, text=st.text(min_size=1, max_size=50), top=st.integers(0, 5), **made_from),
    st.builds(Request, tokens=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=9).map(tuple)),
    st.builds(lambda text, wish: Request(text=text, **wish), st.text(min_size=1, max_size=50), wishes),
)


def refused(number: int, data: bytes) -> InvalidJob:
    with pytest.raises(InvalidJob) as refusal:
        decode_request(data)
    assert refusal.value.check == number
    return refusal.value


@given(request=requests)
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    assert decode_request(encode_request(request)) == request


def test_1_a_request_that_is_too_large() -> None:
    largest = encode_request(Request(text="x" * (MAX_REQUEST_BYTES - 11)))
    assert len(largest) == MAX_REQUEST_BYTES
    decode_request(largest)

    refused(1, encode_request(Request(text="x" * (MAX_REQUEST_BYTES - 10))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        ENCODED[:-1],
        ENCODED + b"\0",
        pack([]),
        pack("text"),
        pack({"text": 7}),
        pack({"text": None}),
        pack({"messages": [{"role": "user"}]}),
        pack({"messages": [{"role": "user", "content": "x", "name": "me"}]}),
        pack({"messages": [{"role": "narrator", "content": "x"}]}),
        pack({"text": "x", "logit_bias": [[5, 1]]}),
        pack({"text": "x", "logit_bias": [{"token": 5, "millionths": 10**9}]}),
        pack({"messages": [{"role": "user\n", "content": "x"}]}),
        pack({"messages": [{"role": "", "content": "x"}]}),
        pack({"messages": [{"role": "user", "content": "x"}] * (MAX_MESSAGES + 1)}),
        pack({"text": "x", "temperature": 1}),
        pack({"text": "x", "template": bytes(33)}),
        pack({"text": "x", "template": "a name"}),
        pack({"text": "x", "documents": [bytes(31)]}),
        pack({"text": "x", "documents": [bytes(32)] * (MAX_DOCUMENTS + 1)}),
        b"\x81\xa4text" + b"\xa2\xff\xfe",
        b"\x81\xa4text" + b"\xa3\xed\xa0\x80",
        b"\x81\xa4text" + b"\x91" * 100_000,
        b"\x81\xa1x" + b"\x91" * 100_000,
        b"\x81\xa8messages\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_2_bytes_that_are_no_request(data: bytes) -> None:
    refused(2, data)


@pytest.mark.parametrize(
    "request_",
    [Request(), Request(top=1), Request(messages=valid_request().messages, text="x"), Request(text="x", tokens=(1,))],
)
def test_3_both_messages_and_text_or_neither(request_: Request) -> None:
    refused(3, encode_request(request_))


@pytest.mark.parametrize(
    "data",
    [
        pack({"text": "x", "messages": []}),
        pack({"text": "x", "template": None}),
        b"\x82\xa4text\xa1x\xa4text\xa1x",
        b"\x81\xa4text\xd9\x01x",
        b"\xde\x00\x01\xa4text\xa1x",
        pack({"messages": [{"content": "x", "role": "user"}]}),
    ],
    ids=["empty field", "nil field", "field twice", "long string form", "long map form", "other order"],
)
def test_4_a_request_written_in_another_way(data: bytes) -> None:
    """Else one request would have two commitments."""
    refused(4, data)


def test_a_request_that_says_nothing_of_its_making_is_encoded_as_before() -> None:
    assert encode_request(Request(text="x")) == b"\x81\xa4text\xa1x"


CALL = ToolCall("call-1", "weather", '{"city":"Tokyo"}')


def test_a_dialogue_with_tools_is_read_as_it_was_written() -> None:
    asked, called = Message("user", "Is it warm?"), Message("assistant", "", tool_calls=(CALL,))
    request = Request(messages=(asked, called, Message("tool", "21 degrees", tool_call_id="call-1")), tools="[{}]")

    assert decode_request(encode_request(request)) == request


def test_what_is_not_asked_for_is_not_in_the_bytes() -> None:
    """So that requests of clients which know none of it have the commitments that they always had."""
    assert encode_request(Request(messages=(Message("user", "x"),))) == pack(
        {"messages": [{"role": "user", "content": "x"}]}
    )


@pytest.mark.parametrize(
    "wish",
    [
        {"schema": "["},
        {"schema": "[]"},
        {"schema": '{"a":' * 5000},
        {"tools": "{}"},
        {"tools": "[]"},
        {"tools": "[1]"},
    ],
    ids=str,
)
def test_5_what_is_no_json_of_its_kind(wish: dict[str, str]) -> None:
    refused(5, pack({"text": "x", **wish}))


def test_5_arguments_that_are_no_object() -> None:
    call = ToolCall("call-1", "weather", "[1]")
    refused(5, encode_request(Request(messages=(Message("assistant", "", tool_calls=(call,)),))))


@pytest.mark.parametrize("biases", [((4, 1), (3, 1)), ((3, 1), (3, 2)), ((3, 0),)], ids=str)
def test_6_biases_that_could_be_written_in_another_way(biases: tuple[tuple[int, int], ...]) -> None:
    refused(6, encode_request(Request(text="x", logit_bias=tuple(Bias(*bias) for bias in biases))))


@pytest.mark.parametrize(
    "turn",
    [
        Message("tool", "21 degrees"),
        Message("user", "x", tool_call_id="call-1"),
        Message("user", "x", tool_calls=(CALL,)),
        Message("tool", "x", tool_calls=(CALL,), tool_call_id="call-1"),
    ],
    ids=["no call", "a user answers", "a user calls", "a tool calls"],
)
def test_7_turns_that_are_nobodys(turn: Message) -> None:
    refused(7, encode_request(Request(messages=(turn,))))


@given(data=st.binary(max_size=80))
def test_random_bytes_are_refused_with_a_number(data: bytes) -> None:
    try:
        assert encode_request(decode_request(data)) == data
    except InvalidJob as refusal:
        assert refusal.check in range(1, 8)


@pytest.mark.parametrize("request_", [Request(text="\ud800"), Request(messages=(Message("user", "a\udfff"),))])
def test_a_lone_surrogate_is_refused_before_it_is_sent(request_: Request) -> None:
    with pytest.raises(InvalidJob) as refusal:
        encode_request(request_)
    assert refusal.value.check == 2


def test_a_refusal_repeats_no_control_characters_and_no_flood() -> None:
    refusal = refused(2, pack({"\x1b[2J" + "x" * 10_000: 1}))

    assert "\x1b" not in refusal.message
    assert len(refusal.message) < 300
