"""Models of the network for LangChain: `pip install tallynet[langchain]`.

    from tallynet.client.langchain import ChatTallynet
    ChatTallynet(model="tally-tiny").invoke("What is the capital of Japan?").response_metadata["job"]

`chat`, `llm`, `embeddings` and `retriever` are LangChain's kinds; `access` holds the client behind them, `messages`,
`answers` and `tools` are how the two sides say the same, `structured` reads answers that are JSON, and `bridge` leads
from asyncio, on which LangChain runs, into the client's own loop.
"""

from tallynet.client.langchain.chat import ChatTallynet
from tallynet.client.langchain.embeddings import TallynetEmbeddings
from tallynet.client.langchain.llm import TallynetLLM
from tallynet.client.langchain.retriever import TallynetRetriever

__all__ = ["ChatTallynet", "TallynetEmbeddings", "TallynetLLM", "TallynetRetriever"]
