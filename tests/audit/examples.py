"""Valid things made by hand, with real keys and signatures: runs, bundles, a node's log that can be read.

Start from these and break one thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tallynet.ledger.ledger import Anchor, Ledger
from tallynet.ledger.memory import MemoryLedger
from tallynet.network.frames import LOG_ASK, EndOfStream, receive_frame, send_frame
from tallynet.network.transport import Stream
from tallynet.protocol.bundle import AnchorRef, Bundle, attach_anchor
from tallynet.protocol.bundle_openings import Whole
from tallynet.protocol.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from tallynet.protocol.chunk import ChunkBody, Transcript
from tallynet.protocol.commitment import commit_prompt, commit_request, prompt_salt, request_salt
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.job import Job, Sampling, sign_job
from tallynet.protocol.keys import Key
from tallynet.protocol.leaf import Leaf, Status
from tallynet.protocol.merkle import leaf_hash
from tallynet.protocol.merkle_tree import Tree
from tallynet.protocol.note import write_checkpoint_note, write_key_note
from tallynet.protocol.receipt import sign_receipt
from tallynet.protocol.request import Message, Request, encode_request
from tallynet.protocol.tiles import Tile, write_bundle, write_tile
from tallynet.protocol.units import Address, Digest, Milliseconds, ModelId, Seconds, Wei
from tallynet.protocol.wire import (
    AskCheckpoint,
    AskConsistency,
    AskFile,
    AskInclusion,
    File,
    Frame,
    Head,
    LogAsk,
    ProofPath,
    Rejected,
)

DOMAIN = Domain(31_337, Address(bytes(19) + b"\x01"))
"""That of `MemoryLedger`."""

CLIENT = Key(b"\x11" * 32)
NODE = Key(b"\x22" * 32)
OPERATOR = Key(b"\x33" * 32)
STRANGER = Key(b"\x44" * 32)

MODEL = ModelId(b"\x55" * 32)
STARTED = Milliseconds(1_767_225_600_000)
ANCHOR_BY = Seconds(4_000_000_000)
"""Far in the future of every test."""

CHUNKS = (
    ChunkBody((17, 4, 9), "The capital", (-0.25, -0.5, -0.125), b"\x01\x02\x03"),
    ChunkBody((33, 2), " is Tōkyō.", (-1.5, -0.75), b""),
)


@dataclass
class ExampleNode:
    """A node's log and what it shows of it. Honest until a test changes what it shows."""

    key: Key = NODE
    domain: Domain = DOMAIN
    leaves: list[bytes] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    shown: list[bytes] | None = None
    """The entries it serves, where they are not those of its log."""
    tree_shown: Tree | None = None
    """The tree whose tiles it serves, where it is not that of its log."""
    head: SignedCheckpoint | None = None
    """The checkpoint it serves, where it is not that of its log."""
    head_key: Key | None = None
    """Who signs its checkpoint, where it is not itself."""
    breaks_at: int | None = None
    """The first entry that it is asked for and hangs up at."""
    refuses: bool = False
    """Whether it refuses to show more than its checkpoint."""

    def run(
        self,
        question: str = "What is the capital of Japan?",
        chunks: Sequence[ChunkBody] = CHUNKS,
        *,
        anchor_by: Seconds = ANCHOR_BY,
        template: Digest | None = None,
        documents: tuple[Digest, ...] = (),
        consent: bool = False,
        **changes: object,
    ) -> Bundle:
        """One more job, answered, logged and promised; `changes` are fields of its leaf to falsify."""
        nonce = Digest(len(self.leaves).to_bytes(32, "big"))
        secret = bytes([7]) + nonce[1:]
        request = encode_request(Request((Message("user", question),), template=template, documents=documents))
        commitment = commit_request(request_salt(secret), request)
        job = Job(
            CLIENT.address,
            MODEL,
            commitment,
            Sampling(64, stop=("###",)),
            Milliseconds(2**52),
            Wei(10**6),
            nonce,
            audit_consent=consent,
        )
        signed = sign_job(job, self.domain, CLIENT)
        prompt = (1, 500, 70000, 3)
        transcript = Transcript(job.id(self.domain), secret, commit_prompt(prompt_salt(secret), prompt))
        for body in chunks:
            transcript.extend(body)
        leaf = Leaf(
            job=job.id(self.domain),
            client=job.client,
            model=job.model,
            runtime=Digest(b"\x66" * 32),
            params=job.sampling.digest,
            request=job.request,
            output=transcript.output_root,
            prompt_tokens=len(prompt),
            completion_tokens=transcript.token_count,
            price=Wei(9 * transcript.token_count),
            started=Milliseconds(STARTED + 1000 * len(self.leaves)),
            ended=Milliseconds(STARTED + 1000 * len(self.leaves) + 400),
            status=Status.EOS,
            trace=transcript.trace_root,
            client_signature=signed.signature,
        )
        leaf = replace(leaf, **changes)  # type: ignore[arg-type]
        index = self.append(leaf.pack())
        receipt = sign_receipt(leaf, index, anchor_by, self.domain, self.key)
        opening = Whole(secret, request, prompt, tuple(chunks))
        return Bundle(self.domain, self.key.address, signed, receipt, opening)

    def append(self, leaf: bytes) -> int:
        """Log the bytes of a leaf, whatever they are, and return its index."""
        self.leaves.append(leaf)
        return self.tree.append(leaf_hash(leaf))

    def anchored(self, bundle: Bundle, size: int | None = None) -> Bundle:
        """The bundle with an anchor of the log's present size, or of `size`, on no chain at all."""
        size = size or self.tree.size
        anchor = AnchorRef(size, self.tree.root(size), Seconds(1_767_229_200), 12, Digest(b"\x77" * 32), _TRANSACTION)
        path = self.tree.inclusion(bundle.receipt.receipt.index, size)
        return attach_anchor(bundle, anchor, path, self.note(size))

    def note(self, size: int) -> str:
        """Its signed checkpoint of the first `size` entries."""
        return write_checkpoint_note(Checkpoint(size, self.tree.root(size)), self.domain, self.key)

    async def register(self, ledger: Ledger) -> None:
        await ledger.register(OPERATOR, self.key, Wei(10**18), f"/memory/{self.key.peer_id}/p2p/{self.key.peer_id}")

    async def anchor(self, ledger: Ledger) -> Anchor:
        """Post the log's head."""
        old = (await ledger.head(self.key.address)).size
        proof = self.tree.consistency(old) if old else []
        return await ledger.anchor(self.key, self.tree.size, self.tree.root(), proof)

    @property
    def checkpoint(self) -> SignedCheckpoint:
        head = Checkpoint(self.tree.size, self.tree.root())
        return self.head or sign_checkpoint(head, self.domain, self.head_key or self.key)

    async def serve(self, stream: Stream) -> None:
        """The handler of `/tallynet/log/1`."""
        while True:
            try:
                ask = await receive_frame(stream, LOG_ASK, seconds=15)
            except EndOfStream:
                return
            if self._hangs_up(ask):
                return
            await send_frame(stream, self._answer(ask))

    def _hangs_up(self, ask: LogAsk) -> bool:
        if self.breaks_at is None or not isinstance(ask, AskFile) or not ask.path.startswith("tile/entries/"):
            return False
        return Tile.parse(ask.path).start >= self.breaks_at

    def _answer(self, ask: LogAsk) -> Frame:
        match ask:
            case AskCheckpoint():
                return Head(self.key.address, self.checkpoint)
            case AskFile(path) if not path.startswith("tile/"):
                return File(self._statement(path).encode())
            case _ if self.refuses:
                return Rejected("refused", 0, "not today")
            case AskFile(path):
                return self._file(path)
            case AskInclusion(index, size):
                return ProofPath(tuple(self.tree.inclusion(index, size)))
            case AskConsistency(old, new):
                return ProofPath(tuple(self.tree.consistency(old, new)))
            case _:
                return Rejected("refused", 0, "this example keeps no receipts")

    def _statement(self, path: str) -> str:
        if path == "checkpoint":
            return write_checkpoint_note(self.checkpoint.checkpoint, self.domain, self.head_key or self.key)
        if path.startswith("checkpoint/"):
            return self.note(int(path.removeprefix("checkpoint/")))
        return write_key_note(self.domain, self.key)

    def _file(self, path: str) -> Frame:
        shown = self.leaves if self.shown is None else self.shown
        tile = Tile.parse(path)
        leaves = shown[tile.start : tile.end]
        if len(leaves) < tile.end - tile.start:
            return Rejected("refused", 0, "there is no such file")
        return File(write_bundle(leaves) if tile.level is None else write_tile(self.tree_shown or self.tree, tile))


class ForgetfulLedger(MemoryLedger):
    """Like an RPC endpoint that has dropped its old events."""

    forgets = False

    async def anchors(self, node: Address, *, from_block: int = 0) -> Sequence[Anchor]:
        return [] if self.forgets else await super().anchors(node, from_block=from_block)


_TRANSACTION = Digest(b"\x88" * 32)


def bundle() -> Bundle:
    """A valid bundle: leaf 2 of 5, anchored."""
    node = ExampleNode()
    bundles = [node.run() for _ in range(5)]
    return node.anchored(bundles[2])
