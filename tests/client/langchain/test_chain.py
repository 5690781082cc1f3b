"""What is ours in LangChain: jobs and evidence in the metadata, cancelling, and a chain that answers with citations."""

import asyncio
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ChatMessage, FunctionMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from tallynet.client import Answer
from tallynet.client.documents.citation import read_citations
from tallynet.client.documents.passage import Passage
from tallynet.client.langchain import ChatTallynet, TallynetEmbeddings, TallynetLLM, TallynetRetriever
from tallynet.client.langchain.messages import make_request
from tallynet.protocol.chunk import ChunkBody
from tallynet.protocol.errors import InvalidJob, NoNodes, Refused
from tallynet.protocol.request import Message, Request, decode_request
from tallynet.protocol.units import Digest
from tests.client.hosted import HostedTransport
from tests.client.langchain.networks import client, transport
from tests.client.scripted_node import TEXT
from tests.client.test_blocking import cancelled

pytestmark = pytest.mark.langchain

QUESTION = "What speaks JSON-RPC over py-evm in the embedded chain?"
DOCS = Path(__file__).parents[3] / "protocol" / "decisions"


def test_an_answer_names_its_job_its_node_and_its_evidence() -> None:
    answers: list[Answer] = []
    message = ChatTallynet(model="tally-tiny", client=client(), on_answer=answers.append).invoke("Japan?")

    (answer,) = answers
    assert message.text == answer.text == TEXT
    assert message.response_metadata["job"] == "0x" + answer.job.hex()
    assert message.response_metadata["node"] == "0x" + answer.node.hex()
    assert message.response_metadata["evidence"] == "signed"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata["total_tokens"] == answer.usage.total_tokens


async def test_a_stream_ends_with_the_same(caplog: pytest.LogCaptureFixture) -> None:
    model = ChatTallynet(model="tally-tiny", client=client())
    chunks = [chunk async for chunk in model.astream("Japan?")]

    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert len(chunks) > 2
    assert chunks[-1].response_metadata["job"].startswith("0x")
    assert chunks[-1].usage_metadata["output_tokens"] == 5


def test_texts_are_continued() -> None:
    model = TallynetLLM(model="tally-tiny", client=client(), max_tokens=9, stop=["END"])
    result = model.generate(["Once ", "Twice "])

    assert [generation.text for (generation,) in result.generations] == [TEXT, TEXT]
    assert all(generation.generation_info["evidence"] == "signed" for (generation,) in result.generations)
    assert "".join(model.stream("Once ", documents=["ab" * 32])) == TEXT
    submit = transport().nodes[0].submits[-1]
    assert decode_request(submit.request) == Request(text="Once ", documents=(Digest(b"\xab" * 32),))
    assert (submit.signed.job.sampling.max_tokens, submit.signed.job.sampling.stop) == (9, ("END",))


async def test_texts_are_continued_on_asyncio() -> None:
    model = TallynetLLM(model="tally-tiny", client=client())

    assert await model.ainvoke("Once ") == TEXT
    assert "".join([piece async for piece in model.astream("Once ")]) == TEXT


def test_vectors_come_with_their_answers() -> None:
    answers: list[Answer] = []
    TallynetEmbeddings(model="vectors", client=client(), on_answer=answers.append).embed_documents(["a", "b"])

    assert len({answer.job for answer in answers}) == 2


def test_errors_are_ours() -> None:
    with pytest.raises(NoNodes):
        ChatTallynet(model="nobody", client=client()).invoke("Hi")


async def test_an_error_on_asyncio_is_ours() -> None:
    with pytest.raises(NoNodes):
        await ChatTallynet(model="nobody", client=client()).ainvoke("Hi")


