"""Token ids where a server tells none: of prompts they hold the request, of answers they follow from the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.engine import Piece
from tallynet.engine.upstream.events import EventReader, Part, read_parts
from tallynet.engine.upstream.reply import Reply
from tallynet.engine.upstream.stand_ins import VOCABULARY_SIZE, decode_request, encode_request, stand_in
from tallynet.protocol.request import Message, Request

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
turns = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts)
requests = st.builds(Request, messages=st.lists(turns, min_size=1, max_size=5).map(tuple)) | st.builds(
    Request, text=texts.filter(bool)
)


@given(requests)
def test_the_ids_of_a_prompt_hold_the_whole_request(request: Request) -> None:
    assert decode_request(encode_request(request)) == request


def test_the_ids_of_a_prompt_are_bytes_after_the_mark_of_who_speaks() -> None:
    assert encode_request(Request(text="aä")) == (97, 195, 164)
    assert encode_request(Request(messages=(Message("user", "a"), Message("assistant", "")))) == (257, 97, 258)


@pytest.mark.parametrize("tokens", [(259, 97), (255,), (257, 195), (97, 257)])
def test_ids_that_are_no_request_are_refused(tokens: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        decode_request(tokens)


def test_the_id_of_a_part_follows_from_its_text() -> None:
    assert stand_in(" Tokyo") == stand_in(" Tokyo") != stand_in("Tokyo")
    assert all(0 <= stand_in(chr(letter)) < VOCABULARY_SIZE for letter in range(2000))


# Events


STREAM = (
    b": a comment\r\nevent: message\r\ndata: {}\r\n\r\n"
    b'data:{"choices":[]}\n\ndata: {"choices":[{"text":" two"}]}\n\ndata: [DONE]\n\n'
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_do_not_depend_on_how_their_bytes_come(cuts: list[int]) -> None:
    reader, edges = EventReader(), [0, *sorted(cuts), len(STREAM)]

    events = [event for begin, end in zip(edges, edges[1:], strict=False) for event in reader.feed(STREAM[begin:end])]

    assert events == [b"{}", b'{"choices":[]}', b'{"choices":[{"text":" two"}]}', b"[DONE]"]


def test_a_logprob_that_no_chunk_may_hold_is_brought_within_bounds() -> None:
    event = b'{"choices":[{"text":"abc","logprobs":{"tokens":["a","b","c"],"token_logprobs":[1e-7,-1e300,-0.25]}}]}'
    (part,) = read_parts(event)

    assert part.logprobs == (0.0, -1e30, -0.25)
    assert (part.ids_told, part.logprobs_told) == (False, True)
    assert part.tokens == (stand_in("a"), stand_in("b"), stand_in("c"))


# Replies


def part(text: str, count: int = 1, reason: str | None = None) -> Part:
    return Part(text, tuple(range(count)), (-1.0,) * count, True, True, reason)


def test_a_part_with_many_tokens_is_several_pieces() -> None:
    reply = Reply(limit=100, stops=(), clock=lambda: 0.0)

    pieces = list(reply.add(part("forty tokens", 40, "stop")))

    assert [len(piece.tokens) for piece in pieces] == [16, 16, 8]
    assert "".join(piece.text for piece in pieces) == "forty tokens"
    assert [piece.finish is None for piece in pieces] == [True, True, False]


@pytest.mark.parametrize("sizes", [[9], [1] * 9, [4, 5], [8, 1]])
def test_a_stop_string_is_found_however_the_text_is_cut(sizes: list[int]) -> None:
    reply, text, at = Reply(limit=100, stops=("STOP",), clock=lambda: 0.0), "ab STOP c", 0
    pieces: list[Piece] = []
    for size in sizes:
        if reply.finish is None:
            pieces += reply.add(part(text[at : at + size]))
            at += size

    assert "".join(piece.text for piece in pieces) == "ab "
    assert reply.finish is not None and reply.finish.name == "STOP"


def test_text_that_may_become_a_stop_string_comes_at_the_end() -> None:
    reply = Reply(limit=100, stops=("STOP",), clock=lambda: 0.0)

    pieces = [*reply.add(part("ab ST")), *reply.add(part("", 0, "length"))]

    assert "".join(piece.text for piece in pieces) == "ab ST"
