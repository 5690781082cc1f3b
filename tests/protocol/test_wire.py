"""Frames: each message comes back as it was sent; whatever else comes is refused as `InvalidFrame`."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.protocol.errors import (
    Busy,
    Deferred,
    Invalid,
    InvalidFrame,
    InvalidJob,
    Misconfigured,
    Pending,
    Refused,
    TallyError,
)
from tallynet.protocol.tiles import TILE_WIDTH, write_bundle
from tallynet.protocol.wire import (
    HEADER_BYTES,
    MAX_FILE_BYTES,
    MAX_FRAME_BYTES,
    MAX_PATH,
    MAX_REASON,
    MAX_RETRY_MS,
    AskInclusion,
    Cancel,
    Codec,
    File,
    FromClient,
    FromNode,
    InfoAnswer,
    InfoAsk,
    LogAnswer,
    LogAsk,
    ProofPath,
    Rejected,
    Submit,
    decode_length,
    encode_frame,
    error_of,
    rejection,
)
from tests.protocol.examples import digest, valid_frames, valid_leaf

UNIONS: dict[str, Any] = {
    "from-client": FromClient,
    "from-node": FromNode,
    "info-ask": InfoAsk,
    "info-answer": InfoAnswer,
    "log-ask": LogAsk,
    "log-answer": LogAnswer,
}
CODECS: dict[str, Codec[Any]] = {name: Codec(union) for name, union in UNIONS.items()}
SIDE_OF = {
    "submit": "from-client",
    "cancel": "from-client",
    "accepted": "from-node",
    "chunk": "from-node",
    "receipt": "from-node",
    "rejected": "from-node",
    "ask-adverts": "info-ask",
    "adverts": "info-answer",
    "ask-checkpoint": "log-ask",
    "ask-file": "log-ask",
    "ask-inclusion": "log-ask",
    "ask-consistency": "log-ask",
    "ask-receipt": "log-ask",
    "ask-opening": "log-ask",
    "opening": "log-answer",
    "no-consent": "log-answer",
    "not-kept": "log-answer",
    "checkpoint": "log-answer",
    "file": "log-answer",
    "proof": "log-answer",
}
FRAMES = valid_frames()
BODIES = {tag: encode_frame(frame)[HEADER_BYTES:] for tag, frame in FRAMES.items()}
TAGS = list(FRAMES)


def decode(tag: str, body: bytes) -> Any:
    return CODECS[SIDE_OF[tag]].decode(body)


def refused(tag: str, body: bytes) -> InvalidFrame:
    with pytest.raises(InvalidFrame) as refusal:
        decode(tag, body)
    assert refusal.value.check == 2
    return refusal.value


def plain(tag: str) -> dict[str, Any]:
    """The fields of a valid message, to change one of them."""
    fields: dict[str, Any] = msgspec.msgpack.decode(BODIES[tag])
    return fields


def pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def test_every_message_has_an_example() -> None:
    tags = {kind.__struct_config__.tag for union in UNIONS.values() for kind in getattr(union, "__args__", (union,))}

    assert tags == set(TAGS) == set(SIDE_OF)


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_comes_back_as_it_was_sent(tag: str) -> None:
    frame = encode_frame(FRAMES[tag])

    assert decode_length(frame[:HEADER_BYTES]) == len(frame) - HEADER_BYTES
    assert decode(tag, frame[HEADER_BYTES:]) == FRAMES[tag]
    assert plain(tag)["t"] == tag


# Length


@pytest.mark.parametrize("length", [1, MAX_FRAME_BYTES])
def test_a_length_within_the_cap_is_taken(length: int) -> None:
    assert decode_length(length.to_bytes(4, "big")) == length


@pytest.mark.parametrize(
    "header", [bytes(4), (MAX_FRAME_BYTES + 1).to_bytes(4, "big"), b"\xff" * 4, b"GET ", b"", b"\0\0\1", b"\0\0\0\0\1"]
)
def test_1_a_length_outside_the_cap(header: bytes) -> None:
    with pytest.raises(InvalidFrame) as refusal:
        decode_length(header)
    assert refusal.value.check == 1


def test_a_message_over_the_cap_is_never_sent() -> None:
    with pytest.raises(ValueError, match="over 524288"):
        encode_frame(Submit(FRAMES["submit"].signed, bytes(MAX_FRAME_BYTES), digest("secret")))  # type: ignore[attr-defined]


# (2) one thing broken


@pytest.mark.parametrize("tag", TAGS)
def test_2_an_unknown_field(tag: str) -> None:
    refused(tag, pack({**plain(tag), "extra": 1}))


@pytest.mark.parametrize("tag", TAGS)
def test_2_a_missing_field(tag: str) -> None:
    optional = {
        ("rejected", "retry_after_ms"), ("ask-adverts", "model"), ("ask-adverts", "node"), ("ask-adverts", "t")
    }  # fmt: skip
    for name in plain(tag):
        if (tag, name) not in optional:
            fields = plain(tag)
            del fields[name]
            if fields or tag not in ("cancel", "ask-checkpoint"):
                refused(tag, pack(fields))


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("wrong", [None, True, 1.5, "text", [[]], {"x": 1}, 2**64 - 1, -1, -(2**63)], ids=repr)
def test_2_a_field_of_another_type_or_out_of_bounds(tag: str, wrong: object) -> None:
    fine = [
        ("rejected", "reason", "text"), ("rejected", "code", "text"), ("ask-file", "path", "text"),
        ("ask-adverts", "model", None), ("ask-adverts", "node", None),
    ]  # fmt: skip
    for name in plain(tag):
        if name != "t" and (tag, name, wrong) not in fine:
            refused(tag, pack({**plain(tag), name: wrong}))


@pytest.mark.parametrize("tag", TAGS)
def test_2_a_message_of_another_protocol_or_the_other_side(tag: str) -> None:
    for name, codec in CODECS.items():
        at_home = SIDE_OF[tag] == name or (tag == "rejected" and name != "from-client" and name.endswith("answer"))
        if not at_home and (tag, name) != ("receipt", "log-answer"):
            with pytest.raises(InvalidFrame):
                codec.decode(BODIES[tag])


@pytest.mark.parametrize("unknown", ["submit2", "Submit", "", 1, None, b"submit", ["submit"]])
def test_2_an_unknown_type(unknown: object) -> None:
    refused("submit", pack({**plain("submit"), "t": unknown}))


@pytest.mark.parametrize("tag", TAGS)
def test_2_a_truncated_message(tag: str) -> None:
    for length in range(0, len(BODIES[tag]), 1 + len(BODIES[tag]) // 100):
        refused(tag, BODIES[tag][:length])


@pytest.mark.parametrize("tag", TAGS)
def test_2_bytes_after_the_end(tag: str) -> None:
    refused(tag, BODIES[tag] + b"\0")
    refused(tag, BODIES[tag] + BODIES[tag])


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
def test_2_text_that_is_not_utf_8(text: bytes) -> None:
    reason = b"17 jobs run or wait here"
    broken = text + reason[len(text) :]

    refused("rejected", BODIES["rejected"].replace(reason, broken))
    refused("rejected", b"\x81" + bytes([0xA0 + len(text)]) + text + b"\x01")


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 200_000,
        b"\x82\xa1x" + b"\x91" * 200_000 + b"\xc0\xa1t\xa6cancel",
        b"\x81\xa1t" + b"\x81\xa1t" * 60_000,
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\xa1t\xc7\xff\xff",
        b"\xd6\xff\0\0\0\0",
        b"\xc1",
    ],
    ids=["deep list", "deep unknown field", "deep map", "huge map", "huge list", "huge bytes", "ext", "time", "never"],
)
def test_2_deep_nesting_and_sizes_that_are_only_announced(body: bytes) -> None:
    for tag in TAGS:
        refused(tag, body)


@pytest.mark.parametrize("logprob", [float("nan"), float("inf"), -float("inf"), 1e-9, -1e300])
def test_2_a_logprob_that_is_none(logprob: float) -> None:
    fields = plain("chunk")
    fields["chunk"]["body"]["logprobs"][3] = logprob

    assert "$.chunk.body.logprobs" in refused("chunk", pack(fields)).message


@pytest.mark.parametrize(
    ("tag", "changes"),
    [
        ("submit", {"secret": bytes(31)}),
        ("submit", {"request": bytes(256 * 1024 + 1)}),
        ("accepted", {"prompt": [2**32]}),
        ("accepted", {"prompt": [0] * 65537}),
        ("accepted", {"waiting": 2**32}),
        ("rejected", {"code": "Busy"}),
        ("rejected", {"code": ""}),
        ("rejected", {"code": "busy\n"}),
        ("rejected", {"reason": "x" * 1025}),
        ("rejected", {"retry_after_ms": 2**32}),
        ("file", {"data": bytes(2**17 + 1)}),
        ("ask-file", {"path": "x" * 65}),
        ("ask-file", {"path": "tile/0/000\n"}),
        ("ask-file", {"path": "tile/0/\u0660\u0660\u0660"}),
        ("ask-adverts", {"node": bytes(21)}),
        ("ask-inclusion", {"size": 2**40 + 1}),
        ("proof", {"path": [bytes(32)] * 64}),
        ("proof", {"path": [bytes(33)]}),
        ("checkpoint", {"node": bytes(19)}),
    ],
)
def test_2_a_field_just_over_its_bound(tag: str, changes: dict[str, Any]) -> None:
    refused(tag, pack({**plain(tag), **changes}))


def test_the_fullest_messages_fit_a_frame() -> None:
    encode_frame(ProofPath((digest("x"),) * MAX_PATH))
    encode_frame(File(write_bundle([valid_leaf().pack()] * TILE_WIDTH)))
    encode_frame(File(bytes(MAX_FILE_BYTES)))
    prompt = {**plain("accepted"), "prompt": [2**32 - 1] * 65536}
    assert len(pack(prompt)) <= MAX_FRAME_BYTES
    decode("accepted", pack(prompt))


# Whatever comes


@settings(max_examples=200)
@given(body=st.binary(max_size=200), side=st.sampled_from(list(CODECS)))
def test_random_bytes_raise_nothing_but_invalid(body: bytes, side: str) -> None:
    answers_or_is_refused(side, body)


@settings(max_examples=300)
@given(data=st.data(), tag=st.sampled_from(TAGS))
def test_a_damaged_message_raises_nothing_but_invalid(data: st.DataObject, tag: str) -> None:
    body = bytearray(BODIES[tag])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, min(len(body), 300) - 1))] = data.draw(st.integers(0, 255))
    answers_or_is_refused(SIDE_OF[tag], bytes(body))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(data=st.data(), tag=st.sampled_from(TAGS), value=anything)
def test_a_field_of_any_other_value_raises_nothing_but_invalid(data: st.DataObject, tag: str, value: object) -> None:
    name = data.draw(st.sampled_from(list(plain(tag))))

    answers_or_is_refused(SIDE_OF[tag], pack({**plain(tag), name: value}))


def answers_or_is_refused(side: str, body: bytes) -> None:
    """What is read can be written again; what is not read is `Invalid`, with a message that can be shown."""
    try:
        frame = CODECS[side].decode(body)
    except Invalid as refusal:
        assert refusal.message.isprintable()
        assert len(refusal.message) < 300
    else:
        assert CODECS[side].decode(encode_frame(frame)[HEADER_BYTES:]) == frame


# Refusals


def test_an_invalid_job_is_told_with_its_number_and_raised_as_refused() -> None:
    told = rejection(InvalidJob("the deadline has passed", check=2))
    error = error_of(told)

    assert told == Rejected("invalid-job", 2, "the deadline has passed", 0)
    assert isinstance(error, Refused)
    assert "(2) the deadline has passed" in error.message
    assert error.reason == "the deadline has passed"


@pytest.mark.parametrize("kind", [Busy, Pending])
def test_not_now_stays_not_now_with_its_time(kind: type[Deferred]) -> None:
    error = error_of(rejection(kind("later", retry_after_ms=250)))

    assert type(error) is kind
    assert isinstance(error, Deferred)
    assert error.retry_after_ms == 250


@pytest.mark.parametrize(("milliseconds", "told"), [(0, 1), (-5, 1), (2**40, MAX_RETRY_MS)])
def test_any_time_of_a_deferral_can_be_told(milliseconds: int, told: int) -> None:
    rejected = rejection(Busy("later", retry_after_ms=milliseconds))

    assert rejected.retry_after_ms == told
    assert decode("rejected", encode_frame(rejected)[HEADER_BYTES:]) == rejected
    assert isinstance(error_of(rejected), Busy)


@pytest.mark.parametrize("message", ["x" * 5000, "\x1b]0;title\x07", "two\nlines", "\ud800", ""])
def test_any_error_can_be_told(message: str) -> None:
    for error in (InvalidJob(message, check=3), Misconfigured(message), Refused(message), TallyError(message)):
        rejected = rejection(error)

        assert decode("rejected", encode_frame(rejected)[HEADER_BYTES:]) == rejected
        assert len(rejected.reason) <= MAX_REASON


def test_a_peer_s_words_cannot_disturb_a_terminal() -> None:
    error = error_of(Rejected("invalid-job", 1, "\x1b[2Jyou were robbed\r\n", 0))

    assert str(error).isprintable()
    assert isinstance(error, Refused)
    assert error.reason.isprintable()


def test_a_message_is_bound_by_nothing_but_its_statement() -> None:
    """A frame has no signature of its own: two ways of writing one message are one message."""
    fields = plain("ask-inclusion")
    reordered = {name: fields[name] for name in reversed(fields)}

    assert decode("ask-inclusion", pack(reordered)) == FRAMES["ask-inclusion"] == AskInclusion(5, 32)
    assert decode("cancel", BODIES["cancel"]) == Cancel()
