"""After any one byte of a bundle is changed, it is refused, and the check that fails is the right one."""

from collections.abc import Iterator

import pytest

from tallynet.audit.verify import Verdict, verify_offline
from tallynet.protocol.bundle import write_bundle
from tests.audit.examples import bundle

TEXT = write_bundle(bundle()).encode()

BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NEIGHBOURS = dict(zip(BASE64, BASE64[1:] + b"A", strict=True)) | dict(zip(b"0123456789", b"1234567890", strict=True))
"""Another byte that stands for a value, so that the line keeps its form."""
HEX_NEIGHBOURS = dict(zip(b"0123456789abcdef", b"123456789abcdef0", strict=True))


def _changes(at: int) -> Iterator[bytes]:
    """The file with byte `at` changed: every single bit, a neighbouring letter, a space and a line's end."""
    old = TEXT[at]
    others = {old ^ 1 << bit for bit in range(8)} | {NEIGHBOURS.get(old, old ^ 1), 0x20, 0x0A, 0x3D}
    for new in others - {old}:
        yield TEXT[:at] + bytes([new]) + TEXT[at + 1 :]


def test_the_untouched_bundle_holds() -> None:
    assert verify_offline(TEXT).verdict is Verdict.OK


@pytest.mark.slow
def test_any_one_byte_changed_is_refused() -> None:
    for at in range(len(TEXT)):
        for damaged in _changes(at):
            found = verify_offline(damaged)
            assert found.verdict is Verdict.FAILED, damaged[at - 20 : at + 20]
            assert found.failure is not None and found.failure.message


def test_any_one_byte_left_out_or_doubled_is_refused() -> None:
    for at in range(len(TEXT)):
        for damaged in (TEXT[:at] + TEXT[at + 1 :], TEXT[:at] + TEXT[at : at + 1] + TEXT[at:]):
            if damaged == TEXT:
                continue
            assert verify_offline(damaged).verdict is Verdict.FAILED


def test_any_beginning_of_the_file_is_refused() -> None:
    for length in range(len(TEXT)):
        assert verify_offline(TEXT[:length]).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("label", "checks"),
    [
        ("chain", {3}),
        ("contract", {3}),
        ("node", {8}),
        ("secret", {1, 5}),  # 1: the last letter before the padding holds unused bits
        ("request", {5}),
        ("prompt", {1, 6}),
        ("anchor-size", {10}),  # 6 in place of 5: this leaf's path has the same shape under both
        ("anchor-root", {1, 9}),
        ("anchor-time", {10}),
        ("anchor-block", {10}),
        ("anchor-block-hash", {1, 10}),
        ("anchor-transaction", {1, 10}),
        ("path", {1, 9}),
        ("sha256", {10}),
    ],
)
def test_a_changed_value_fails_its_own_check(label: str, checks: set[int]) -> None:
    assert _checks_failed(label) == checks


def test_a_changed_chunk_fails_as_answer_or_as_evidence() -> None:
    assert _checks_failed("chunk") == {1, 6, 7}


def test_a_changed_job_fails_as_not_signed_or_not_readable() -> None:
    assert _checks_failed("job") == {1, 3}


def test_a_changed_receipt_fails_where_it_contradicts_the_rest() -> None:
    assert _checks_failed("receipt") == {1, 4, 6, 7, 8}


def _checks_failed(label: str) -> set[int | None]:
    """Which checks fail when one byte of a value changes and the line keeps its form."""
    neighbours = HEX_NEIGHBOURS if label in ("contract", "node", "sha256") else NEIGHBOURS
    begin = TEXT.index(b"\n" + label.encode() + b" ") + len(label) + 2
    end = TEXT.index(b"\n", begin)
    failed = set()
    for at in range(begin, end):
        if TEXT[at] in neighbours and TEXT[at - 1 : at + 1] != b" 0":
            failure = verify_offline(TEXT[:at] + bytes([neighbours[TEXT[at]]]) + TEXT[at + 1 :]).failure
            assert failure is not None
            failed.add(failure.check)
    return failed
