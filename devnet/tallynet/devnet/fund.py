"""`tallynet devnet fund`: coins of a development chain for a key that is to post something."""

from typing import Annotated

import typer

from tallynet.audit.arguments import read_address
from tallynet.console.network_file import read_network
from tallynet.console.terminal import DebugOption, JsonOption, NetworkOption, command
from tallynet.protocol.units import Wei, prefixed

ETHER = 10**18
MOST_ETHER = 1_000


def fund(
    address: Annotated[str, typer.Argument(help="Who gets them, 0x….", show_default=False)],
    ether: Annotated[float, typer.Option(help=f"How many, up to {MOST_ETHER:,}.", min=0.0, max=MOST_ETHER)] = 1.0,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Send coins of a development chain, from one of the accounts that every such chain begins with.

    `tallynet audit attest --send`, `slash --send` and `challenge --send` need some to pay their gas.

    Example: tallynet devnet fund 0x1563915e194d8cfba1943570603f7606a3115508 --network D/network.json
    """
    with command(as_json=as_json, debug=debug) as terminal:
        import trio

        from tallynet.devnet.chain.accounts import funded_key
        from tallynet.devnet.purse import Purse

        known, receiver, wei = read_network(network), read_address(address), Wei(round(ether * ETHER))
        trio.run(Purse(known.rpc_url, funded_key(1)).pay, [(receiver, wei)])
        terminal.out.print(f"Sent {wei:,} wei to {prefixed(receiver)}.", highlight=False, soft_wrap=True)
        terminal.result({"address": prefixed(receiver), "wei": wei})
