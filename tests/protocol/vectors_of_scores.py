"""Vectors of scores: chunks of a given text's tokens, and what is read from them or why it is refused."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.request import Request
from tallynet.protocol.score import Likely, Mark, decode_score, pack_likeliest
from tests.protocol.json_form import write

PROMPT = (1,)
RECORD = bytes(range(64))
KYOTO, TOKYO, HALF = Likely(9, -0.5, " Kyōto"), Likely(7, -1.25, " Tokyo"), Likely(300, -0.25, "\ufffd")


def chunk(
    tokens: Sequence[int] = (7, 8),
    text: str = " Tokyo.",
    logprobs: Sequence[float] = (-1.25, -0.125),
    marks: Sequence[Mark] = (Mark(6, (KYOTO, TOKYO)), Mark(1, (Likely(8, -0.125, "."), TOKYO))),
    after: Sequence[Likely] = (KYOTO, TOKYO),
    records: bytes = RECORD,
) -> ChunkBody:
    """A sound one for `top` = 2."""
    evidence = b"".join(mark.pack() for mark in marks) + pack_likeliest(after) + records
    return ChunkBody(tuple(tokens), text, tuple(logprobs), evidence)


FIRST = chunk((300, 301), "é", (-0.25, -2.0), (Mark(0, (HALF, KYOTO)), Mark(1, (KYOTO, TOKYO))), (), b"")
"""Two tokens that are one character together; more follows."""
PLAIN = chunk(marks=(Mark(6, ()), Mark(1, ())), after=())
"""Without likely tokens."""
TEXT, NAMED = Request(text="Tokyo.", top=2), Request(tokens=(1, 7, 8), top=2)


def scores() -> dict[str, Any]:
    valid = (
        (TEXT, (chunk(),)),
        (NAMED, (chunk(),)),
        (TEXT, (FIRST, chunk())),
        (Request(text="Tokyo."), (PLAIN,)),
        (replaced(TEXT, top=5), (chunk(),)),
    )
    return {
        "valid": [_told(request, chunks) for request, chunks in valid],
        "invalid": [
            {**_asked(request, chunks), "error": "invalid-chunk", "check": check, "reason": reason}
            for check, request, chunks, reason in invalid_scores()
        ],
    }


def invalid_scores() -> Sequence[tuple[int, Request, Sequence[ChunkBody], str]]:
    whole = chunk()
    mark = Mark(1, (KYOTO, TOKYO))
    return (
        (1, TEXT, (), "no chunk"),
        (1, TEXT, (whole, ChunkBody((), "more", ())), "a chunk without tokens"),
        (2, TEXT, (changed(whole, evidence=b""),), "no evidence"),
        (2, TEXT, (changed(whole, evidence=whole.evidence[:-1]),), "a record that is cut short"),
        (2, TEXT, (changed(whole, evidence=whole.evidence.replace("ō".encode(), b"\xff\xff", 1)),), "not UTF-8"),
        (3, TEXT, (changed(whole, text=" Tokyo"),), "more characters than the text has"),
        (3, TEXT, (changed(whole, text=" Tokyo.."),), "fewer characters than the text has"),
        (4, TEXT, (PLAIN, whole), "no likely tokens where two were asked for"),
        (4, replaced(TEXT, top=1), (whole,), "two likely tokens where one was asked for"),
        (4, TEXT, (chunk(marks=(Mark(6, (KYOTO, KYOTO)), mark)),), "one likely token twice"),
        (4, TEXT, (chunk(marks=(Mark(6, (TOKYO, KYOTO)), Mark(1, (KYOTO, TOKYO)))),), "not the largest first"),
        (4, TEXT, (chunk(marks=(Mark(6, (replace(KYOTO, logprob=0.5), TOKYO)), mark)),), "likelier than certain"),
        (4, TEXT, (chunk(marks=(Mark(6, (KYOTO, replace(TOKYO, logprob=float("-inf")))), mark)),), "not finite"),
        (5, TEXT, (chunk(after=()),), "nothing to follow the text"),
        (5, TEXT, (whole, whole), "something to follow in mid text"),
        (6, TEXT, (chunk(logprobs=(-1.0, -0.125)),), "two logprobs for one token"),
        (6, TEXT, (chunk(tokens=(6, 8), logprobs=(-1.0, -0.125)),), "likelier than the last of the likeliest"),
        (7, NAMED, (FIRST, whole), "more tokens than the request names"),
        (7, replaced(NAMED, tokens=(1, 7, 9)), (whole,), "another token than the request names"),
    )


def replaced(request: Request, **changes: Any) -> Request:
    return changed(request, **changes)


def _asked(request: Request, chunks: Sequence[ChunkBody]) -> dict[str, Any]:
    return {
        "request": {"text": request.text, "tokens": list(request.tokens), "top": request.top},
        "prompt": list(PROMPT),
        "chunks": write(list(chunks)),
    }


def _told(request: Request, chunks: Sequence[ChunkBody]) -> dict[str, Any]:
    tokens, after = decode_score(request, PROMPT, chunks)
    scored = [
        {"token": one.token, "text": one.text, "logprob": one.logprob, "likeliest": _likely(one.likeliest)}
        for one in tokens
    ]
    return {**_asked(request, chunks), "scored": scored, "after": _likely(after)}


def _likely(likeliest: Sequence[Likely]) -> list[list[Any]]:
    return [[likely.token, likely.logprob, likely.text] for likely in likeliest]
