"""What a bundle lets one read of a conversation, and what stays closed; in forms that cannot steer a terminal."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from tallynet.protocol.bundle import Bundle
from tallynet.protocol.bundle_openings import Part, Whole, opened_request, opened_text
from tallynet.protocol.errors import InvalidJob
from tallynet.protocol.job import Task
from tallynet.protocol.request import Request, decode_request

NOT_OPEN = "(not open in this file)"


def question(bundle: Bundle) -> str:
    """What was asked last, as far as the request is open and can be read."""
    if opened_request(bundle.opening) is None:
        return NOT_OPEN
    request = read_request(bundle)
    if request is None:
        return "(the request cannot be read)"
    if request.messages:
        return request.messages[-1].content
    said = request.text or f"({len(request.tokens)} token ids)"
    return f"how likely is this text: {said}" if bundle.job.job.task == Task.SCORE else said


def read_request(bundle: Bundle) -> Request | None:
    """The whole request; None when it is closed or cannot be read."""
    encoded = opened_request(bundle.opening)
    try:
        return None if encoded is None else decode_request(encoded)
    except InvalidJob:
        return None


def answer(bundle: Bundle) -> str:
    if bundle.job.job.task == Task.SCORE and isinstance(bundle.opening, Whole):
        logprobs = [value for body in bundle.opening.chunks for value in body.logprobs]
        return f"the log of its probability, over {len(logprobs)} tokens, is {sum(logprobs):.6g}"
    text = opened_text(bundle.opening)
    return NOT_OPEN if text is None else text


def excerpt(text: str, most: int) -> str:
    """One line of at most `most` characters, each of them printable."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    return plain if len(plain) <= most else plain[:most] + "…"


def opened(bundle: Bundle) -> str:
    """What can be read, in words: `the request, chunks 0, 3–5`."""
    if isinstance(bundle.opening, Whole):
        return "everything"
    return ", ".join(_opened(bundle.opening)) if bundle.opening is not None else "nothing"


def closed(bundle: Bundle) -> str:
    """What cannot, in words; empty where everything can."""
    return "" if isinstance(bundle.opening, Whole) else ", ".join(_closed(bundle.opening))


def describe_opening(bundle: Bundle) -> dict[str, object]:
    """For programs: which chunks are open, and of how many where the file tells that."""
    opening = bundle.opening
    if isinstance(opening, Whole):
        count = len(opening.chunks)
        return {"whole": True, "request": True, "chunks": list(range(count)), "of_chunks": count}
    part = opening or Part(None, ())
    return {
        "whole": False,
        "request": part.request is not None,
        "chunks": list(part.opened),
        "of_chunks": len(part.chunks) or None,
    }


def _opened(part: Part) -> Iterator[str]:
    if part.request is not None:
        yield "the request"
    if part.opened:
        yield _chunks(part.opened)


def _closed(part: Part | None) -> Iterator[str]:
    if part is None or part.request is None:
        yield "the request"
    if part is None or not part.chunks:
        yield "the answer"
    elif others := [index for index in range(len(part.chunks)) if index not in part.opened]:
        yield _chunks(others)
    yield "prompt tokens and evidence"


def _chunks(numbers: Iterable[int]) -> str:
    """`chunk 3`, `chunks 0, 2–5`."""
    runs = list(_runs(sorted(numbers)))
    listed = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
    return f"chunk {listed}" if len(runs) == 1 and runs[0][0] == runs[0][1] else f"chunks {listed}"


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of neighbours; there is at least one number."""
    first = numbers[0]
    for number, following in pairwise(numbers):
        if following != number + 1:
            yield first, number
            first = following
    yield first, numbers[-1]
