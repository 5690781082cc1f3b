"""The vectors, run as a program in another language would, from their JSON alone: the files, words, flows."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from tallynet.protocol import commitment
from tallynet.protocol.advert import Advert
from tallynet.protocol.checkpoint import Checkpoint
from tallynet.protocol.chunk import Chunk
from tallynet.protocol.eip712 import Domain
from tallynet.protocol.errors import InvalidFlow, InvalidSignature, Misconfigured
from tallynet.protocol.flow import Choice, Flow, Split
from tallynet.protocol.flow_checks import FLOW_CHECKS, verify_flow
from tallynet.protocol.flow_choice import accepts, choose, split_text
from tallynet.protocol.flow_file import parse_flow, write_flow
from tallynet.protocol.flow_plan import Plan, commit_input, encode_plan, job_nonce, plan_digest
from tallynet.protocol.flow_rules import check_flow
from tallynet.protocol.flow_template import read_template
from tallynet.protocol.flow_template import render as fill_in
from tallynet.protocol.job import Job
from tallynet.protocol.keys import Key, address_of, address_of_peer, check_signed_by, peer_id_of, recover
from tallynet.protocol.manifest import Manifest, ManifestFile
from tallynet.protocol.note_key import NoteKeyStatement
from tallynet.protocol.receipt import Receipt
from tallynet.protocol.request import Request, decode_request, encode_request
from tallynet.protocol.units import Digest
from tallynet.templates.shelf import find_template
from tallynet.templates.wording import word
from tallynet.templates.wording_check import check_words
from tests.protocol.generate_vectors import FILES, FOLDER, anchor, render
from tests.protocol.json_form import camel, read
from tests.protocol.vector_cases import VECTORS, cases, domain, hexed, refuses

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


# Flows


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
