"""`tallynet audit replay` on real scores of the model that comes with the package, and on false ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from msgspec.structs import replace as changed
from typer.testing import CliRunner

from tallynet.audit.commands import audit_app
from tallynet.audit.conversation import answer, question
from tallynet.audit.judgement import Judgement, Verdict
from tallynet.audit.score_replay import replay_score
from tallynet.audit.thresholds import read_thresholds
from tallynet.client import Score
from tallynet.devnet.fixture import open_devnet
from tallynet.devnet.plan import DEFAULT_MODEL
from tallynet.engine import open_engine
from tallynet.engine.hardware import choose_hardware
from tallynet.engine.replay import Replayer
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidBundle
from tallynet.protocol.request import decode_request, encode_request
from tallynet.protocol.score import Likely, Mark, pack_likeliest, read_marks

TEXT = "The capital of France is Paris. The capital of Japan is Tokyo. The fox sleeps under the old tree in the garden."
OTHER = TEXT.replace("Paris", "Rome")
Change = Callable[[ChunkBody], ChunkBody]


async def score_all(folder: Path) -> tuple[Score, Score]:
    """Two real scores over a devnet in memory."""
    async with (
        open_devnet(folder, engine=partial(open_engine, str(DEFAULT_MODEL))) as devnet,
        devnet.client() as client,
    ):
        return await client.score("tally-tiny", TEXT, top=3), await client.score("tally-tiny", OTHER, top=3)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Score, Score]:
    return trio.run(score_all, tmp_path_factory.mktemp("devnet"))


@pytest.fixture(scope="module")
def bundle(scores: tuple[Score, Score]) -> Bundle:
    return scores[0].answer.bundle()


@pytest.fixture(scope="module")
def replayer() -> Replayer:
    return Replayer(DEFAULT_MODEL, choose_hardware("cpu", "float32"))


def judge(replayer: Replayer, bundle: Bundle) -> Judgement:
    """As if the node had signed what is in the bundle."""
    limits = read_thresholds().of("float32", "float32")[1]
    return replay_score(replayer, bundle, limits, None, (), lambda _: None)


def lie(bundle: Bundle, number: int, change: Change) -> Bundle:
    """The same run with another chunk."""
    opening = cast(Whole, bundle.opening)
    chunks = [change(body) if index == number else body for index, body in enumerate(opening.chunks)]
    return replace(bundle, opening=replace(opening, chunks=tuple(chunks)))


def remark(body: ChunkBody, place: int, mark: Callable[[Mark], Mark]) -> ChunkBody:
    """The chunk with another mark at one place."""
    marked = read_marks(body)
    marks = [mark(one) if index == place else one for index, one in enumerate(marked.marks)]
    return changed(body, evidence=b"".join(one.pack() for one in marks) + pack_likeliest(marked.after) + marked.records)


def test_a_real_score_passes_bit_by_bit(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "score.tally"
    path.write_text(write_bundle(bundle))
    command = ["replay", str(path), "--model", str(DEFAULT_MODEL), "--device", "cpu"]
    told: dict[str, Any] = json.loads(CliRunner().invoke(audit_app, [*command, "--json"]).stdout.splitlines()[-1])

    assert told["verdict"] == "pass", told
    assert [check["number"] for check in told["checks"]] == [1, 2, 3, 4, 5, 6, 7]
    assert told["not_checked"] == ["whether differences within float noise hide a smaller change of the model"]
    shown = CliRunner().invoke(audit_app, command).stdout
    assert "logprobs are the model's, up to float noise" in shown


def test_the_model_finds_the_true_sentence_likelier(scores: tuple[Score, Score]) -> None:
    true, false = scores

    assert true.total > false.total + 3
    assert true.text == (true.context or "") + "".join(token.text for token in true.tokens)


def test_in_another_environment_there_is_nothing_to_compare_bit_by_bit(replayer: Replayer, bundle: Bundle) -> None:
    judgement = judge(replayer, bundle)

    assert judgement.verdict is Verdict.PASS
    assert any("bit by bit" in said for said in judgement.not_checked)


def failed(judgement: Judgement) -> list[int]:
    return [check.number for check in judgement.checks if check.verdict is Verdict.FAIL]


def test_1_the_tokens_of_another_text(replayer: Replayer, bundle: Bundle, scores: tuple[Score, Score]) -> None:
    opening = cast(Whole, bundle.opening)
    other = replace(bundle, opening=replace(opening, chunks=scores[1].answer.chunks))

    assert 1 in failed(judge(replayer, other))


def test_2_another_text_beside_a_token(replayer: Replayer, bundle: Bundle) -> None:
    def swap(body: ChunkBody) -> ChunkBody:
        return changed(body, text=body.text[:-1] + ("x" if body.text[-1] != "x" else "y"))

    assert failed(judge(replayer, lie(bundle, 1, swap))) == [2]


def test_3_every_logprob_a_little_better(replayer: Replayer, bundle: Bundle) -> None:
    def better(body: ChunkBody) -> ChunkBody:
        return changed(body, logprobs=tuple(0.9 * value for value in body.logprobs))

    without = strip(bundle)
    for number in range(len(cast(Whole, without.opening).chunks)):
        without = lie(without, number, better)
    assert 3 in failed(judge(replayer, without))


def strip(bundle: Bundle) -> Bundle:
    """As if no likely tokens had been asked for: they would contradict another logprob at once."""
    opening = cast(Whole, bundle.opening)
    request = encode_request(changed(decode_request(opening.request), top=0))
    chunks = []
    for body in opening.chunks:
        marked = read_marks(body)
        marks = b"".join(Mark(mark.characters, ()).pack() for mark in marked.marks)
        chunks.append(changed(body, evidence=marks + pack_likeliest(()) + marked.records))
    return replace(bundle, opening=replace(opening, request=request, chunks=tuple(chunks)))


def test_4_one_false_logprob_among_many(replayer: Replayer, bundle: Bundle) -> None:
    def false(body: ChunkBody) -> ChunkBody:
        return changed(body, logprobs=(body.logprobs[0] - 0.5, *body.logprobs[1:]))

    assert judge(replayer, strip(bundle)).verdict is Verdict.PASS
    assert 4 in failed(judge(replayer, lie(strip(bundle), 0, false)))


def test_5_a_likely_token_that_is_left_out(replayer: Replayer, bundle: Bundle) -> None:
    """The second of three gives way to one that the model finds far less likely."""

    def hide(mark: Mark) -> Mark:
        first, second, third = mark.likeliest
        unlikely = Likely(next(token for token in range(300, 400) if token not in tokens), third.logprob, "x")
        tokens.add(unlikely.token)
        return replace(mark, likeliest=(first, third, unlikely))

    tokens = set[int]()
    found = failed(judge(replayer, lie(bundle, 0, lambda body: remark(body, place_of_ease(body), hide))))
    assert 5 in found and 1 not in found


def place_of_ease(body: ChunkBody) -> int:
    """Where the text's token is the likeliest, so that the others may be exchanged."""
    return next(
        index for index, mark in enumerate(read_marks(body).marks) if mark.likeliest[0].token == body.tokens[index]
    )


