"""(6) An auditor gets what a block drew for it, sealed, and nobody gets anything else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from tallynet.engine import FakeEngine
from tallynet.ledger.memory import MemoryLedger
from tallynet.node.log_desk import LogDesk
from tallynet.node.opening_desk import BURST, PER_SECOND, OpeningDesk
from tallynet.protocol.bundle import Bundle, read_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.draw import DRAW_DELAY_BLOCKS, MAX_DRAWN, Draw
from tallynet.protocol.errors import Busy, InvalidOpening, Refused
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.opening import (
    MIN_KEPT_SECONDS,
    OpeningRequest,
    check_no_consent,
    open_parts,
    sign_opening_request,
)
from tallynet.protocol.request import encode_request
from tallynet.protocol.sealing import SealKey
from tallynet.protocol.units import Digest, JobId, Seconds, Wei
from tallynet.protocol.wire import AskOpening, NoConsent, NotKept, SealedOpening, Submit
from tests.node.examples import (
    CLIENT,
    DOMAIN,
    NODE,
    REQUEST,
    SECRET,
    STRANGER,
    clock,
    job_id,
    open_desk,
    valid_submit,
)

SEAL = SealKey(b"\x08" * 32)
CONSENTS = (True, False, True)


class Scene:
    """A node that has run three jobs, the second without consent, and anchored them; a block has drawn."""

    def __init__(self, desk: OpeningDesk, jobs: list[Submit], ledger: MemoryLedger, block: Digest) -> None:
        self.desk, self.jobs, self.ledger, self.block = desk, jobs, ledger, block

    def request(self, number: int = 0, **changes: Any) -> OpeningRequest:
        """For one of the jobs."""
        fields: dict[str, Any] = {
            "auditor": STRANGER.address,
            "node": NODE.address,
            "job": job_id(self.jobs[number]),
            "index": number,
            "size": len(self.jobs),
            "block_hash": self.block,
            "seal_key": SEAL.public,
        }
        return OpeningRequest(**{**fields, **changes})

    async def ask(self, request: OpeningRequest, part: int = 0) -> Any:
        return await self.desk.answer(AskOpening(sign_opening_request(request, DOMAIN, STRANGER), part))


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    ledger = MemoryLedger()
    await ledger.register(CLIENT, NODE, Wei(10**18), f"/memory/p2p/{NODE.peer_id}")
    async with open_desk(folder, FakeEngine()) as desk:
        jobs = [
            valid_submit(now=clock(), nonce=Digest(number.to_bytes(32)), audit_consent=consent)
            for number, consent in enumerate(CONSENTS)
        ]
        for job in jobs:
            await (await desk.take(job)).ended()
        journal = desk.worker.journal
        await ledger.anchor(NODE, journal.size, journal.tree.root(), ())
        ledger.mine(DRAW_DELAY_BLOCKS)
        block = await ledger.block_hash(await ledger.block_number())
        assert block is not None
        yield Scene(OpeningDesk(desk.worker.config, NODE, ledger, journal), jobs, ledger, block)


async def opened(scene: Scene, request: OpeningRequest) -> Bundle:
    answer = await scene.ask(request)
    assert isinstance(answer, SealedOpening) and answer.parts == 1
    return read_bundle(open_parts([answer.sealed], request, DOMAIN, SEAL))


async def refusal(scene: Scene, request: OpeningRequest) -> InvalidOpening:
    with pytest.raises(InvalidOpening) as error:
        await scene.ask(request)
    return error.value


async def test_drawn_run_is_opened_whole(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        bundle = await opened(scene, scene.request(2))

        assert isinstance(bundle.opening, Whole)
        assert (bundle.opening.secret, bundle.opening.request) == (SECRET, encode_request(REQUEST))
        assert bundle.job == scene.jobs[2].signed
        assert bundle.receipt.receipt.index == 2
        assert leaf_hash(bundle.receipt.leaf) == bundle.receipt.receipt.leaf
        assert sum(len(body.tokens) for body in bundle.opening.chunks) > 0


async def test_nobody_else_can_read_it(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        request = scene.request()
        answer = await scene.ask(request)

        assert encode_request(REQUEST) not in answer.sealed
        with pytest.raises(InvalidOpening):
            open_parts([answer.sealed], request, DOMAIN, SealKey.generate())


async def test_run_without_consent_is_not_opened_and_shows_that_it_has_none(
    steady_clock: MockClock, tmp_path: Path
) -> None:
    async with open_scene(tmp_path) as scene:
        answer = await scene.ask(scene.request(1))

        assert isinstance(answer, NoConsent)
        check_no_consent(answer.words, job_id(scene.jobs[1]), DOMAIN)


async def test_opening_is_kept_for_its_time_and_no_longer(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        config, now = scene.desk.config, clock() // 1000
        least = now + config.keep_answers_seconds + MIN_KEPT_SECONDS
        await scene.desk.journal.forget_answers(Seconds(least))
        assert isinstance(await scene.ask(scene.request()), SealedOpening)

        await scene.desk.journal.forget_answers(
            Seconds(now + 10 + config.promise_seconds + config.keep_openings_seconds)
        )
        for index in range(len(CONSENTS)):
            assert await scene.ask(scene.request(index)) == NotKept(config.keep_openings_seconds)
        assert await scene.desk.journal.answer(job_id(scene.jobs[0])) is None


async def test_question_that_its_auditor_did_not_sign_is_refused(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        signed = sign_opening_request(scene.request(), DOMAIN, STRANGER)
        forged = msgspec.structs.replace(signed, request=scene.request(2))

        with pytest.raises(InvalidOpening) as error:
            await scene.desk.answer(AskOpening(forged, 0))
        assert error.value.check == 1


@pytest.mark.parametrize(
    "changes",
    [{"index": 1}, {"index": 3, "size": 4}, {"job": JobId(b"\x01" * 32)}, {"size": 4}],
    ids=["another place", "beyond the log", "unknown job", "a log larger than it is"],
)
async def test_run_that_is_not_in_the_log_there_is_refused(
    steady_clock: MockClock, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with open_scene(tmp_path) as scene:
        assert (await refusal(scene, scene.request(**changes))).check == 3


async def test_block_that_did_not_draw_is_refused(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        number = await scene.ledger.block_number()
        earlier = await scene.ledger.block_hash(number - 1)

        assert (await refusal(scene, scene.request(block_hash=earlier))).check == 4
        assert (await refusal(scene, scene.request(index=0, size=2))).check == 4  # no anchor of that size


async def test_nothing_is_opened_before_the_block_that_draws(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.ledger.rewind(1)

        assert (await refusal(scene, scene.request())).check == 4


async def test_entry_that_was_not_drawn_is_refused(
    steady_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path) as scene:
        monkeypatch.setattr("tallynet.protocol.draw.MAX_DRAWN", 1)
        first = Draw(NODE.address, len(scene.jobs), scene.block).indices(1)

        for index in range(len(scene.jobs)):
            if index in first:
                await scene.ask(scene.request(index))
            else:
                assert (await refusal(scene, scene.request(index))).check == 5


async def test_more_questions_than_the_rate_are_put_off(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.desk.rate.left = 1.5
        await scene.ask(scene.request())

        with pytest.raises(Busy) as error:
            await scene.ask(scene.request())
        assert 0 < error.value.retry_after_ms <= 1000 / PER_SECOND
        assert scene.desk.rate.left < BURST


async def test_part_that_is_not_there_is_refused(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        with pytest.raises(InvalidOpening) as error:
            await scene.ask(scene.request(), part=1)
        assert error.value.check == 2


async def test_desk_without_openings_gives_none(steady_clock: MockClock, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        ask = AskOpening(sign_opening_request(scene.request(), DOMAIN, STRANGER), 0)

        with pytest.raises(Refused):
            await LogDesk(NODE, DOMAIN, scene.desk.journal).answer(ask)
        assert await LogDesk(NODE, DOMAIN, scene.desk.journal, scene.desk).answer(ask)


def test_so_many_are_drawn_that_a_sample_of_a_hundredth_fits() -> None:
    assert MAX_DRAWN >= 300
