"""Files that are no bundle, by their lines alone: check (1)."""

from base64 import urlsafe_b64encode

from tallynet.protocol.bundle import MAX_CORE_BYTES, write_bundle
from tests.audit.examples import ExampleNode, bundle
from tests.audit.forging import body_of, line_of, other_bits, packed_of, seal, swap, value_of
from tests.audit.ways import way

VALID = write_bundle(bundle()).encode()
PENDING = write_bundle(ExampleNode().run()).encode()
BODY = body_of(VALID)


@way(1, "its first line is b''")
def empty_file() -> bytes:
    """There is nothing in the file."""
    return b""


@way(1, "its first line is b'tallynet-bundle@v1'")
def another_version() -> bytes:
    """The first line names version 1."""
    return VALID.replace(b"@v2", b"@v1", 1)


@way(1, "its first line is")
def space_after_the_first_line() -> bytes:
    """The first line ends in a space."""
    return VALID.replace(b"@v2\n", b"@v2 \n", 1)


@way(1, "its first line is")
def byte_order_mark() -> bytes:
    """An editor has put a byte order mark at the beginning."""
    return b"\xef\xbb\xbf" + VALID


@way(1, "its first line is")
def line_ends_of_two_characters() -> bytes:
    """A mail program has made CRLF of every line end."""
    return VALID.replace(b"\n", b"\r\n")


@way(1, "its last line has no end")
def no_line_end_at_the_end() -> bytes:
    """The last line is not ended."""
    return VALID[:-1]