def test_messages_are_ours() -> None:
    said = [ChatMessage(role="system", content="Be brief."), HumanMessage([{"type": "text", "text": "Hi"}])]
    request = make_request([*said, AIMessage("Yes?")], documents=["ab" * 32], template="0x" + "cd" * 32)

    assert request.messages == (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"))
    assert (request.documents, request.template) == ((b"\xab" * 32,), b"\xcd" * 32)


@pytest.mark.parametrize(
    "message",
    [
        FunctionMessage("1", name="x"),
        HumanMessage([{"type": "image_url", "image_url": "data:"}]),
        ToolMessage([{"type": "image_url", "image_url": "data:"}], tool_call_id="x"),
        AIMessage("", tool_calls=[{"name": "x", "args": {}, "id": None}]),
        AIMessage("", invalid_tool_calls=[{"name": "x", "args": "{", "id": "1", "error": "broken"}]),
    ],
)
def test_what_is_no_text_is_refused(message: HumanMessage) -> None:
    with pytest.raises(InvalidJob):
        make_request([message])


async def test_cancelling_on_asyncio_cancels_the_job() -> None:
    slow = HostedTransport({"pause": 0.7})
    with slow.client() as opened:
        asking = asyncio.create_task(ChatTallynet(model="tally-tiny", client=opened).ainvoke("Japan?"))
        while not any(len(run.frames) > 1 for run in slow.nodes[0].runs.values()):
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while not cancelled(slow.nodes[0]):
            await asyncio.sleep(0.01)


async def test_leaving_a_stream_cancels_the_job() -> None:
    slow = HostedTransport({"pause": 0.2})
    with slow.client() as opened:
        stream = ChatTallynet(model="tally-tiny", client=opened).astream("Japan?")
        await anext(stream)
        await stream.aclose()
        while not cancelled(slow.nodes[0]):
            await asyncio.sleep(0.01)


def test_a_retry_of_the_network_is_the_same_job_and_paid_once() -> None:
    failing = HostedTransport({"refusals": [Refused("not now")], "tokens_per_second": 1000}, {})
    with failing.client() as opened:
        message = ChatTallynet(model="tally-tiny", client=opened, max_retries=5).invoke("Japan?")

    submits = [submit for node in failing.nodes for submit in node.submits]
    assert len({submit.signed.job.nonce for submit in submits}) == 1
    assert sum(node.log.size for node in failing.nodes) == 1
    assert message.text == TEXT


def number_passages(found: list[Document]) -> str:
    return "\n\n".join(f"[{number}] {document.page_content}" for number, document in enumerate(found, start=1))


def answering(retriever: TallynetRetriever, model: ChatTallynet) -> Runnable[str, dict[str, object]]:
    """Passages are found, numbered, shown, sealed with the question, and cited."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Answer from the passages, naming them like [1].\n\n{passages}"), ("human", "{question}")]
    )

    def ask(given: dict[str, object]) -> dict[str, object]:
        found = given["found"]
        assert isinstance(found, list)
        messages = prompt.invoke({"question": given["question"], "passages": number_passages(found)})
        message = model.invoke(messages, documents=[document.metadata["digest"] for document in found])
        passages = [Passage(document.metadata["source"], 1, document.page_content) for document in found]
        return {"answer": message, "citations": read_citations(message.text, passages)[0]}

    return {"found": retriever, "question": RunnablePassthrough()} | RunnableLambda(ask)


def test_a_chain_answers_from_the_repository_s_own_documents(tmp_path: Path) -> None:
    hosted = HostedTransport({"pieces": (ChunkBody((1, 2), "Our own chain [1].", (-0.5, -0.5)),)})
    with hosted.client() as opened:
        retriever = TallynetRetriever(docs=DOCS, index=tmp_path, k=3, by_words=True, client=opened)
        model = ChatTallynet(model="tally-tiny", client=opened)
        told = answering(retriever, model).invoke(QUESTION)
        (simple,) = [(retriever | number_passages | model).invoke(QUESTION)]

    request = decode_request(hosted.nodes[0].submits[0].request)
    (citation,) = told["citations"]
    assert citation.passage.source.startswith("0006-embedded-chain")
    assert len(request.documents) == 3 and citation.passage.digest == request.documents[0]
    assert "[3] " in request.messages[0].content
    assert simple.text == "Our own chain [1]."
