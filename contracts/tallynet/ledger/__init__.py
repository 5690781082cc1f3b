"""The public ledger: who serves, with what at stake, and how far each node's log of runs has been witnessed.

In reading order:

    ledger      the promise, `Ledger`, and the words it is made in
    rules       what every ledger asks of a call before it is made, and what nodes sign for it
    memory      `MemoryLedger`: the promise in one process, for tests and for trying things out
      memory_court    faults and challenges
      memory_blocks   the chain below
    contract    the promise as calls to `contracts/ledger.vy` on some chain
      contract_court  faults and challenges
      contract_calls  what every call needs: to be posted, and its event found
      outbox      transactions, each posted at most once
      history     events, checked against reorganisations
      events      what one event says
      directory   who has registered
    chain       `ChainLedger`: the same over any Ethereum RPC endpoint
      rpc         what is asked of an endpoint
      answers     what it answers, in our own types
    artefact    the compiled contract;  compile makes it

Above `tallynet.protocol`, beside `tallynet.network` and `tallynet.engine`, below everything that serves, asks or
audits. Only `rpc` imports web3, which takes seconds: name `chain` where it is used,
`from tallynet.ledger.chain import ChainLedger`. Everything else here starts at once.
"""

from tallynet.ledger.ledger import Anchor, Challenge, Head, Ledger, NodeEntry, Relay, RunRecord, Slashing
from tallynet.ledger.memory import MemoryLedger
from tallynet.ledger.rules import consent, consent_digest, relay_digest, sign_relay

__all__ = [
    "Anchor",
    "Challenge",
    "Head",
    "Ledger",
    "MemoryLedger",
    "NodeEntry",
    "Relay",
    "RunRecord",
    "Slashing",
    "consent",
    "consent_digest",
    "relay_digest",
    "sign_relay",
]
