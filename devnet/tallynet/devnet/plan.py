"""What `tallynet devnet up` is asked for, and the folder that it makes of it.

    D/network.json        how to reach the network; appears when everything is ready
    D/chain.json          the same for the nodes themselves, before there are any
    D/chain.log           what the chain said
    D/node-1/key.json     the node's key; operator.json  that of its operator; both encrypted with no password
    D/node-1/node.toml    its configuration, D/node-1/data its log, D/node-1/node.log what it said

Keys stay from one start to the next, so nodes keep their names. Logs do not: every start deploys a new contract,
and what was logged for the old one has no meaning there.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallynet.devnet.cheats.cheat import LedgerCheat
from tallynet.devnet.cheats.kinds import read_casting
from tallynet.devnet.deployment import Member
from tallynet.devnet.lifetime import free_ports
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.keys import Key
from tallynet.protocol.keystore import open_keystore

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "tally-tiny"
MAX_NODES = 64
QUEUE = 64
ADVERT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A devnet to be."""

    folder: Path
    nodes: int = 3
    model: str = ""
    """`fake`, a directory, a hub id, or another server; empty for the model that comes with the package."""
    chain: str = "embedded"
    """`embedded`, `anvil`, or the RPC URL of a development chain."""
    anchor_seconds: float = 5.0
    completion_price_wei: int = 1000
    more: tuple[str, ...] = ()
    """Models that every node serves besides."""
    cheats: tuple[str, ...] = ()
    """`node-2=KIND[:N]`: which nodes cheat, and how (`cheats.kinds`)."""

    def __post_init__(self) -> None:
        """Raises `Misconfigured`."""
        if not 1 <= self.nodes <= MAX_NODES:
            raise Misconfigured(f"A devnet has 1 to {MAX_NODES} nodes, not {self.nodes}.")
        if self.chain not in ("embedded", "anvil") and not self.chain.startswith(("http://", "https://")):
            raise Misconfigured(
                f"{self.chain!r} is no chain.", remedy="Use embedded, anvil, or an RPC URL that begins with http."
            )
        if not 0.1 <= self.anchor_seconds <= 24 * 3600:
            raise Misconfigured(f"anchor_seconds is {self.anchor_seconds:g}, not within 0.1 to a day.")
        if not self.model:
            default_model()
        if len(self.casting) < len(self.cheats):
            raise Misconfigured("A node is given two cheats.", remedy="Give each node one at most.")

    @property
    def casting(self) -> dict[int, LedgerCheat]:
        """What each cheating node does; nodes are counted from 0. Raises `Misconfigured`."""
        return dict(read_casting(text, self.nodes) for text in self.cheats)

    @property
    def model_source(self) -> str:
        """What the nodes are told to load first."""
        return _source(self.model) if self.model else default_model()

    @property
    def model_sources(self) -> list[str]:
        """All that they are told to load."""
        return [self.model_source, *map(_source, self.more)]


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in the folder."""

    member: Member
    folder: Path
    cheat: LedgerCheat | None = None

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    @property
    def ready(self) -> Path:
        return self.folder / "ready.json"


def default_model() -> str:
    """The directory of the model that comes with the package; raises `Misconfigured` when it is not there."""
    if not (DEFAULT_MODEL / "config.json").is_file():
        raise Misconfigured(
            f"The tiny model is not in {DEFAULT_MODEL}.",
            remedy="Train it with `make tiny-model`, name another with --model DIR, or use --model fake.",
        )
    return str(DEFAULT_MODEL)


def _source(model: str) -> str:
    """A directory by its whole path: nodes look from another place."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Keep the folder to ourselves; raises `Misconfigured` when another devnet runs there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"A devnet is already running in {folder}.", remedy="Stop it, or use another folder with --dir."
            ) from error
        yield


def prepare(plan: Plan) -> list[Seat]:
    """Clear away what an earlier devnet left, and lay out keys and configurations."""
    for stale in ("network.json", "chain.json", "chain.log", "chain-ready.json"):
        (plan.folder / stale).unlink(missing_ok=True)
    ports = free_ports(2 * plan.nodes)  # fixed, so that a node restarted by hand is found where it was
    return [_lay_out(plan, number, *ports[2 * number : 2 * number + 2]) for number in range(plan.nodes)]


def _lay_out(plan: Plan, number: int, port: int, http_port: int) -> Seat:
    name = f"node-{number + 1}"
    folder = plan.folder / name
    folder.mkdir(exist_ok=True, mode=0o700)
    for stale_log in ("data", "data-copy"):
        shutil.rmtree(folder / stale_log, ignore_errors=True)
    for stale in ("node.log", "ready.json"):
        (folder / stale).unlink(missing_ok=True)
    key, operator = _key(folder / "key.json"), _key(folder / "operator.json")
    listen = f"/ip4/127.0.0.1/tcp/{port}"
    seat = Seat(Member(name, key, operator, f"{listen}/p2p/{key.peer_id}"), folder, plan.casting.get(number))
    seat.config.write_text(_config(plan, listen, http_port))
    return seat


def _key(path: Path) -> Key:
    return open_keystore(path, "")


def _config(plan: Plan, listen: str, http_port: int) -> str:
    settings: dict[str, object] = {
        "keystore": "key.json",
        "data": "data",
        "network": "../chain.json",
        "models": plan.model_sources,
        "listen": [listen],
        "http": f"127.0.0.1:{http_port}",
        "queue": QUEUE,
        "advert_seconds": ADVERT_SECONDS,
        "anchor_seconds": plan.anchor_seconds,
        "promise_seconds": max(60, int(4 * plan.anchor_seconds)),
        "completion_price_wei": plan.completion_price_wei,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "# Written by `tallynet devnet up`; every start writes it anew.\n" + "\n".join(lines) + "\n"
