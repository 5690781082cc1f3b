"""Bundles whose proof is no tlog-proof, or whose checkpoint is no note of this log: check (1)."""

from base64 import b64encode

from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.note_key import log_origin
from tallynet.protocol.tlog_proof import MAX_PROOF_BYTES
from tests.audit.examples import DOMAIN, NODE, STRANGER, bundle
from tests.audit.forging import body_of, other_bits, seal, swap
from tests.audit.ways import way

VALID = write_bundle(bundle()).encode()
HEADER, PROOF = body_of(VALID).split(b"\n\n", 1)
FIRST_HASH = PROOF.split(b"\n")[2]
ORIGIN = log_origin(DOMAIN, NODE.address).encode()
DASH = "\N{EM DASH}".encode()
SIGNATURES = PROOF[PROOF.index(DASH) :]


def with_proof(proof: bytes) -> bytes:
    return seal(HEADER + b"\n\n" + proof)


def instead(old: bytes, new: bytes) -> bytes:
    """One occurrence of `old` in the proof replaced."""
    assert old in PROOF
    return with_proof(PROOF.replace(old, new, 1))


@way(1, "it begins with 'c2sp.org/tlog-proof@v2'")
def proof_of_another_version() -> bytes:
    """The proof's first line names version 2."""
    return instead(b"@v1", b"@v2")


@way(1, "the proof is not a tlog-proof: it is not UTF-8")
def proof_that_is_not_utf8() -> bytes:
    """A byte in the proof belongs to no text."""
    return instead(b"index", b"inde\xff")


@way(1, f"over {MAX_PROOF_BYTES}")
def proof_over_32_kibibytes() -> bytes:
    """The proof has a signature line of 33 KiB."""
    return with_proof(PROOF + DASH + b" witness " + b64encode(bytes(33 * 1024)) + b"\n")


@way(1, "its second line is 'index 02', not an index")
def index_with_a_leading_zero() -> bytes:
    """The proof's index begins with 0."""
    return instead(b"index 2", b"index 02")


@way(1, f"its second line is 'index {2**40}', not an index")
def index_beyond_any_log() -> bytes:
    """The proof's index is one that no log has."""
    return instead(b"index 2", b"index %d" % 2**40)


@way(1, "not an index")
def proof_without_an_index() -> bytes:
    """The proof's index is missing."""
    return instead(b"index 2\n", b"")


@way(1, "its second line is 'extra aGVsbG8=', not an index")
def proof_with_an_extra_line() -> bytes:
    """The proof has the optional line that nothing authenticates."""
    return instead(b"index", b"extra aGVsbG8=\nindex")


@way(1, "is not 32 bytes in the one base64 form")
def hash_cut_short() -> bytes:
    """A hash of the path lacks a byte."""
    return instead(FIRST_HASH, b64encode(bytes(31)))


@way(1, "is not 32 bytes in the one base64 form")
def hash_in_another_base64() -> bytes:
    """The last letter of a hash has bits set that say nothing."""
    return instead(FIRST_HASH, other_bits(FIRST_HASH))


@way(1, "it has 66 hashes, over 63")
def path_longer_than_any() -> bytes:
    """The path has more hashes than any tree can ask for."""
    return instead(FIRST_HASH, b"\n".join([FIRST_HASH] * 64))


@way(1, "or holds no checkpoint")
def proof_without_a_checkpoint() -> bytes:
    """The proof ends after its hashes."""
    return with_proof(PROOF.split(b"\n\n")[0] + b"\n")


@way(1, "its checkpoint begins with")
def two_empty_lines_before_the_checkpoint() -> bytes:
    """Two empty lines part path and checkpoint."""
    return instead(b"\n\n", b"\n\n\n")


@way(1, "no 1 to 64 signature lines")
def checkpoint_without_signatures() -> bytes:
    """Nobody signed the checkpoint."""
    return instead(SIGNATURES, b"")


@way(1, "no 1 to 64 signature lines")
def checkpoint_with_65_signatures() -> bytes:
    """The checkpoint has more signatures than a reader takes."""
    return with_proof(PROOF + (DASH + b" witness AAAAAAA=\n") * 63)


@way(1, "a signature line of the note has another form")
def hyphen_for_the_dash() -> bytes:
    """A signature line begins with a hyphen."""
    return instead(DASH, b"-")


@way(1, "a signature line of the note has another form")
def key_name_with_a_plus() -> bytes:
    """The name of a signing key has a plus, which no such name may have."""
    return with_proof(PROOF + DASH + b" witness+1 AAAAAAA=\n")


@way(1, "a signature line of the note has another form")
def signature_without_bytes() -> bytes:
    """A signature line holds a key's id and no signature."""
    return with_proof(PROOF + DASH + b" witness AAAAAA==\n")


@way(1, "the note has a control character")
def control_character_in_the_checkpoint() -> bytes:
    """A name in the checkpoint would steer a terminal."""
    return with_proof(PROOF + DASH + b" wit\x1bness AAAAAAA=\n")


@way(1, "its checkpoint begins with")
def size_with_a_leading_zero() -> bytes:
    """The checkpoint's size begins with 0."""
    return instead(b"\n5\n", b"\n05\n")


@way(1, "its checkpoint begins with")
def size_beyond_any_log() -> bytes:
    """The checkpoint's size is one that no log has."""
    return instead(b"\n5\n", b"\n%d\n" % 2**40)


@way(1, "its checkpoint begins with")
def checkpoint_with_an_extension() -> bytes:
    """The checkpoint has a fourth line."""
    return instead(b"\n\n" + DASH, b"\nmore\n\n" + DASH)


@way(1, "is not 32 bytes in the one base64 form")
def root_cut_short() -> bytes:
    """The checkpoint's root lacks a byte."""
    root = PROOF.split(ORIGIN + b"\n5\n")[1].split(b"\n")[0]
    return instead(root, b64encode(bytes(31)))


@way(1, "its checkpoint is of another log than tallynet/31337/")
def checkpoint_of_another_node() -> bytes:
    """The checkpoint is that of another node's log."""
    return with_proof(PROOF.replace(ORIGIN, log_origin(DOMAIN, STRANGER.address).encode()))


@way(1, "its checkpoint is of another log than tallynet/1/")
def header_of_another_chain() -> bytes:
    """The file names another chain than its checkpoint."""
    return swap(VALID, "chain", b"1")


@way(1, "its checkpoint is of another log than tallynet/31337/0xabab")
def header_of_another_contract() -> bytes:
    """The file names another contract than its checkpoint."""
    return swap(VALID, "contract", b"0x" + b"ab" * 20)
