"""Who offers what: the newest advert of every node, believed until it expires."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tallynet.protocol.advert import Advert, SignedAdvert, VerifiedAdvert, verify_advert
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidAdvert
from tallynet.protocol.units import Address, Milliseconds, ModelId

MAX_NODES = 4096
"""Nodes remembered at most; past that, newcomers are ignored until others expire."""


@dataclass
class AddressBook:
    """Only verified adverts are kept, one per node. `clock` gives the present time."""

    domain: Domain
    clock: Callable[[], Milliseconds]
    heed: Callable[[VerifiedAdvert], None] | None = None
    """Told of every advert that holds, news or not; what it raises, `add` raises."""
    _adverts: dict[Address, VerifiedAdvert] = field(default_factory=dict)
    _largest: dict[Address, SignedAdvert] = field(default_factory=dict)

    def add(self, signed: SignedAdvert) -> VerifiedAdvert:
        """Check an advert and keep it if it is news; raises `InvalidAdvert`.

        A second advert of one incarnation and time that says something else proves that the node lies; the
        error carries both.
        """
        new = verify_advert(signed, self.domain, self.clock())
        self._note_size(new)
        if self.heed is not None:
            self.heed(new)
        old = self._adverts.get(new.node)
        if old is not None and _contradict(old.advert, new.advert):
            raise InvalidAdvert(
                "the node signed two different adverts for one moment", check=4, evidence={"one": old, "other": new}
            )
        if old is None or new.supersedes(old):
            self._forget_expired()
            if old is not None or len(self._adverts) < MAX_NODES:
                self._adverts[new.node] = new
        return new

    def adverts(self, model: ModelId | None = None) -> Sequence[VerifiedAdvert]:
        """Adverts in force now, of nodes that have not left; those of one model when it is given."""
        self._forget_expired()
        return [
            known
            for known in self._adverts.values()
            if known.advert.offers and (model is None or known.advert.offer(model))
        ]

    def largest(self, node: Address) -> SignedAdvert | None:
        """The advert in which `node` told of its largest log, over or not."""
        return self._largest.get(node)

    def _note_size(self, new: VerifiedAdvert) -> None:
        """Remember the node's largest log beyond the end of its adverts; of so many nodes, the latest."""
        known = self._largest.get(new.node)
        if known is None or new.advert.log_size > known.advert.log_size:
            self._largest[new.node] = new.signed
            if len(self._largest) > MAX_NODES:
                del self._largest[next(iter(self._largest))]

    def _forget_expired(self) -> None:
        now = self.clock()
        self._adverts = {node: known for node, known in self._adverts.items() if now < known.advert.expires}


def _contradict(old: Advert, new: Advert) -> bool:
    return (old.incarnation, old.issued) == (new.incarnation, new.issued) and old != new
