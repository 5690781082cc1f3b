"""Running a handler so that whatever it raises costs its own stream and nothing else."""

import logging

from tallynet.network.transport import EndOfStream, Handler, Stream
from tallynet.protocol.errors import TallyError

log = logging.getLogger(__name__)


async def answer(handler: Handler, stream: Stream, protocol: str) -> None:
    """Let `handler` serve `stream`: finish it afterwards, abort it when the handler raises.

    Raises nothing but cancellation. What a peer caused is logged at debug, a bug of ours at error.
    """
    try:
        async with stream:
            await handler(stream)
    except* (TallyError, EndOfStream) as causes:
        log.debug("%s from %s ended: %s", protocol, stream.remote, causes.exceptions)
    except* Exception as bugs:
        log.error("the handler of %s failed on a stream from %s", protocol, stream.remote, exc_info=bugs)
