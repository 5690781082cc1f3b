"""Keeping py-libp2p's logging to itself.

It reports what is ordinary on a public network at WARNING and ERROR: a run over the DHT wrote "Failed to read DHT
message" 1141 times. Whatever matters reaches our callers as an error of ours.
"""

import logging

from libp2p.network.connection import swarm_connection

_LIBRARY = "libp2p"


def quieten() -> None:
    """Silence py-libp2p below CRITICAL, unless the program has asked its logger `libp2p` for more. Idempotent."""
    library = logging.getLogger(_LIBRARY)
    if library.level in (logging.NOTSET, logging.WARNING):  # WARNING is what it gives itself at import
        library.setLevel(logging.CRITICAL)
    # It gives itself the level INFO at import and would pass its parent by.
    logging.getLogger("libp2p.network.auto_connector").setLevel(logging.NOTSET)
    # It logs through the functions of the module `logging`. The first such call configures the root logger and so
    # decides the logging of the whole program; a logger has methods of the same names.
    vars(swarm_connection)["logging"] = logging.getLogger(swarm_connection.__name__)
