"""The gateway as a program: a client of the network on one side, an HTTP port on the other."""

import logging
import time

import trio

from tallynet.client.client import AsyncClient
from tallynet.client.gateway.app import build_app
from tallynet.client.gateway.config import ANY_PORT_REMEDY, GatewayConfig
from tallynet.client.gateway.door import Door
from tallynet.client.gateway.jobs import Jobs
from tallynet.client.gateway.keys import KeyStore, open_keys
from tallynet.client.gateway.metrics import Metrics
from tallynet.client.gateway.rates import Rates
from tallynet.client.gateway.receipts import Receipts
from tallynet.client.gateway.routes import Gateway
from tallynet.console.web import serve_app
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import Seconds

log = logging.getLogger(__name__)


async def run_gateway(
    config: GatewayConfig, client: AsyncClient, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; reports the URL. `client` is in use already, inside its `async with`.

    Raises `Misconfigured` when the port or the key file cannot be used, and for a port that others than this machine
    can reach while there is no key.
    """
    with open_keys(config.keys) as keys:
        if not config.loopback and not keys.any_in_force:
            raise Misconfigured(
                f"There is no API key, and {config.listen} can be reached from other machines.",
                remedy="Make a key with `tallynet gateway keys add NAME`, or listen on 127.0.0.1.",
            )
        app = build_app(_gateway(config, client, keys))
        await serve_app(app, config.listen, log, remedy=ANY_PORT_REMEDY, task_status=task_status)


def _gateway(config: GatewayConfig, client: AsyncClient, keys: KeyStore) -> Gateway:
    door = Door(config, keys, Rates(time.monotonic), _now)
    receipts = Receipts(client, keys, config.receipts_held, config.receipts)
    return Gateway(config, client, door, Jobs(client, keys, receipts, _now), Metrics(), time.monotonic)


def _now() -> Seconds:
    return Seconds(int(time.time()))
