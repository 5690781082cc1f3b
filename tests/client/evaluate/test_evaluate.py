"""An evaluation on a network in memory: its report holds, what fails is tried again, what cannot be asked ends it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tallynet.client.conversation import JobRefused
from tallynet.client.evaluate.asking import Terms, answer_all
from tallynet.client.evaluate.comparison import compare
from tallynet.client.evaluate.run import evaluate, find_model
from tallynet.client.market import ModelOnOffer
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.tampering import ALTERED_ANSWER
from tallynet.engine import FakeEngine, open_engine
from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import Report, anchor_closing, decode_report, encode_report
from tallynet.evaluation.report_checks import Opened, check_report
from tallynet.evaluation.suite import PerplexityPart, Suite, Translated, TranslationPart, Written
from tallynet.protocol.bundle import Bundle, read_bundle
from tallynet.protocol.errors import InvalidJob, Misconfigured, NodeUnreachable, NoNodes, TallyError
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Status
from tallynet.protocol.units import ModelId, Wei
from tests.engine.translators import make_translator
from tests.evaluation.examples import SUITE

LONG = Suite(name="long", version="1", parts=(PerplexityPart(name="texts", items=(Written("word " * 6000),)),))


def opened(report: Report, devnet: Devnet) -> Opened:
    return check_report(decode_report(encode_report(report)), devnet.ledger.domain, lambda _: None)


async def test_a_report_holds_and_its_closing_run_is_anchored_like_any_other(tmp_path: Path) -> None:
    told: list[int] = []
    async with open_devnet(tmp_path, nodes=2) as devnet, devnet.client() as client:
        report = await evaluate(client, "fake", SUITE, at_once=3, tell=told.append)
        bundle = await client.wait_for_anchor(read_bundle(report.closing), 30)

        opened(report, devnet)
        closing = opened(anchor_closing(report, bundle), devnet).closing

    assert told == list(range(1, 12))
    assert closing.inclusion is not None
    assert {metric.part for metric in report.evaluation.metrics} == {"sums", "words", "texts", "names"}


async def test_asked_again_the_same_model_gives_the_same(tmp_path: Path) -> None:
    async with open_devnet(tmp_path) as devnet, devnet.client() as client:
        then = await evaluate(client, "fake", SUITE, limit=1)
        now = await evaluate(client, "fake", SUITE, limit=1)
        compared = compare(opened(then, devnet), opened(now, devnet), then.evaluation.metrics, now.evaluation.metrics)

    assert then.evaluation.digest != now.evaluation.digest
    assert (compared.of, compared.apart, compared.agrees) == (5, (), True)


async def test_a_translation_model_is_measured_by_bleu(tmp_path: Path) -> None:
    """Its weights are random, so what it says is worth nothing; it is asked without a template and its report holds."""
    items = (Translated("the house is small", "la maison est petite"), Translated("a cat", "un chat"))
    suite = Suite(name="mt", version="1", parts=(TranslationPart(name="mt", max_tokens=12, raw=True, items=items),))
    engine = open_engine(str(make_translator("marian", tmp_path / "marian")))
    async with open_devnet(tmp_path / "net", engine=lambda: engine) as devnet, devnet.client() as client:
        report = await evaluate(client, "marian", suite)
        opened(report, devnet)

    assert [metric.kind for metric in report.evaluation.metrics] == ["bleu", "chrf"]


async def test_a_node_that_cheats_costs_a_try_and_no_answer(tmp_path: Path) -> None:
    """It is the cheapest one, and so asked first, until it alters an answer."""
    settings, cheap = {"completion_price_wei": 1000}, {"completion_price_wei": 1}
    async with (
        open_devnet(tmp_path, nodes=2, cheats={1: ALTERED_ANSWER}, settings=settings, overrides={1: cheap}) as devnet,
        devnet.client() as client,
    ):
        report = await evaluate(client, "fake", SUITE, limit=1, at_once=1, max_price_wei=Wei(10**9))
        nodes = {bundle.node for _, bundle in opened(report, devnet).runs}

    assert nodes == {devnet.nodes[0].address}


async def test_a_question_that_no_node_can_take_ends_the_evaluation_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine(context_length=128)
    async with open_devnet(tmp_path, engine=lambda: engine) as devnet, devnet.client() as client:
        with pytest.raises(JobRefused) as refusal:
            await evaluate(client, "fake", LONG)

    assert "128" in refusal.value.message
    assert "Question texts 1 cannot be answered." in caplog.text


def offer(name: str, model: int) -> ModelOnOffer:
    return ModelOnOffer(ModelId(bytes([model]) * 32), name, 1, 128, Wei(0), Wei(0), 1, 1, task=1, evidence="replayable")


def test_a_model_is_found_by_name_or_id_and_a_name_of_two_is_none() -> None:
    offers = [offer("a", 1), offer("b", 2), offer("b", 3)]

    assert find_model(offers, "a") == offers[0]
    assert find_model(offers, "0x" + "03" * 32) == offers[2]
    with pytest.raises(NoNodes):
        find_model(offers, "c")
    with pytest.raises(Misconfigured) as refusal:
        find_model(offers, "b")
    assert "0x0202" in refusal.value.remedy and "0x0303" in refusal.value.remedy


@dataclass
class FailingClient:
    """Fails as told, one error a call, and then answers with `status`."""

    errors: list[TallyError]
    status: Status = Status.EOS
    asked: int = 0

    async def ask(self, model: str, prompt: object, **options: object) -> Any:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        return _Answered(self.status)


@dataclass(frozen=True)
class _Answered:
    status: Status

    def bundle(self) -> None:
        """Nobody looks at it."""


QUESTIONS = list_questions(Suite(name="s", version="1", parts=SUITE.parts[:1]), 1)


async def ask(client: FailingClient) -> list[Bundle]:
    stand_in: Any = client
    return await answer_all(stand_in, QUESTIONS, Terms("0x", 1.0))


async def test_what_the_network_fails_at_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    client = FailingClient([NodeUnreachable("gone"), NodeUnreachable("gone again")])

    await ask(client)

    assert client.asked == 3


async def test_after_three_tries_the_last_error_is_raised(autojump_clock: trio.testing.MockClock) -> None:
    client = FailingClient([NodeUnreachable(str(number)) for number in range(9)])

    with pytest.raises(NodeUnreachable) as refusal:
        await ask(client)

    assert (client.asked, refusal.value.message) == (3, "2")


async def test_an_answer_that_is_cut_short_is_none(autojump_clock: trio.testing.MockClock) -> None:
    client = FailingClient([], Status.SHUTDOWN)

    with pytest.raises(NodeUnreachable) as refusal:
        await ask(client)

    assert (client.asked, refusal.value.message) == (3, "The node ended the job with shutdown.")


@pytest.mark.parametrize("error", [InvalidJob("too long"), Misconfigured("no key")], ids=["job", "key"])
async def test_what_nobody_can_do_is_not_tried_again(error: TallyError) -> None:
    client = FailingClient([error])

    with pytest.raises(type(error)):
        await ask(client)

    assert client.asked == 1


async def test_less_than_one_at_a_time_is_refused() -> None:
    stand_in: Any = FailingClient([])

    with pytest.raises(ValueError, match="0 questions at a time"):
        await answer_all(stand_in, QUESTIONS, Terms("0x", 1.0), at_once=0)


async def test_leaving_in_the_middle_cancels_the_jobs(tmp_path: Path) -> None:
    engine = FakeEngine(tokens_per_second=5.0)
    async with open_devnet(tmp_path, engine=lambda: engine) as devnet, devnet.client() as client:
        with trio.move_on_after(1.0) as scope:
            await evaluate(client, "fake", SUITE)
        assert scope.cancelled_caught
        with trio.fail_after(30):
            while engine.load().running:
                await trio.sleep(0.05)


async def test_an_evaluation_that_was_broken_off_asks_only_what_was_not_answered(tmp_path: Path) -> None:
    keep, key = tmp_path / "work", Key.generate()
    engine = FakeEngine(tokens_per_second=50.0)
    async with open_devnet(tmp_path / "net", engine=lambda: engine) as devnet:
        async with devnet.client(key) as client:
            with trio.CancelScope() as scope:

                def stop(done: int) -> None:
                    if done == 4:
                        scope.cancel()

                await evaluate(client, "fake", SUITE, at_once=1, keep=keep, tell=stop)
        (folder,) = keep.iterdir()
        before = {file.name: file.read_text() for file in folder.iterdir()}
        async with devnet.client(key) as client:
            report = await evaluate(client, "fake", SUITE, keep=keep)
        opened(report, devnet)

    assert len(before) == 4 and len(list(folder.iterdir())) == 11
    assert set(before.values()) < {run.bundle for run in report.evaluation.runs}


async def test_kept_answers_are_checked_and_are_of_one_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep, key = tmp_path / "work", Key.generate()
    async with open_devnet(tmp_path / "net") as devnet:
        async with devnet.client(key) as client:
            await evaluate(client, "fake", SUITE, limit=1, keep=keep)
            (folder,) = keep.iterdir()
            texts = folder / "texts-0.tally"
            texts.write_text((folder / "sums-0.tally").read_text())
            (folder / "words-0.tally").write_text("nonsense")
            opened(await evaluate(client, "fake", SUITE, limit=1, keep=keep), devnet)
        async with devnet.client(Key.generate()) as stranger:
            with pytest.raises(Misconfigured) as all_kept:
                await evaluate(stranger, "fake", SUITE, limit=1, keep=keep)
            texts.unlink()
            with pytest.raises(Misconfigured) as some_kept:
                await evaluate(stranger, "fake", SUITE, limit=1, keep=keep)

    assert "What is kept for texts 1 is no answer to it" in caplog.text
    assert "What is kept for words 1 is no answer to it" in caplog.text
    assert "the closing run of another" in all_kept.value.message
    assert "are of 2 keys" in some_kept.value.message
