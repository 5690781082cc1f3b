"""A whole network as processes: a chain, a contract on it, and nodes. Together they come and together they go."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from tallynet.console.network_file import NetworkFile, NodeHint, write_network
from tallynet.devnet.board import Board
from tallynet.devnet.chain.accounts import funded_key
from tallynet.devnet.deployment import deploy_ledger, enlist
from tallynet.devnet.plan import Plan, Seat, occupied, prepare
from tallynet.devnet.program import Program, Ready
from tallynet.devnet.purse import Purse
from tallynet.ledger.opening import open_ledger
from tallynet.protocol.errors import ChainUnreachable, NodeUnreachable

Announce = Callable[[Path, NetworkFile], None]


async def run_devnet(plan: Plan, board: Board, stop: Callable[[], Awaitable[object]], announce: Announce) -> None:
    """Start everything, `announce` that it is ready, and go on until `stop` returns; then stop everything.

    Raises `ChainUnreachable` when the chain fails, `NodeUnreachable` when a node does not start or the last one
    ends. The nodes stop before the chain, so that they can anchor what is left.
    """
    with occupied(plan.folder):
        async with trio.open_nursery() as chain:
            with trio.CancelScope() as work:
                chain.start_soon(_cancel_after, stop, work)
                async with trio.open_nursery() as nodes:
                    with board.shown():
                        network = await _start_all(plan, board, chain, nodes)
                    write_network(plan.folder / "network.json", network)
                    announce(plan.folder / "network.json", network)
            chain.cancel_scope.cancel()


async def _cancel_after(stop: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
    await stop()
    scope.cancel()


async def _start_all(plan: Plan, board: Board, chain: trio.Nursery, nodes: trio.Nursery) -> NetworkFile:
    """The network file of a network in which every node is ready and registered."""
    seats = await trio.to_thread.run_sync(prepare, plan)
    rpc_url = await _start_chain(plan, board, chain)
    network = await _deploy(plan, board, rpc_url, seats)
    hints: dict[str, NodeHint] = {}
    crew = Crew(board, nodes, hints)
    for seat in seats:
        board.start(seat.member.name)
    async with trio.open_nursery() as starting:
        starting.start_soon(_enlist_all, network, seats)
        for seat in seats:
            starting.start_soon(crew.start, seat)
    return msgspec.structs.replace(network, nodes=tuple(hints[seat.member.name] for seat in seats))


async def _start_chain(plan: Plan, board: Board, chain: trio.Nursery) -> str:
    """The RPC URL of a chain that answers."""
    board.start("chain")
    if plan.chain in ("embedded", "anvil"):
        ready: Ready = await chain.start(_chain_program(plan).run)
        url = str(ready.facts["rpc_url"])
    else:
        url = plan.chain
    board.ready("chain", url)
    return url


def _chain_program(plan: Plan) -> Program:
    ready = plan.folder / "chain-ready.json"
    return Program(
        name="the chain",
        module="tallynet.devnet.chain" if plan.chain == "embedded" else "tallynet.devnet.anvil",
        arguments=["--port", "0", "--ready", str(ready)],
        log=plan.folder / "chain.log",
        ready=ready,
        fault=ChainUnreachable,
    )


async def _deploy(plan: Plan, board: Board, rpc_url: str, seats: list[Seat]) -> NetworkFile:
    """Put the contract on the chain and write the file that the nodes start from: every seat, and no node yet."""
    board.start("contract")
    network = await deploy_ledger(rpc_url, funded_key(), "devnet")
    network = msgspec.structs.replace(network, bootstrap=tuple(seat.member.multiaddr for seat in seats))
    write_network(plan.folder / "chain.json", network)
    board.ready("contract", network.contract)
    return network


async def _enlist_all(network: NetworkFile, seats: list[Seat]) -> None:
    """Pay and register everybody, while their models still load."""
    purse = Purse(network.rpc_url, funded_key())
    opening = open_ledger(network.rpc_url, network.domain, network.confirmations)
    async with opening as ledger, trio.open_nursery() as nursery:
        for seat in seats:
            nursery.start_soon(enlist, ledger, purse, seat.member)


class Crew:
    """The nodes of a devnet as processes in `nursery`. `hints` fills with those that are ready."""

    def __init__(self, board: Board, nursery: trio.Nursery, hints: dict[str, NodeHint]) -> None:
        self._board = board
        self._nursery = nursery
        self._hints = hints
        self._running: set[str] = set()

    async def start(self, seat: Seat) -> None:
        """Returns once the node is ready; raises `NodeUnreachable` when it does not become so."""
        name = seat.member.name
        ready: Ready = await self._nursery.start(self._tend, _node_program(seat))
        hint = _hint(ready)
        self._hints[name] = hint
        where = f"cheats: {seat.cheat.text}" if seat.cheat else hint.http
        self._board.ready(name, f"{hint.address[:8]}… {where}")

    async def _tend(self, program: Program, *, task_status: trio.TaskStatus[Ready]) -> None:
        """A node that ends after it was ready is reported; the others go on while there are any."""
        self._running.add(program.name)
        try:
            await program.run(task_status=task_status)
        except NodeUnreachable as error:
            self._running.discard(program.name)
            if program.name not in self._hints or not self._running:
                raise
            self._board.say(f"{error} The other nodes go on.")


def _node_program(seat: Seat) -> Program:
    cheat = seat.cheat
    return Program(
        name=seat.member.name,
        module="tallynet.devnet.cheats" if cheat else "tallynet.node",
        arguments=[cheat.text if cheat else "run", "--config", str(seat.config), "--ready", str(seat.ready)],
        log=seat.log,
        ready=seat.ready,
        fault=NodeUnreachable,
    )


def _hint(ready: Ready) -> NodeHint:
    facts = ready.facts
    names = tuple(facts["models"])
    return NodeHint(facts["address"], facts["multiaddr"], facts["http"], names[0], names[1:])
