"""Pipelines in the idiom of transformers: the shapes of what goes in and comes out, and the receipts beside it."""

import math
from typing import Any

import pytest

from tallynet.client import Client, pipeline
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.embedding import encode_embedding
from tallynet.protocol.errors import InvalidJob, Misconfigured, Refused
from tallynet.protocol.job import Sampling, Task
from tallynet.protocol.request import Message, Request, decode_request
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT

CHAT = [{"role": "user", "content": "Japan?"}]


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


def bare(value: Any) -> Any:
    """Without what transformers does not have."""
    if isinstance(value, list):
        return [bare(entry) for entry in value]
    return {name: entry for name, entry in value.items() if name not in ("receipt", "evidence")}


def requests(transport: HostedTransport) -> list[Request]:
    return [decode_request(submit.request) for submit in transport.nodes[0].submits]


def sampling(transport: HostedTransport) -> Sampling:
    return transport.nodes[0].submits[-1].signed.job.sampling


def test_a_text_is_continued(transport: HostedTransport) -> None:
    with transport.client() as client:
        generate = pipeline("text-generation", "tally-tiny", client=client)
        one, two = generate("Once "), generate(["Once ", "Twice "])
        alone = generate("Once ", return_full_text=False)

    assert bare(one) == [{"generated_text": "Once " + TEXT}]
    assert bare(two) == [[{"generated_text": "Once " + TEXT}], [{"generated_text": "Twice " + TEXT}]]
    assert bare(alone) == [{"generated_text": TEXT}]
    assert requests(transport)[0] == Request(text="Once ")
    assert one[0]["receipt"] == one.receipts[0] == one.answers[0].receipt
    assert one[0]["evidence"] == "signed"
    assert len(two.receipts) == len({receipt.receipt.index for receipt in two.receipts}) == 2


def test_a_chat_is_answered(transport: HostedTransport) -> None:
    said = {"role": "assistant", "content": TEXT}
    with transport.client() as client:
        generate = pipeline("text-generation", "tally-tiny", client=client)
        one, two = generate(CHAT), generate([CHAT, CHAT])

    assert bare(one) == [{"generated_text": [*CHAT, said]}]
    assert bare(two) == [[{"generated_text": [*CHAT, said]}]] * 2
    assert requests(transport)[0].messages == (Message("user", "Japan?"),)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Sampling(256)),
        ({"max_new_tokens": 7, "temperature": 0.7, "top_k": 5}, Sampling(7)),
        ({"do_sample": True, "stop_strings": ["END"]}, Sampling(256, 1_000_000, stop=("END",))),
        ({"do_sample": True, "temperature": 0.5, "top_k": 5, "top_p": 0.9}, Sampling(256, 500_000, 5, 900_000)),
    ],
)
def test_settings_have_their_meaning(transport: HostedTransport, settings: Any, expected: Sampling) -> None:
    with transport.client() as client:
        pipeline("text-generation", "tally-tiny", client=client, **settings)("x")
        assert sampling(transport) == expected
        pipeline("text-generation", "tally-tiny", client=client)("x", **settings)
        assert sampling(transport) == expected


def test_translations(transport: HostedTransport) -> None:
    with transport.client() as client:
        french = pipeline("translation_en_to_fr", "tally-tiny", client=client)
        one, two = french("cat"), french(["cat", "dog"], batch_size=1)
        pipeline("translation", "tally-tiny", client=client)("cat", tgt_lang="de")
        with pytest.raises(Misconfigured, match="tgt_lang"):
            pipeline("translation", "tally-tiny", client=client)("cat")

    assert bare(one) == [{"translation_text": TEXT}]
    assert bare(two) == [{"translation_text": TEXT}] * 2
    contents = [request.messages[-1].content for request in requests(transport)]
    words = ("cat into French", "cat into French", "cat into German", "dog into French")
    assert sorted(contents) == [f"Translate {word}." for word in words]


def test_summaries(transport: HostedTransport) -> None:
    with transport.client() as client:
        shorten = pipeline("summarization", "tally-tiny", client=client, words=20)
        assert bare(shorten("A text.")) == [{"summary_text": TEXT}]
        assert bare(shorten(["A text.", "Another."], max_length=30)) == [{"summary_text": TEXT}] * 2

    assert "about 20 words" in requests(transport)[0].messages[-1].content
    assert sampling(transport).max_tokens == 30


def test_labels_with_their_probability(transport: HostedTransport) -> None:
    transport.nodes[0].pieces = (ChunkBody((1, 2), "good", (-0.25, -0.5)),)
    with transport.client() as client:
        judge = pipeline("text-classification", "tally-tiny", client=client, labels=["good", "bad"])
        (found,) = judge("Nice!")
        assert len(judge(["Nice!", "Fine."])) == 2

    assert (found["label"], found["score"]) == ("good", pytest.approx(math.exp(-0.75)))


def test_vectors() -> None:
    pieces = (ChunkBody((), encode_embedding((0.6, -0.8)), ()),)
    transport = HostedTransport({"task": Task.EMBED, "name": "vectors", "pieces": pieces})
    with transport.client() as client:
        embed = pipeline("feature-extraction", "vectors", client=client)
        one, two = embed("a text"), embed(["a text", "another"])

    assert one == [[pytest.approx([0.6, -0.8], abs=1e-3)]]
    assert two == [[[pytest.approx([0.6, -0.8], abs=1e-3)]]] * 2
    assert len(two.receipts) == 2


def test_an_error_is_raised_when_all_have_been_asked(transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [InvalidJob("too dear", check=7)]
    with transport.client() as client, pytest.raises(Refused, match="too dear"):
        pipeline("text-generation", "tally-tiny", client=client)(["one", "two", "three"], batch_size=1)

    assert len(requests(transport)) == 3


def test_what_is_not_there_is_said(transport: HostedTransport) -> None:
    with transport.client() as client:
        with pytest.raises(Misconfigured) as refusal:
            pipeline("fill-mask", "tally-tiny", client=client)
        with pytest.raises(TypeError, match="num_beams"):
            pipeline("text-generation", "tally-tiny", client=client)("x", num_beams=4)

    assert "feature-extraction, summarization, text-classification, text-generation" in refusal.value.remedy


def test_no_input_is_no_job(transport: HostedTransport) -> None:
    with transport.client() as client:
        assert pipeline("text-generation", "tally-tiny", client=client)([]) == []

    assert requests(transport) == []


def test_a_client_has_these_words_too(transport: HostedTransport) -> None:
    with transport.client() as client:
        assert client.generate("tally-tiny", "Once ").text == client.chat("tally-tiny", CHAT).text == TEXT
        assert isinstance(client, Client)

    assert requests(transport) == [Request(text="Once "), Request(messages=(Message("user", "Japan?"),))]
