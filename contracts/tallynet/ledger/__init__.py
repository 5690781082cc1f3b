"""The public ledger: who serves, with what at stake, and how far each node's log of runs has been witnessed.

In reading order:

    ledger      the promise, `Ledger`, and the words it is made in
    rules       what every ledger asks of a call before it is made
    memory      `MemoryLedger`: the promise in one process, for tests and for trying things out
    contract    the promise as calls to `contracts/ledger.vy` on some chain
      outbox      transactions, each posted at most once
      history     events, checked against reorganisations
      events      what one event says
      directory   who has registered
    chain       `ChainLedger`: the same over any Ethereum RPC endpoint
    artefact    the compiled contract;  compile makes it

Above `tallynet.protocol`, beside `tallynet.network` and `tallynet.engine`, below everything that serves, asks or
audits. Only `chain` imports web3, which takes seconds: name it where it is used,
`from tallynet.ledger.chain import ChainLedger`. Everything else here starts at once.
"""

from tallynet.ledger.ledger import Anchor, Head, Ledger, NodeEntry, RunRecord
from tallynet.ledger.memory import MemoryLedger
from tallynet.ledger.rules import consent, consent_digest

__all__ = [
    "Anchor",
    "Head",
    "Ledger",
    "MemoryLedger",
    "NodeEntry",
    "RunRecord",
    "consent",
    "consent_digest",
]
