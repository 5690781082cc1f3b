"""The vectors, run as a program in another language would: from their JSON alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from tallynet.evaluation.questions import list_questions
from tallynet.evaluation.report import closing_request, decode_report
from tallynet.evaluation.report_checks import check_report
from tallynet.evaluation.suite import Suite
from tallynet.protocol import bundle as tally
from tallynet.protocol import commitment, merkle
from tallynet.protocol.advert import Advert, SignedAdvert, verify_advert
from tallynet.protocol.bundle_checks import verify_bundle
from tallynet.protocol.bundle_link import read_link
from tallynet.protocol.bundle_openings import opened_request, opened_text
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.chunk import Chunk, ChunkBody, SignedChunk, Transcript, accept_chunk
from tallynet.protocol.draw import Draw
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.embedding import encode_embedding, read_embedding
from tallynet.protocol.errors import (
    Invalid,
    InvalidEvidence,
    InvalidFlow,
    InvalidReport,
    InvalidSignature,
    Misconfigured,
)
from tallynet.protocol.fault import KINDS, AnchoredAt, FaultKind, Witness, check_fault
from tallynet.protocol.flow import Choice, Flow, Split
from tallynet.protocol.flow_checks import FLOW_CHECKS, verify_flow
from tallynet.protocol.flow_choice import accepts, choose, split_text
from tallynet.protocol.flow_file import parse_flow, write_flow
from tallynet.protocol.flow_plan import Plan, commit_input, encode_plan, job_nonce, plan_digest
from tallynet.protocol.flow_rules import check_flow
from tallynet.protocol.flow_template import read_template
from tallynet.protocol.flow_template import render as fill_in
from tallynet.protocol.job import Job, Sampling
from tallynet.protocol.keys import Key, address_of, address_of_peer, check_signed_by, peer_id_of, recover
from tallynet.protocol.leaf import Leaf
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.note import (
    NodeVerifier,
    read_checkpoint_note,
    read_key_note,
    write_checkpoint_note,
    write_key_note,
)
from tallynet.protocol.note_key import Ed25519Verifier, NoteKey, NoteKeyStatement, log_origin
from tallynet.protocol.opening import OpeningRequest, check_no_consent, open_parts
from tallynet.protocol.receipt import Receipt, SignedReceipt, verify_receipt
from tallynet.protocol.request import Request, decode_request, encode_request
from tallynet.protocol.score import Likely, ScoredToken, decode_score
from tallynet.protocol.sealing import SealKey
from tallynet.protocol.tiles import Tile, read_bundle, tiles, write_bundle, write_tile
from tallynet.protocol.units import Digest
from tallynet.protocol.wire import (
    HEADER_BYTES,
    Codec,
    FromClient,
    FromNode,
    InfoAnswer,
    InfoAsk,
    LogAnswer,
    LogAsk,
    decode_length,
)
from tallynet.templates.shelf import find_template
from tallynet.templates.wording import word
from tallynet.templates.wording_check import check_words
from tests.protocol.generate_vectors import FILES, FOLDER, anchor, render
from tests.protocol.json_form import camel, read, write

VECTORS: dict[str, Any] = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def cases(name: str, group: str) -> pytest.MarkDecorator:
    """One test for each case of a group, called by its reason where it has one."""
    found = VECTORS[name][group]
    return pytest.mark.parametrize("case", found, ids=[case.get("reason", str(at)) for at, case in enumerate(found)])


def hexed(value: str) -> Any:
    assert value.startswith("0x")
    return bytes.fromhex(value[2:])


def hexes(values: list[str]) -> Any:
    return tuple(hexed(value) for value in values)


def domain(case: Any) -> Domain:
    return Domain(int(case["chain_id"]), hexed(case["contract"]))


@contextmanager
def refuses(case: Any) -> Iterator[None]:
    """The block must raise the error and the check that the case names."""
    with pytest.raises(Invalid) as refusal:
        yield
    assert (refusal.value.code, refusal.value.check) == (case["error"], case["check"])


# The files


def test_the_committed_files_are_those_that_the_generator_makes() -> None:
    assert set(VECTORS) == set(FILES)
    for name in FILES:
        assert (FOLDER / name).read_text() == render(name), f"run python -m tests.protocol.generate_vectors: {name}"


def test_every_file_is_described_and_names_a_chapter() -> None:
    readme = (FOLDER / "README.md").read_text()
    for name, document in VECTORS.items():
        assert f"## {name}" in readme
        assert document["format"].endswith(f"#{anchor(name)}")
        assert (Path(__file__).parents[2] / document["spec"]).is_file()


# Words


@cases("keys.json", "valid")
def test_a_key_has_its_names(case: Any) -> None:
    key, public = Key(hexed(case["secret"])), hexed(case["public"])

    assert key.public == public
    assert key.address == address_of(public) == address_of_peer(case["peer_id"]) == hexed(case["address"])
    assert key.peer_id == peer_id_of(public) == case["peer_id"]


@cases("keys.json", "invalid_secrets")
def test_a_secret_is_refused(case: Any) -> None:
    with pytest.raises(Misconfigured):
        Key(hexed(case["secret"]))


@cases("keys.json", "invalid_peer_ids")
def test_a_peer_id_is_refused(case: Any) -> None:
    with pytest.raises(InvalidSignature):
        address_of_peer(case["peer_id"])


@cases("signatures.json", "valid")
def test_a_signature_is_made_and_recovered(case: Any) -> None:
    digest, signature = hexed(case["digest"]), hexed(case["signature"])

    assert Key(hexed(case["secret"])).sign(digest) == signature
    assert recover(digest, signature) == hexed(case["signer"])


@cases("signatures.json", "invalid")
def test_a_signature_is_refused(case: Any) -> None:
    with refuses(case):
        check_signed_by(hexed(case["digest"]), hexed(case["signature"]), hexed(case["expected"]))


@cases("eip712.json", "valid")
def test_a_statement_is_signed_as_typed_data(case: Any) -> None:
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (Job, Chunk, Receipt, Advert, Checkpoint)}
    data, kinds["NoteKey"] = case["typed_data"], NoteKeyStatement
    where = Domain(int(data["domain"]["chainId"]), hexed(data["domain"]["verifyingContract"]))
    statement = read(kinds[data["primaryType"]], data["message"], camel)
    digest = statement.id(where) if isinstance(statement, Job) else statement.digest(where)

    assert where.separator == hexed(case["domain_separator"])
    assert digest == hexed(case["digest"]) == _hash_eip191_message(encode_typed_data(full_message=data))
    assert Key(hexed(case["secret"])).sign(Digest(digest)) == hexed(case["signature"])


def test_a_commitment_is_as_given() -> None:
    file = VECTORS["commitments.json"]
    for case in file["salts"]:
        assert commitment.salt(hexed(case["secret"]), hexed(case["label"])) == hexed(case["salt"])
    for case in file["requests"]:
        made = commitment.commit_request(hexed(case["salt"]), hexed(case["request"]))
        assert made == hexed(case["commitment"])
    for case in file["prompts"]:
        assert commitment.commit_prompt(hexed(case["salt"]), case["tokens"]) == hexed(case["commitment"])
    for case in file["chunks"]:
        made = commitment.commit_chunk(hexed(case["salt"]), case["tokens"], case["text"])
        assert made == hexed(case["commitment"])
    for case in file["evidence"]:
        made = commitment.hash_evidence(case["index"], case["logprobs"], hexed(case["evidence"]))
        assert made == hexed(case["hash"])
    for case in file["seeds"]:
        assert commitment.seed(hexed(case["job"])) == hexed(case["seed"])


@cases("requests.json", "valid")
def test_a_request_has_one_encoding(case: Any) -> None:
    request = read(Request, case["request"])

    assert encode_request(request) == hexed(case["encoded"])
    assert decode_request(hexed(case["encoded"])) == request


@cases("requests.json", "invalid")
def test_a_request_is_refused(case: Any) -> None:
    with refuses(case):
        decode_request(hexed(case["encoded"]))


@cases("manifests.json", "valid")
def test_a_manifest_has_its_name(case: Any) -> None:
    assert read(Manifest, case).model_id == hexed(case["model_id"])


@cases("manifests.json", "invalid")
def test_a_manifest_is_refused(case: Any) -> None:
    with refuses(case):
        Manifest(tuple(read(ManifestFile, file) for file in case["files"]))


# Statements


@cases("adverts.json", "valid")
def test_an_advert_is_believed(case: Any) -> None:
    signed = read(SignedAdvert, case["signed"])

    assert verify_advert(signed, domain(VECTORS["adverts.json"]["domain"]), case["now"]).node == hexed(case["node"])


@cases("adverts.json", "invalid")
def test_an_advert_is_refused(case: Any) -> None:
    with refuses(case):
        verify_advert(read(SignedAdvert, case["signed"]), domain(VECTORS["adverts.json"]["domain"]), case["now"])


CHUNKS = VECTORS["chunks.json"]


def transcript() -> Transcript:
    return Transcript(hexed(CHUNKS["job"]), hexed(CHUNKS["secret"]), hexed(CHUNKS["prompt_commitment"]))


def accept(told: Transcript, case: Any) -> None:
    signed = read(SignedChunk, case["signed"])
    accept_chunk(told, signed, domain(CHUNKS["domain"]), hexed(CHUNKS["node"]), CHUNKS["max_tokens"])


def test_a_stream_is_accepted_chunk_by_chunk() -> None:
    prompt = commitment.commit_prompt(commitment.prompt_salt(hexed(CHUNKS["secret"])), CHUNKS["prompt"])
    assert prompt == hexed(CHUNKS["prompt_commitment"])
    ours, theirs = transcript(), transcript()
    for case in CHUNKS["valid"]:
        statement = ours.extend(read(SignedChunk, case["signed"]).body)
        accept(theirs, case)

        assert write(statement) == case["statement"]
        assert statement.digest(domain(CHUNKS["domain"])) == hexed(case["digest"])
        assert theirs.trace_root == hexed(case["trace_root"])


@cases("chunks.json", "invalid_second")
def test_a_second_chunk_is_refused(case: Any) -> None:
    told = transcript()
    accept(told, CHUNKS["valid"][0])
    with refuses(case):
        accept(told, case)


@cases("leaves.json", "valid")
def test_a_leaf_is_read_and_hashed(case: Any) -> None:
    leaf = Leaf.unpack(hexed(case["packed"]))

    assert leaf.pack() == hexed(case["packed"])
    assert leaf.hash == hexed(case["hash"])
    assert {name: write(getattr(leaf, name)) for name in case["fields"]} == case["fields"]
    assert set(case["fields"]) == set(Leaf.__slots__)


@cases("leaves.json", "invalid")
def test_a_leaf_is_refused(case: Any) -> None:
    with refuses(case):
        Leaf.unpack(hexed(case["packed"]))


@cases("receipts.json", "valid")
def test_a_receipt_is_accepted(case: Any) -> None:
    file, signed = VECTORS["receipts.json"], read(SignedReceipt, case["signed"])

    verify_receipt(signed, domain(file["domain"]), hexed(file["node"]))
    assert signed.receipt.digest(domain(file["domain"])) == hexed(case["digest"])


@cases("receipts.json", "invalid")
def test_a_receipt_is_refused(case: Any) -> None:
    file = VECTORS["receipts.json"]
    with refuses(case):
        verify_receipt(read(SignedReceipt, case["signed"]), domain(file["domain"]), hexed(file["node"]))


# Trees


def check_inclusion(case: Any) -> None:
    leaf, path, root = hexed(case["leaf_hash"]), hexes(case["path"]), hexed(case["root"])
    merkle.verify_inclusion(leaf, case["index"], case["size"], path, root)


def check_consistency(case: Any) -> None:
    old_root, root, path = hexed(case["old_root"]), hexed(case["root"]), hexes(case["path"])
    merkle.verify_consistency(case["old_size"], old_root, case["size"], root, path)


def test_a_tree_has_its_roots() -> None:
    file = VECTORS["merkle.json"]
    leaves = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1000)]

    assert leaves[:8] == list(hexes(file["leaf_hashes"]))
    for case in file["roots"]:
        assert merkle.root(leaves[: case["size"]]) == hexed(case["root"])


def test_every_proof_holds() -> None:
    for case in VECTORS["merkle.json"]["inclusion"]:
        check_inclusion(case)
    for case in VECTORS["merkle.json"]["consistency"]:
        check_consistency(case)


@cases("merkle.json", "invalid_inclusion")
def test_an_inclusion_proof_is_refused(case: Any) -> None:
    with refuses(case):
        check_inclusion(case)


@cases("merkle.json", "invalid_consistency")
def test_a_consistency_proof_is_refused(case: Any) -> None:
    with refuses(case):
        check_consistency(case)


# Notes and tiles


def test_a_node_has_its_note_key() -> None:
    file = VECTORS["notes.json"]
    where, node, key = domain(file["domain"]), hexed(file["node"]), Key(hexed(file["secret"]))
    note_key = NoteKey.of(key).public

    assert (key.address, note_key, log_origin(where, node)) == (node, hexed(file["note_key"]), file["origin"])
    assert Ed25519Verifier(file["origin"], note_key).vkey == file["vkey"]
    assert NodeVerifier(where, node).key_id == hexed(file["node_key_id"])
    assert NoteKeyStatement(note_key).digest(where) == hexed(file["note_key_digest"])
    assert write_key_note(where, key) == file["key_note"]
    assert read_key_note(file["key_note"], where, node) == note_key


@cases("notes.json", "valid")
def test_a_note_states_a_checkpoint(case: Any) -> None:
    file = VECTORS["notes.json"]
    where, key = domain(file["domain"]), Key(hexed(file["secret"]))
    checkpoint = Checkpoint(case["size"], Digest(hexed(case["root"])))

    assert write_checkpoint_note(checkpoint, where, key) == case["note"]
    read = read_checkpoint_note(case["note"], where, key.address, hexed(file["note_key"]))
    assert read.checkpoint == checkpoint


@cases("notes.json", "invalid")
def test_a_note_is_refused(case: Any) -> None:
    file = VECTORS["notes.json"]
    with refuses(case):
        read_checkpoint_note(case["note"], domain(file["domain"]), hexed(file["node"]), hexed(file["note_key"]))


def test_tiles_have_their_names_and_bytes() -> None:
    file = VECTORS["tiles.json"]
    tree = merkle.Tree(merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1000))
    leaves, bundle = list(hexes(file["bundle"]["leaves"])), hexed(file["bundle"]["data"])

    assert [str(tile) for tile in tiles(1000)] == file["paths"]
    for case in file["tiles"]:
        assert write_tile(tree, Tile.parse(case["path"])) == hexed(case["data"])
    assert write_bundle(leaves) == bundle
    assert read_bundle(bundle, Tile(None, 0, len(leaves))) == leaves


@cases("tiles.json", "invalid_paths")
def test_a_path_is_refused(case: Any) -> None:
    with refuses(case):
        Tile.parse(case["path"])


# Bundles


@cases("bundles.json", "valid")
def test_a_bundle_says_what_it_says(case: Any) -> None:
    found = tally.read_bundle(case["text"])
    receipt, inclusion = found.receipt.receipt, found.inclusion

    assert tally.write_bundle(found) == case["text"]
    results = verify_bundle(found, domain(VECTORS["bundles.json"]["domain"]))
    assert {str(result.number): result.state for result in results} == case["checks"]
    assert (write(found.node), write(receipt.job), write(receipt.leaf)) == (
        case["node"], case["job"], case["leaf_hash"]
    )  # fmt: skip
    assert (receipt.index, receipt.anchor_by) == (case["index"], case["anchor_by"])
    assert (write(opened_request(found.opening)), opened_text(found.opening)) == (case["request"], case["answer"])
    if inclusion is None:
        assert case["size"] is case["root"] is case["path"] is case["block"] is None
    else:
        anchor = inclusion.anchor
        assert (anchor.size, write(anchor.root), anchor.block) == (case["size"], case["root"], case["block"])
        assert write(inclusion.proof.path) == case["path"]


@cases("bundles.json", "invalid")
def test_a_bundle_is_refused(case: Any) -> None:
    with refuses(case):
        file = tally.parse_bundle(case["text"])
        verify_bundle(file.bundle)
        file.check_unchanged()


@cases("bundles.json", "links")
def test_a_link_holds_a_bundle(case: Any) -> None:
    assert read_link(case["link"]).decode() == case["text"]


# Faults

FAULTS = {struct.__struct_config__.tag: struct for struct in KINDS}


def judge(case: Any) -> FaultKind:
    fields, known = dict(case["fault"]), case["witness"]
    fault = read(FAULTS[fields.pop("kind")], fields)
    ring = tuple(read(AnchoredAt, anchor) for anchor in known["ring"])
    witness = Witness(known["size"], hexed(known["root"]), known["now"], ring, known["complete"])
    return check_fault(fault, domain(VECTORS["faults.json"]["domain"]), witness)


@cases("faults.json", "valid")
def test_a_fault_convicts(case: Any) -> None:
    assert judge(case) == case["kind"]


@cases("faults.json", "invalid")
def test_evidence_is_refused(case: Any) -> None:
    with refuses(case):
        judge(case)
    with pytest.raises(InvalidEvidence) as refusal:
        judge(case)
    assert refusal.value.reason == case["says"]


# Frames

SENDERS: dict[str, Any] = {
    "/tallynet/job/1 client": FromClient,
    "/tallynet/job/1 node": FromNode,
    "/tallynet/info/1 client": InfoAsk,
    "/tallynet/info/1 node": InfoAnswer,
    "/tallynet/log/1 client": LogAsk,
    "/tallynet/log/1 node": LogAnswer,
}


def receive(case: Any) -> Any:
    frame = hexed(case["frame"])
    assert decode_length(frame[:HEADER_BYTES]) == len(frame) - HEADER_BYTES
    codec: Codec[Any] = Codec(SENDERS[case["sender"]])
    return codec.decode(frame[HEADER_BYTES:])


@cases("frames.json", "valid")
def test_a_frame_has_its_fields(case: Any) -> None:
    message = receive(case)

    assert {"t": message.__struct_config__.tag, **write(message)} == case["fields"]
    assert hexed(case["frame"])[HEADER_BYTES:] == msgspec.msgpack.encode(message)


@cases("frames.json", "invalid")
def test_a_frame_is_refused(case: Any) -> None:
    with refuses(case):
        receive(case)


@cases("frames.json", "invalid_lengths")
def test_a_length_is_refused(case: Any) -> None:
    with refuses(case):
        decode_length(hexed(case["header"]))


def test_every_message_of_every_sender_has_a_vector() -> None:
    shown = {case["fields"]["t"] for case in VECTORS["frames.json"]["valid"]}
    known = {kind.__struct_config__.tag for union in SENDERS.values() for kind in get_args(union) or (union,)}

    assert shown == known


# Sampling

SAMPLING = VECTORS["sampling.json"]


def test_random_words_and_noise_are_as_given() -> None:
    from tallynet.engine.philox import gumbel, noise_key, philox, uniform

    for case in SAMPLING["philox"]:
        assert philox(tuple(case["counter"]), tuple(case["key"])) == tuple(case["words"])
    key = noise_key(hexed(SAMPLING["noise"]["seed"]))
    assert list(key) == SAMPLING["noise"]["key"]
    for case in SAMPLING["noise"]["values"]:
        word0, word1, *_ = philox((case["token"], case["position"], key[2], key[3]), key[:2])
        assert uniform(word0, word1) == case["uniform"]
        assert gumbel(key, case["token"], case["position"]) == pytest.approx(case["gumbel"], rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("case", SAMPLING["choices"]["cases"])
def test_the_sampler_chooses_the_tokens_given(case: Any) -> None:
    torch = pytest.importorskip("torch")
    from tallynet.engine.philox import noise_key
    from tallynet.engine.sampler import Draw, sample

    logits, key = torch.tensor(SAMPLING["choices"]["logits"]), noise_key(hexed(SAMPLING["choices"]["seed"]))
    sampling = read(Sampling, case["sampling"])

    chosen = [sample(logits, Draw(sampling, key, position)).token for position in range(len(case["tokens"]))]
    assert chosen == case["tokens"]


# Embeddings


@cases("embeddings.json", "valid")
def test_a_vector_is_written_as_given(case: Any) -> None:
    assert encode_embedding(case["values"]) == case["text"]
    assert read_embedding(case["text"])


@cases("embeddings.json", "invalid")
def test_a_text_that_is_no_vector_is_refused(case: Any) -> None:
    with refuses(case):
        read_embedding(case["text"])


# Scores


def read_score(case: Any) -> tuple[tuple[ScoredToken, ...], tuple[Likely, ...]]:
    asked, chunks = case["request"], [read(ChunkBody, chunk) for chunk in case["chunks"]]
    request = Request(text=asked["text"], tokens=tuple(asked["tokens"]), top=asked["top"])
    return decode_score(request, tuple(case["prompt"]), chunks)


@cases("scores.json", "valid")
def test_a_score_is_read_as_given(case: Any) -> None:
    scored, after = read_score(case)

    assert [[one.token, one.text, one.logprob] for one in scored] == [
        [one["token"], one["text"], one["logprob"]] for one in case["scored"]
    ]
    listed = [one["likeliest"] for one in case["scored"]]
    assert [[list(astuple(likely)) for likely in one.likeliest] for one in scored] == listed
    assert [list(astuple(likely)) for likely in after] == case["after"]


@cases("scores.json", "invalid")
def test_what_is_no_score_is_refused(case: Any) -> None:
    with refuses(case):
        read_score(case)


# Evidence

EVIDENCE = VECTORS["evidence.json"]


def test_signs_are_keyed_by_everything_before_the_end_of_the_group() -> None:
    from tallynet.engine.evidence import SignKeys

    keys, begin = SignKeys(hexed(EVIDENCE["keys"]["seed"]), tuple(EVIDENCE["keys"]["prompt"])), 0
    for group in EVIDENCE["keys"]["groups"]:
        end = group["last"] + 1
        assert keys.after(EVIDENCE["keys"]["tokens"][begin:end]) == hexed(group["key"])
        begin = end


def test_signs_of_a_key() -> None:
    from tallynet.engine.evidence import sign_bytes

    assert sign_bytes(hexed(EVIDENCE["signs"]["key"]), EVIDENCE["signs"]["width"]) == hexed(EVIDENCE["signs"]["bytes"])


def test_records_of_hidden_states() -> None:
    import torch

    from tallynet.engine.evidence import GROUP_TOKENS, SignKeys
    from tallynet.engine.sketch import measure

    case = EVIDENCE["records"]
    keys, hidden = SignKeys(hexed(case["seed"]), tuple(case["prompt"])), torch.tensor(case["hidden"])
    starts = range(0, len(case["tokens"]), GROUP_TOKENS)
    made = [
        measure(hidden[at : at + GROUP_TOKENS], keys.after(case["tokens"][at : at + GROUP_TOKENS]), case["rows"])
        for at in starts
    ]

    assert b"".join(record.pack() for record in made) == hexed(case["evidence"])


@cases("evidence.json", "invalid")
def test_evidence_that_is_no_record_is_refused(case: Any) -> None:
    from tallynet.engine.evidence import read_records

    with pytest.raises(ValueError):
        read_records(hexed(case["evidence"]))


# Sampling


@cases("draws.json", "draws")
def test_a_block_draws_the_same_entries_for_everybody(case: Any) -> None:
    draw = Draw(hexed(case["node"]), case["size"], hexed(case["block_hash"]))

    assert draw.seed == hexed(case["seed"])
    assert list(draw.indices(12)) == case["indices"]


def asked() -> tuple[OpeningRequest, Domain]:
    file = VECTORS["draws.json"]
    return read(OpeningRequest, file["request"]), domain(file["domain"])


def test_a_request_for_an_opening_has_its_digest() -> None:
    request, where = asked()

    assert request.digest(where) == hexed(VECTORS["draws.json"]["request"]["digest"])


@cases("draws.json", "valid")
def test_an_opening_opens_with_its_key(case: Any) -> None:
    key = SealKey(hexed(VECTORS["draws.json"]["seal_secret"]))

    assert open_parts(hexes(case["sealed"]), *asked(), key) == hexed(case["opened"])


@cases("draws.json", "invalid")
def test_an_opening_is_refused(case: Any) -> None:
    with refuses(case):
        open_parts(hexes(case["sealed"]), *asked(), SealKey(hexed(case["secret"])))


@cases("flows.json", "inputs")
def test_an_input_of_a_flow_has_its_commitment(case: Any) -> None:
    value = case["value"] if isinstance(case["value"], str) else tuple(case["value"])

    assert commit_input(hexed(case["salt"]), value) == hexed(case["commitment"])


def test_a_plan_has_its_digest_and_gives_the_nonces() -> None:
    file = VECTORS["flows.json"]
    plan = msgspec.json.decode(file["plan"]["json"], type=Plan)

    assert encode_plan(plan).decode() == file["plan"]["json"]
    assert plan_digest(plan) == hexed(file["plan"]["digest"])
    for case in file["nonces"]:
        nonce = job_nonce(hexed(case["secret"]), Digest(hexed(case["plan"])), case["step"], case["place"])
        assert nonce == hexed(case["nonce"])


def test_a_flow_decides_as_everybody_does() -> None:
    file = VECTORS["flows.json"]
    for case in file["splits"]:
        assert split_text(case["text"], Split(case["split"])) == tuple(case["items"])
    for case in file["votes"]:
        assert choose(case["ballots"], Choice(case["by"])) == case["winner"]
    for case in file["critiques"]:
        assert accepts(case["critique"], case["accept"]) == case["accepts"]


@cases("flows.json", "templates")
def test_a_template_makes_its_text(case: Any) -> None:
    given = VECTORS["flows.json"]["values"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}

    assert fill_in(read_template(case["source"]), values) == case["text"]


@cases("flows.json", "words")
def test_a_task_has_its_words(case: Any) -> None:
    inputs = {name: tuple(value) if isinstance(value, list) else value for name, value in case["inputs"].items()}
    template = find_template(case["template"])
    made = word(template, case["model"], inputs, raw=case["wants_raw"])

    assert template.digest == hexed(case["digest"])
    assert (made.prompt, made.system, made.raw) == (case["prompt"], case["system"], case["raw"])
    assert (list(made.stop), list(made.documents)) == (case["stop"], case["documents"])


@cases("flows.json", "invalid_definitions")
def test_a_definition_is_refused(case: Any) -> None:
    with pytest.raises(InvalidFlow) as caught:
        check_flow(msgspec.json.decode(case["json"], type=Flow))
    assert (caught.value.code, caught.value.check) == (case["error"], case["check"])
    assert caught.value.step == case["step"]


@cases("flows.json", "valid")
def test_a_flow_file_holds(case: Any) -> None:
    written = parse_flow(case["file"].encode())

    assert verify_flow(written, domain(VECTORS["flows.json"]["domain"]))
    assert check_words(written.file.plan.flow).states == case["words"]
    assert write_flow(written.file).decode() == case["file"]


@cases("flows.json", "invalid")
def test_a_flow_file_is_refused(case: Any) -> None:
    with pytest.raises(InvalidFlow) as caught:
        found = verify_flow(parse_flow(case["file"].encode()), domain(VECTORS["flows.json"]["domain"]))
        check_words(found.file.plan.flow)
    assert (caught.value.code, caught.value.check) == (case["error"], case["check"])
    assert caught.value.step == case["step"]


def test_a_flow_is_refused_at_every_check_of_its_file() -> None:
    assert {case["check"] for case in VECTORS["flows.json"]["invalid"]} == FLOW_CHECKS.keys() - {12}


def report_of(case: Any) -> str:
    """A report, as it stands in the vectors or as an edit of the first."""
    if "file" in case:
        return str(case["file"])
    text, changed = VECTORS["evaluations.json"]["valid"][0]["file"], case["edit"]
    return str(text[: changed["at"]] + changed["insert"] + text[changed["at"] + changed["remove"] :])


def test_a_suite_asks_what_everybody_asks() -> None:
    file = VECTORS["evaluations.json"]
    suite = msgspec.json.decode(file["suite"]["json"], type=Suite)
    questions = list_questions(suite, decode_report(report_of(file["valid"][0]).encode()).evaluation.limit)

    assert suite.digest == hexed(file["suite"]["digest"])
    for case, question in zip(file["questions"], questions, strict=True):
        assert (question.part, question.item, question.side) == (case["part"], case["item"], case["side"])
        assert encode_request(question.request) == hexed(case["request"])
        assert (int(question.task), question.sampling.digest) == (case["task"], hexed(case["params"]))


@cases("evaluations.json", "valid")
def test_a_report_of_an_evaluation_holds(case: Any) -> None:
    file = VECTORS["evaluations.json"]
    report = decode_report(report_of(case).encode())
    closing, digest = tally.read_bundle(report.closing), report.evaluation.digest

    check_report(report, domain(file["domain"]), lambda _: None)
    assert digest == hexed(file["digest"])
    assert closing_request(digest).text == file["closing_request"]
    assert (closing.inclusion is not None) is case["anchored"]


@cases("evaluations.json", "invalid")
def test_a_report_of_an_evaluation_is_refused(case: Any) -> None:
    with pytest.raises(InvalidReport) as caught:
        check_report(
            decode_report(report_of(case).encode()), domain(VECTORS["evaluations.json"]["domain"]), lambda _: None
        )
    assert (caught.value.code, caught.value.check) == (case["error"], case["check"])


def test_words_of_a_job_show_that_it_gives_no_consent() -> None:
    file = VECTORS["draws.json"]["no_consent"]

    check_no_consent(hexes(file["words"]), hexed(file["job"]), asked()[1])
