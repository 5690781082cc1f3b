"""Vectors of how tokens are chosen, and of what an answer holds: vectors, scores, evidence."""

from dataclasses import astuple
from typing import Any

import pytest

from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import encode_embedding, read_embedding
from tallynet.protocol.job import Sampling
from tallynet.protocol.request import Request
from tallynet.protocol.score import Likely, ScoredToken, decode_score
from tests.protocol.json_form import read
from tests.protocol.vector_cases import VECTORS, cases, hexed, refuses

# Sampling

SAMPLING = VECTORS["sampling.json"]


def test_random_words_and_noise_are_as_given() -> None:
    from tallynet.engine.philox import gumbel, noise_key, philox, uniform

    for case in SAMPLING["philox"]:
        assert philox(tuple(case["counter"]), tuple(case["key"])) == tuple(case["words"])
    key = noise_key(hexed(SAMPLING["noise"]["seed"]))
    assert list(key) == SAMPLING["noise"]["key"]
    for case in SAMPLING["noise"]["values"]:
        word0, word1, *_ = philox((case["token"], case["position"], key[2], key[3]), key[:2])
        assert uniform(word0, word1) == case["uniform"]
        assert gumbel(key, case["token"], case["position"]) == pytest.approx(case["gumbel"], rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("case", SAMPLING["choices"]["cases"])
def test_the_sampler_chooses_the_tokens_given(case: Any) -> None:
    torch = pytest.importorskip("torch")
    from tallynet.engine.philox import noise_key
    from tallynet.engine.sampler import Draw, sample

    logits, key = torch.tensor(SAMPLING["choices"]["logits"]), noise_key(hexed(SAMPLING["choices"]["seed"]))
    sampling = read(Sampling, case["sampling"])

    chosen = [sample(logits, Draw(sampling, key, position)).token for position in range(len(case["tokens"]))]
    assert chosen == case["tokens"]


# Embeddings


@cases("embeddings.json", "valid")
def test_a_vector_is_written_as_given(case: Any) -> None:
    assert encode_embedding(case["values"]) == case["text"]
    assert read_embedding(case["text"])


@cases("embeddings.json", "invalid")
def test_a_text_that_is_no_vector_is_refused(case: Any) -> None:
    with refuses(case):
        read_embedding(case["text"])


# Scores


def read_score(case: Any) -> tuple[tuple[ScoredToken, ...], tuple[Likely, ...]]:
    asked, chunks = case["request"], [read(ChunkBody, chunk) for chunk in case["chunks"]]
    request = Request(text=asked["text"], tokens=tuple(asked["tokens"]), top=asked["top"])
    return decode_score(request, tuple(case["prompt"]), chunks)


@cases("scores.json", "valid")
def test_a_score_is_read_as_given(case: Any) -> None:
    scored, after = read_score(case)

    assert [[one.token, one.text, one.logprob] for one in scored] == [
        [one["token"], one["text"], one["logprob"]] for one in case["scored"]
    ]
    listed = [one["likeliest"] for one in case["scored"]]
    assert [[list(astuple(likely)) for likely in one.likeliest] for one in scored] == listed
    assert [list(astuple(likely)) for likely in after] == case["after"]


@cases("scores.json", "invalid")
def test_what_is_no_score_is_refused(case: Any) -> None:
    with refuses(case):
        read_score(case)


# Evidence

EVIDENCE = VECTORS["evidence.json"]


def test_signs_are_keyed_by_everything_before_the_end_of_the_group() -> None:
    from tallynet.engine.evidence import SignKeys

    keys, begin = SignKeys(hexed(EVIDENCE["keys"]["seed"]), tuple(EVIDENCE["keys"]["prompt"])), 0
    for group in EVIDENCE["keys"]["groups"]:
        end = group["last"] + 1
        assert keys.after(EVIDENCE["keys"]["tokens"][begin:end]) == hexed(group["key"])
        begin = end


def test_signs_of_a_key() -> None:
    from tallynet.engine.evidence import sign_bytes

    assert sign_bytes(hexed(EVIDENCE["signs"]["key"]), EVIDENCE["signs"]["width"]) == hexed(EVIDENCE["signs"]["bytes"])


def test_records_of_hidden_states() -> None:
    import torch

    from tallynet.engine.evidence import GROUP_TOKENS, SignKeys
    from tallynet.engine.sketch import measure

    case = EVIDENCE["records"]
    keys, hidden = SignKeys(hexed(case["seed"]), tuple(case["prompt"])), torch.tensor(case["hidden"])
    starts = range(0, len(case["tokens"]), GROUP_TOKENS)
    made = [
        measure(hidden[at : at + GROUP_TOKENS], keys.after(case["tokens"][at : at + GROUP_TOKENS]), case["rows"])
        for at in starts
    ]

    assert b"".join(record.pack() for record in made) == hexed(case["evidence"])


@cases("evidence.json", "invalid")
def test_evidence_that_is_no_record_is_refused(case: Any) -> None:
    from tallynet.engine.evidence import read_records

    with pytest.raises(ValueError):
        read_records(hexed(case["evidence"]))
