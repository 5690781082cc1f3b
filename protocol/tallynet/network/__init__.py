"""How it is said: peers, streams, announcements and gossip behind one interface.

    transport       the interface: `Transport`, `Stream`, `PeerAddress`
    limits          how much of this peer others may take
    frames          messages on a stream
    discovery       finding nodes; address_book, what they offer; log_reader, what they have logged
    memory          `MemoryNetwork` and `MemoryTransport`, its twin inside one process
    host            `Libp2pTransport` over py-libp2p; import it by its full name, it costs 1.7 seconds

Above `tallynet.protocol` only. py-libp2p is known to `host` and its parts (`house`, `swarm`, `muxer`, `services`,
`stream`, `dialling`, `addresses`, `dht`, `gossip`, `quiet`) and to nobody else. What its release 0.8.1 gets wrong is
put right there, beside the words that say what it costs.
"""

from tallynet.network.limits import Limits
from tallynet.network.memory import MemoryNetwork, MemoryTransport
from tallynet.network.transport import EndOfStream, Handler, PeerAddress, Stream, Transport

__all__ = [
    "EndOfStream",
    "Handler",
    "Limits",
    "MemoryNetwork",
    "MemoryTransport",
    "PeerAddress",
    "Stream",
    "Transport",
]