def test_6_records_of_another_text(replayer: Replayer, bundle: Bundle) -> None:
    def other(body: ChunkBody) -> ChunkBody:
        records = read_marks(body).records
        if not records:
            return body
        return changed(body, evidence=body.evidence[: -len(records)] + bytes([60]) + records[1:])

    lying = bundle
    for number in range(len(cast(Whole, bundle.opening).chunks)):
        lying = lie(lying, number, other)
    assert failed(judge(replayer, lying)) == [6]


def test_6_a_missing_record(replayer: Replayer, bundle: Bundle) -> None:
    last = len(cast(Whole, bundle.opening).chunks) - 1

    def without(body: ChunkBody) -> ChunkBody:
        return changed(body, evidence=body.evidence[: -len(read_marks(body).records)])

    assert failed(judge(replayer, lie(bundle, last, without))) == [6]


def test_what_is_no_score_is_no_answer_of_this_kind(replayer: Replayer, bundle: Bundle) -> None:
    with pytest.raises(InvalidBundle) as caught:
        judge(replayer, lie(bundle, 0, lambda body: changed(body, evidence=b"")))

    assert caught.value.check == 7


def test_an_explanation_says_what_was_asked(bundle: Bundle, scores: tuple[Score, Score]) -> None:
    assert question(bundle) == f"how likely is this text: {TEXT}"
    assert answer(bundle).startswith(f"the log of its probability, over {len(scores[0].tokens)} tokens, is -")