@way(1, "its last line has no end")
def cut_in_half() -> bytes:
    """The second half of the file is missing."""
    return VALID[: len(VALID) // 2]


@way(1, "no 1 to 64 signature lines")
def empty_line_at_the_end() -> bytes:
    """After the last signature comes an empty line."""
    return seal(BODY + b"\n")


@way(1, "signature line of the note has another form")
def words_after_the_end() -> bytes:
    """After the last signature comes a remark."""
    return seal(BODY + b"thank you\n")


@way(1, "it has a proof and no anchor")
def empty_line_after_a_pending_bundle() -> bytes:
    """A bundle without an anchor ends in an empty line."""
    return seal(body_of(PENDING) + b"\n")


@way(1, f"besides its openings, more than {MAX_CORE_BYTES}")
def over_64_kibibytes_besides_the_openings() -> bytes:
    """The lines that are no openings are over their own cap."""
    return swap(VALID, "leaf", b"A" * MAX_CORE_BYTES)


@way(1, "should hold 'sha256'")
def no_second_line() -> bytes:
    """The line with the checksum is missing."""
    return VALID.replace(line_of(VALID, "sha256"), b"")


@way(1, "'sha256' has 48 bytes, not 32")
def checksum_in_hex() -> bytes:
    """The checksum stands in hex, as in version 1."""
    return VALID.replace(value_of(VALID, "sha256"), packed_of(VALID, "sha256").hex().encode())


@way(1, "line 2 is not in the one form")
def checksum_in_another_base64() -> bytes:
    """The last letter of the checksum has bits set that say nothing."""
    return VALID.replace(value_of(VALID, "sha256"), other_bits(value_of(VALID, "sha256")))


@way(1, "'chain' is b'031337', not a decimal number")
def chain_with_a_leading_zero() -> bytes:
    """The chain id begins with 0."""
    return swap(VALID, "chain", b"031337")


@way(1, "'chain' is b'+31337', not a decimal number")
def chain_with_a_sign() -> bytes:
    """The chain id has a plus sign."""
    return swap(VALID, "chain", b"+31337")


@way(1, "'chain' is b'0x7a69', not a decimal number")
def chain_in_hex() -> bytes:
    """The chain id stands in hex."""
    return swap(VALID, "chain", b"0x7a69")


@way(1, "not a decimal number")
def chain_in_wide_digits() -> bytes:
    """The chain id stands in digits of another script."""
    return swap(VALID, "chain", "３１３３７".encode())


@way(1, "'chain' is 0, not within 1")
def chain_zero() -> bytes:
    """There is no chain 0."""
    return swap(VALID, "chain", b"0")


@way(1, f"'chain' is {2**64}, not within 1")
def chain_too_large() -> bytes:
    """The chain id takes 65 bits."""
    return swap(VALID, "chain", str(2**64).encode())


@way(1, "not an address")
def contract_in_capitals() -> bytes:
    """The contract stands in upper-case hex."""
    return swap(VALID, "contract", b"0x" + b"AB" * 20)


@way(1, "not an address")
def contract_without_0x() -> bytes:
    """The contract has no 0x before it."""
    return swap(VALID, "contract", value_of(VALID, "contract")[2:])


@way(1, "not an address")
def node_cut_short() -> bytes:
    """The node's address lacks its last digit."""
    return swap(VALID, "node", value_of(VALID, "node")[:-1])


@way(1, "line 4 should hold 'contract' and begins with b'node")
def lines_exchanged() -> bytes:
    """Contract and node have changed places."""
    contract, node = line_of(VALID, "contract"), line_of(VALID, "node")
    return seal(BODY.replace(contract + node, node + contract))


@way(1, "line 4 should hold 'contract' and begins with b'chain")
def a_line_twice() -> bytes:
    """The chain stands there twice."""
    return seal(line_of(VALID, "chain") + BODY)


@way(1, "line 6 should hold 'leaf' and begins with b'job")
def a_line_left_out() -> bytes:
    """There is no leaf."""
    return seal(BODY.replace(line_of(VALID, "leaf"), b""))


@way(1, "comes after the last that can stand there")
def an_unknown_line() -> bytes:
    """A line that no bundle has stands before the proof."""
    return seal(BODY.replace(b"\n\n", b"\nremark hello\n\n", 1))


@way(1, "line 6 should hold 'leaf' and begins with b'leaf\\t")
def a_tab_for_the_space() -> bytes:
    """A tab parts label and value."""
    return seal(BODY.replace(b"leaf ", b"leaf\t", 1))


@way(1, "'leaf' is not base64")
def two_spaces() -> bytes:
    """Two spaces part label and value."""
    return seal(BODY.replace(b"leaf ", b"leaf  ", 1))


@way(1, "'job' is not base64")
def a_space_at_the_end_of_a_line() -> bytes:
    """A line ends in a space."""
    return swap(VALID, "job", value_of(VALID, "job") + b" ")


@way(1, "'receipt' is not base64")
def letters_of_another_base64() -> bytes:
    """The receipt is written in the letters of base64url."""
    return swap(VALID, "receipt", urlsafe_b64encode(packed_of(VALID, "receipt")))


@way(1, "'secret' is not base64")
def base64_without_padding() -> bytes:
    """The padding of the secret is missing."""
    return swap(VALID, "secret", value_of(VALID, "secret").rstrip(b"="))


@way(1, "line 10 is not in the one form")
def base64_with_other_unused_bits() -> bytes:
    """The last letter of the secret has bits set that say nothing."""
    return swap(VALID, "secret", other_bits(value_of(VALID, "secret")))


@way(1, "'secret' is not base64")
def a_byte_that_is_not_utf8() -> bytes:
    """A byte in the secret belongs to no text."""
    return swap(VALID, "secret", b"\xff" + value_of(VALID, "secret")[1:])


@way(1, "'secret' is not base64")
def a_null_byte() -> bytes:
    """A zero byte stands in the secret."""
    return swap(VALID, "secret", b"\0" + value_of(VALID, "secret")[1:])


@way(1, "it has an anchor and no proof")
def anchor_without_proof() -> bytes:
    """The proof is missing."""
    return seal(BODY[: BODY.index(b"\n\n") + 1])


@way(1, "it has a proof and no anchor")
def proof_without_anchor() -> bytes:
    """The anchor is missing."""
    return seal(BODY.replace(line_of(VALID, "anchor"), b""))


@way(1, "line 14 comes after the last that can stand there")
def anchor_after_the_openings() -> bytes:
    """The anchor stands after what is opened."""
    anchor = line_of(VALID, "anchor")
    return seal(BODY.replace(anchor, b"").replace(b"\n\n", b"\n" + anchor + b"\n", 1))
