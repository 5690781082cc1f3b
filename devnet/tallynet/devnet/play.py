"""The demonstration: the six steps of a job on a small network with a cheat in it, each told as it happens."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from tallynet.audit.anchoring import Chain
from tallynet.audit.node_audit import audit_node
from tallynet.audit.verdict import Verdict
from tallynet.audit.verify import verify_offline, verify_online
from tallynet.client.answer import Answer
from tallynet.client.client import AsyncClient
from tallynet.devnet.fixture import Devnet, open_devnet
from tallynet.devnet.outcome import Outcome
from tallynet.devnet.plan import default_model
from tallynet.devnet.stage import Stage
from tallynet.devnet.tampering import ALTERED_ANSWER
from tallynet.devnet.world import real_world
from tallynet.engine import Engine, open_engine
from tallynet.network.log_reader import LogReader
from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_checks import State
from tallynet.protocol.errors import NodeUnreachable
from tallynet.protocol.units import Address, Wei, prefixed, short

QUESTION = "What is the capital of Japan?"
MORE_QUESTIONS = (
    "Translate water into French.",
    "Sort these words alphabetically: pear, apple, cherry",
    "Write a Python one-liner that reverses the list items.",
)
MAX_TOKENS = 48
MAX_PRICE = Wei(1_000_000)
ANCHOR_WAIT_SECONDS = 30.0
LONGEST_SHOWN = 90
"""Characters of an answer in a table."""
PRICES = (1000, 10, 1000)
"""Of the three nodes, in wei per answered token."""
CHEAT = 1
"""Number of the node that cheats, from 0. It is the cheapest, so it is asked first."""


@dataclass
class Scene:
    """Everybody on the stage."""

    stage: Stage
    devnet: Devnet
    client: AsyncClient
    outcome: Outcome

    @property
    def model(self) -> str:
        return self.devnet.nodes[0].node.engines.first.name


def perform(stage: Stage, began: float, model: str) -> Outcome:
    """The whole demonstration, with `model` as for `Plan`, in a folder that is gone afterwards."""
    engine = partial(open_engine, model or default_model())
    with TemporaryDirectory(prefix="tallynet-demo-") as folder:
        return trio.run(play, stage, began, engine, Path(folder))


async def play(stage: Stage, began: float, engine: Callable[[], Engine], folder: Path) -> Outcome:
    """Run the whole demonstration. `engine` makes the engine of each node, logs go to `folder`, `began` is when the
    program did, by `time.monotonic`."""
    async with _network(stage, engine, folder) as devnet, devnet.client() as client:
        outcome = Outcome(ALTERED_ANSWER, devnet.nodes[CHEAT].address, began)
        scene = Scene(stage, devnet, client, outcome)
        introduce(scene)
        state_job(scene)
        await show_admission(scene)
        await generate(scene)
        await collect_receipts(scene)
        await await_anchors(scene)
        await audit(scene)
    outcome.seconds = time.monotonic() - began
    conclude(stage, outcome)
    return outcome


@asynccontextmanager
async def _network(stage: Stage, engine: Callable[[], Engine], folder: Path) -> AsyncIterator[Devnet]:
    prices = {number: {"completion_price_wei": price} for number, price in enumerate(PRICES)}
    cheats = {CHEAT: ALTERED_ANSWER}
    with ExitStack() as waiting:
        waiting.enter_context(stage.waiting("Starting a chain and three nodes…"))
        async with open_devnet(
            folder, nodes=len(PRICES), world=real_world, engine=engine, cheats=cheats, overrides=prices
        ) as devnet:
            waiting.close()
            yield devnet


def introduce(scene: Scene) -> None:
    """Who is there."""
    stage, nodes, network = scene.stage, scene.devnet.nodes, scene.devnet.network
    info = nodes[0].node.engines.first.engine.info
    stage.title("Tallynet: a job on the record, and a cheat that is caught")
    stage.fact("chain", f"embedded, id {network.chain_id}, {network.rpc_url}")
    stage.fact("contract", network.contract)
    stage.fact("model", f"{info.name}, id {short(info.model)}, {info.context_length} tokens of context")
    for node in nodes:
        stage.fact(node.name, prefixed(node.address))
    for node in nodes:
        if node.cheat:
            stage.fact("", f"{node.name} cheats: {node.cheat.about}", style="yellow")


def state_job(scene: Scene) -> None:
    """(1) What the client signs."""
    about = "The client signs what it asks, the most it pays, and until when. Chain and log see hashes only."
    scene.stage.step(1, "Job", about)
    scene.stage.fact("question", QUESTION)
    scene.stage.fact("at most", f"{MAX_TOKENS} tokens, {MAX_PRICE:,} wei")


async def show_admission(scene: Scene) -> None:
    """(2) Whom the client can ask."""
    about = "Nodes advertise over libp2p. The best offer is asked first; the node checks the job and takes it."
    scene.stage.step(2, "Admission", about)
    rows = [
        (scene.devnet.named(known.node), f"{offer.completion_price}", f"{offer.tokens_per_second}", f"{offer.slots}")
        for known in await scene.client.nodes()
        for offer in known.advert.offers
    ]
    scene.stage.table(("node", "wei/token #", "tokens/s #", "slots #"), sorted(rows))


async def generate(scene: Scene) -> None:
    """(3) The answer, streamed; a chunk that was altered is refused before it is shown."""
    about = "The answer comes in chunks, each signed over all before it, and checked before it is shown."
    scene.stage.step(3, "Generation", about)
    async with scene.client.stream(scene.model, QUESTION, max_tokens=MAX_TOKENS, max_price_wei=MAX_PRICE) as stream:
        with scene.stage.streaming("answer") as show:
            async for piece in stream:
                show(piece)
    answer = stream.answer
    scene.outcome.answers.append(answer)
    count = f"{len(answer.tokens)} tokens in {len(answer.chunks)} signed chunks, {1000 * answer.seconds:.0f} ms"
    scene.stage.fact("by", f"{scene.devnet.named(answer.node)}: {count}")
    for failure in answer.failures:
        scene.stage.fact("refused", f"{scene.devnet.named(failure.node)}, asked before: {failure.error}", style="red")


async def collect_receipts(scene: Scene) -> None:
    """(4) The receipts of this run and of some more."""
    about = "The run goes into the node's log; then the node signs where it stands, and by when it is anchored."
    scene.stage.step(4, "Receipt", about)
    receipt = scene.outcome.answers[0].receipt.receipt
    scene.stage.fact("job", prefixed(receipt.job))
    scene.stage.fact("leaf", prefixed(receipt.leaf))
    rows = [_logged(scene, QUESTION, scene.outcome.answers[0])]

    async def ask(question: str) -> None:
        answer = await scene.client.ask(scene.model, question, max_tokens=MAX_TOKENS, max_price_wei=MAX_PRICE)
        scene.outcome.answers.append(answer)
        rows.append(_logged(scene, question, answer))

    async with trio.open_nursery() as nursery:
        for question in MORE_QUESTIONS:
            nursery.start_soon(ask, question)
    scene.stage.table(("node", "index #", "asked", "answered"), rows)


def _logged(scene: Scene, question: str, answer: Answer) -> tuple[str, ...]:
    text = answer.text.strip()
    shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return scene.devnet.named(answer.node), f"{answer.receipt.receipt.index}", question, shown


async def await_anchors(scene: Scene) -> None:
    """(5) The contract takes every node's log head, after checking that it only grew."""
    about = "Each node posts size and root of its log; the contract itself checks that the log only grew."
    scene.stage.step(5, "Anchor", about)
    with scene.stage.waiting("Waiting for the anchors…"):
        for answer in scene.outcome.answers:
            scene.outcome.bundles.append(await scene.client.wait_for_anchor(answer.bundle(), ANCHOR_WAIT_SECONDS))
    for node in scene.devnet.nodes:
        scene.outcome.anchors += await scene.devnet.ledger.anchors(node.address)
    rows = [
        (
            scene.devnet.named(one.node),
            f"{one.size}",
            short(one.root),
            f"{one.block}",
            short(one.transaction),
            f"{one.gas:,}",
        )
        for one in scene.outcome.anchors
    ]
    scene.stage.table(("node", "size #", "root", "block #", "transaction", "gas #"), rows)
    shared = f"{scene.outcome.gas_per_job:,} here; an anchor's gas hardly depends on how many runs it covers"
    scene.stage.fact("gas/job", shared)


