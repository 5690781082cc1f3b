"""Vectors of what a block draws to be audited, and of how it is opened."""

from typing import Any

from tallynet.protocol.draw import Draw
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.opening import OpeningRequest, check_no_consent, open_parts
from tallynet.protocol.sealing import SealKey
from tests.protocol.json_form import read
from tests.protocol.vector_cases import VECTORS, cases, domain, hexed, hexes, refuses


@cases("draws.json", "draws")
def test_a_block_draws_the_same_entries_for_everybody(case: Any) -> None:
    draw = Draw(hexed(case["node"]), case["size"], hexed(case["block_hash"]))

    assert draw.seed == hexed(case["seed"])
    assert list(draw.indices(12)) == case["indices"]


def asked() -> tuple[OpeningRequest, Domain]:
    file = VECTORS["draws.json"]
    return read(OpeningRequest, file["request"]), domain(file["domain"])


def test_a_request_for_an_opening_has_its_digest() -> None:
    request, where = asked()

    assert request.digest(where) == hexed(VECTORS["draws.json"]["request"]["digest"])


@cases("draws.json", "valid")
def test_an_opening_opens_with_its_key(case: Any) -> None:
    key = SealKey(hexed(VECTORS["draws.json"]["seal_secret"]))

    assert open_parts(hexes(case["sealed"]), *asked(), key) == hexed(case["opened"])


@cases("draws.json", "invalid")
def test_an_opening_is_refused(case: Any) -> None:
    with refuses(case):
        open_parts(hexes(case["sealed"]), *asked(), SealKey(hexed(case["secret"])))


def test_words_of_a_job_show_that_it_gives_no_consent() -> None:
    file = VECTORS["draws.json"]["no_consent"]

    check_no_consent(hexes(file["words"]), hexed(file["job"]), asked()[1])
