"""Documents: answers and summaries that say which passages they rest on.

In reading order: `document` and `html`, files read as text; `passage`, what a text is cut into; `store`, `vectors` and
`retrieval`, finding the passages that a question is about; `answering` and `citation`, an answer that names them;
`summary`, a text of any length in few words. `length` is what all of them know of the context of a model.
"""

from tallynet.client.documents.answering import DocumentAnswer, answer_from
from tallynet.client.documents.citation import Citation
from tallynet.client.documents.document import Document, read_documents
from tallynet.client.documents.passage import Passage, cut_text
from tallynet.client.documents.retrieval import Found, Retrieval, open_retrieval
from tallynet.client.documents.summary import Summary, summarise

__all__ = [
    "Citation",
    "Document",
    "DocumentAnswer",
    "Found",
    "Passage",
    "Retrieval",
    "Summary",
    "answer_from",
    "cut_text",
    "open_retrieval",
    "read_documents",
    "summarise",
]
