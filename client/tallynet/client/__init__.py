"""The client: ask models of the network, and keep the proof of what was answered.

In reading order: `client` and `blocking`, its two faces, and `session`, what they stand on; `order`, `terms`,
`wishes`, `tools` and `placing` (1); `directory`, `market`, `ranking` and `choosing`, who is asked (2); `lines`,
`conversation`, `attachment`, `dispatch` and `answer_stream`, how the answer comes (3); `receipt_checks` and `answer`,
what holds the node to it, `embedding` and `score`, the same for vectors and for given texts (4); `anchor_wait` (5).
`batch` and `dialogue` ask more than once, `tasks` in words that are versioned, `documents` about one's own files,
`flow` in graphs of questions, `evaluate` to measure a model, `pipelines` as Hugging Face's, `langchain` as
LangChain's. `portal` is the loop behind the blocking client, `commands` and its siblings are the command line;
`gateway` serves OpenAI's clients.
"""

from tallynet.client.answer import Answer, Usage, save_bundle
from tallynet.client.answer_stream import AnswerStream
from tallynet.client.batch import Outcome
from tallynet.client.blocking import BlockingStream, Client
from tallynet.client.client import AsyncClient
from tallynet.client.dialogue import Dialogue
from tallynet.client.dispatch import Failure
from tallynet.client.embedding import Embedding, EmbedOptions
from tallynet.client.market import ModelOnOffer
from tallynet.client.order import Prompt
from tallynet.client.pipelines import Pipeline, pipeline
from tallynet.client.score import Score, ScoreOptions
from tallynet.client.tasks.result import TaskResult
from tallynet.client.terms import AskOptions

__all__ = [
    "Answer",
    "AnswerStream",
    "AskOptions",
    "AsyncClient",
    "BlockingStream",
    "Client",
    "Dialogue",
    "EmbedOptions",
    "Embedding",
    "Failure",
    "ModelOnOffer",
    "Outcome",
    "Pipeline",
    "Prompt",
    "Score",
    "ScoreOptions",
    "TaskResult",
    "Usage",
    "pipeline",
    "save_bundle",
]