async def audit(scene: Scene) -> None:
    """(6) Somebody who trusts nobody checks the four runs, and every log from its first entry."""
    about = "Anyone can check: one file without any network, or a node's whole log against the chain."
    scene.stage.step(6, "Audit", about)
    for number, bundle in enumerate(scene.outcome.bundles, 1):
        await _verify(scene, number, bundle)
    transport = scene.devnet.transport()
    async with transport.run():
        for node in scene.devnet.nodes:
            found = await audit_node(transport, scene.devnet.ledger, node.address, node.peer)
            scene.outcome.audits.append(found)
            said = f"{found.verdict}, {_count(found.entries_checked, 'entry', 'entries')} against "
            said += _count(found.anchors_checked, "anchor", "anchors")
            scene.stage.fact(node.name, f"{said} {found.reason}".strip(), style="red" if found.failure else "green")


async def _verify(scene: Scene, number: int, bundle: Bundle) -> None:
    """All checks of chapter 6: first with the file alone, then against the chain."""
    data, ledger = write_bundle(bundle).encode(), scene.devnet.ledger
    offline = verify_offline(data, ledger.domain)
    online = await verify_online(data, Chain(ledger, _no_log))
    good = offline.verdict is online.verdict is Verdict.OK
    scene.outcome.receipts_verified += good
    held = sum(result.state is State.OK for result in online.results)
    fault = offline.failure or online.failure
    said = f"{held} of {len(online.results)} checks hold, {len(data):,} bytes {fault or ''}".strip()
    scene.stage.fact(f"run {number}", said, style="green" if good else "red")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


async def _no_log(node: Address) -> LogReader:
    """A bundle that has its anchor needs no node's help."""
    raise NodeUnreachable(f"the log of {prefixed(node)} is not asked in an audit of finished bundles")


def conclude(stage: Stage, outcome: Outcome) -> None:
    """The end of the story."""
    caught = outcome.caught
    if caught:
        cheat = f"Caught: {prefixed(caught.node)} sent an answer that it had not signed ({outcome.cheat.kind})."
    else:
        cheat = f"NOT CAUGHT: {prefixed(outcome.cheater)} cheated ({outcome.cheat.kind}), and nobody noticed."
    logs = "every log is whole" if outcome.audit_passed else "NOT every log is whole"
    proven = f"{outcome.receipts_verified} of {len(outcome.answers)} runs are proven, {logs}."
    stage.verdict(f"{cheat}\n{proven} {outcome.seconds:.1f} s in all.", good=outcome.good)
