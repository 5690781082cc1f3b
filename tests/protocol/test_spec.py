"""The chapters of `protocol/spec` against the code: tables, type strings, numbered checks, constants."""

import ast
import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallynet.audit import sample_file
from tallynet.ledger import rules
from tallynet.protocol import (
    advert,
    checkpoint,
    chunk,
    eip712,
    fault,
    flow,
    flow_plan,
    job,
    leaf,
    manifest,
    note_key,
    opening,
    receipt,
    request,
    wire,
)
from tallynet.protocol.bundle import write_bundle
from tallynet.protocol.bundle_forms import pack_job, pack_receipt
from tallynet.protocol.bundle_openings import LABELS, open_part
from tallynet.protocol.flow_file import write_flow
from tallynet.protocol.leaf import LEAF_BYTES, Leaf, Status
from tests.audit.examples import bundle
from tests.protocol.examples import valid_leaf, valid_receipt, valid_signed_job
from tests.protocol.flows import capitals, run_flow
from tests.protocol.generate_vectors import FILES
from tests.protocol.spec_words import fields, lists, tables

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "protocol" / "spec"
STEPS = sorted(SPEC.glob("[1-7]-*.md"))
CHAPTERS = sorted(SPEC.glob("[1-9]-*.md"))
TEXT = "\n".join(chapter.read_text() for chapter in CHAPTERS)
CHECK = re.compile(r"# \((\d+)\)(?: … \(\d+\))? ((?!and \(|…).+)$", re.MULTILINE)

TABLES = dict(tables(TEXT, "(?:Message `[a-z-]+`, f|F)ields of"))
LISTS = list(lists(TEXT))
CONSTANTS = list(tables(TEXT, "Constants of"))


def named(path: str) -> Any:
    """`tallynet.protocol.job.Job` or `tallynet.protocol.bundle_checks.NAMES`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def source(path: str) -> str:
    """A file's text, or that of one function or class of it after `::`."""
    file, _, name = path.partition("::")
    text = (ROOT / file).read_text()
    if not name:
        return text
    (node,) = (part for part in ast.parse(text).body if getattr(part, "name", "") == name)
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])


def test_there_is_one_chapter_for_each_step() -> None:
    assert [chapter.name for chapter in STEPS] == [
        "1-job.md", "2-admission.md", "3-generation.md", "4-receipt.md", "5-anchor.md", "6-audit.md", "7-flow.md",
    ]  # fmt: skip
    assert {chapter for chapter, _ in FILES.values()} == {chapter.name for chapter in CHAPTERS}


def test_every_table_and_list_is_read() -> None:
    """A caption that is written in another way would leave what is under it unchecked."""
    assert len(LISTS) == len(re.findall("^Checks in", TEXT, re.MULTILINE))
    assert len(CONSTANTS) == len(re.findall("^Constants of", TEXT, re.MULTILINE))
    assert len(TABLES) == len(re.findall("[fF]ields of `", TEXT))


# Fields


def structs() -> set[str]:
    """Every struct of the protocol that travels and has fields."""
    found = set()
    for module in (job, request, manifest, advert, chunk, receipt, checkpoint, fault, opening, wire, flow, flow_plan):
        for name, kind in vars(module).items():
            ours = isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
            if ours and kind.__struct_fields__ and not name.startswith(("Verified", "_")):
                found.add(f"{kind.__module__}.{kind.__name__}")
    return found


def test_every_statement_and_message_has_its_table() -> None:
    assert set(TABLES) == structs()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_lists_the_fields_with_their_types_and_bounds(name: str) -> None:
    assert [(row[0], row[1]) for row in TABLES[name]] == fields(named(name))
    assert all(len(row) == 3 and row[2] for row in TABLES[name])


def test_the_tag_of_every_message_stands_by_its_table() -> None:
    for name in TABLES:
        if name.startswith("tallynet.protocol.wire."):
            assert f"Message `{named(name).__struct_config__.tag}`, fields of `{name}`:" in TEXT
    for message in (wire.Cancel, wire.AskCheckpoint):
        assert f"Message `{message.__struct_config__.tag}`, without fields:" in TEXT


# Type strings


def test_the_type_strings_are_those_of_the_code() -> None:
    written = set(re.findall(r"^[A-Z]\w+\([a-z][^)]*\)$", TEXT, re.MULTILINE))
    modules = (job, advert, chunk, receipt, checkpoint, note_key, opening, sample_file)
    known = {kind.decode() for module in modules for name, kind in vars(module).items() if name.endswith("_TYPE")}
    domain = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

    assert written == known | {
        domain,
        "Registration(address operator,address node)",
        "Anchor(uint64 size,bytes32 root)",
    }
    assert "`name` = `Tallynet`, `version` = `1`" in TEXT
    assert (eip712.NAME, eip712.VERSION) == ("Tallynet", "1")


def test_the_contract_and_the_package_hash_the_same_types() -> None:
    contract = (ROOT / "contracts" / "signing.vy").read_text()
    for kind, hashed in (
        (b"Registration(address operator,address node)", rules.REGISTRATION_TYPE),
        (b"Anchor(uint64 size,bytes32 root)", rules.RELAY_TYPE),
        (receipt.RECEIPT_TYPE, None),
        (checkpoint.CHECKPOINT_TYPE, None),
    ):
        assert f'keccak256("{kind.decode()}")' in contract
        assert hashed in (None, eip712.keccak(kind))


# Checks


@pytest.mark.parametrize(("path", "written"), LISTS, ids=[path for path, _ in LISTS])
def test_the_checks_are_those_of_the_code_in_number_and_words(path: str, written: list[tuple[int, str]]) -> None:
    coded = [(int(number), words) for number, words in CHECK.findall(source(path))]

    assert coded, f"{path} has no numbered check"
    assert set(written) == set(coded)
    assert [number for number, _ in written] == sorted(number for number, _ in written)


def test_the_checks_of_files_are_named_as_in_the_code() -> None:
    named_checks = list(tables(TEXT, "Checks of"))

    assert len(named_checks) == 2
    for name, rows in named_checks:
        assert {int(number): words for number, words in rows} == named(name)


@pytest.mark.parametrize("code", sorted(set(re.findall(r"`(invalid-[a-z]+|busy|misconfigured)`", TEXT))))
def test_every_code_of_an_error_is_known(code: str) -> None:
    errors = importlib.import_module("tallynet.protocol.errors")

    assert code in {getattr(kind, "code", None) for kind in vars(errors).values()}


# Faults


def test_the_kinds_of_faults_are_those_of_the_code() -> None:
    ((_, rows),) = tables(TEXT, "Numbers of")
    shown = {kind: struct.__name__ for struct, kind in fault.KINDS.items()}

    assert {int(number): name for number, name, *_ in rows} == {int(kind): kind.name for kind in fault.FaultKind}
    assert {int(row[0]): row[3].strip("`") for row in rows[:5]} == shown


def test_every_reason_of_a_refusal_stands_by_its_check() -> None:
    written = dict(re.findall(r"^\| `([a-z0-9' ]+)` \| ((?:\(\d\)(?:, )?)+) \|$", TEXT, re.MULTILINE))
    code = source("protocol/tallynet/protocol/fault.py")
    refused = {(words, check) for check, words in re.findall(r'(?:_refuse|_proving)\(\s*(\d), "([^"]+)"', code)}
    signatures = {(words, check) for words in fault.SIGNATURE_REASONS.values() for check in ("1", "5")}

    assert {(words, check) for words, checks in written.items() for check in re.findall(r"\d", checks)} == (
        refused | signatures
    )


def test_the_contract_refuses_in_the_same_words() -> None:
    contract = "\n".join(path.read_text() for path in (ROOT / "contracts").glob("*.vy"))
    for words in re.findall(r"^\| `([a-z0-9' ]+)` \| \(", TEXT, re.MULTILINE):
        assert f'"ledger: {words}"' in contract


# The leaf


def test_the_layout_of_a_leaf_is_that_of_the_bytes() -> None:
    ((_, rows),) = tables(TEXT, "(?:.* )?Layout of")
    packed, place = valid_leaf().pack(), 0
    values: dict[str, Any] = {"version": leaf.VERSION} | {name: getattr(valid_leaf(), name) for name in Leaf.__slots__}
    for offset, length, field, _ in rows:
        assert int(offset) == place, field
        place += int(length)
        value = values[field] if isinstance(values[field], bytes) else values[field].to_bytes(int(length), "big")
        assert packed[int(offset) : place] == value, field

    assert place == LEAF_BYTES
    assert {row[2] for row in rows} == set(values)


def test_the_statuses_are_those_of_the_code() -> None:
    ((_, rows),) = tables(TEXT, "Statuses of")

    assert {int(number): name for number, name, _ in rows} == {int(status): status.name for status in Status}


# The bundle


def test_the_lines_of_a_bundle_are_those_that_are_written() -> None:
    listed, openings, _ = ([re.findall("`([^`]+)`", row[0])[0] for row in rows if "`" in row[0]]
                           for _, rows in tables(TEXT, "Lines of"))  # fmt: skip
    whole, part = write_bundle(bundle()), write_bundle(replace(bundle(), opening=open_part(bundle().opening, [1])))

    assert tuple(openings) == LABELS
    assert [label for label in labels(whole) if label not in LABELS] == listed
    assert [label for label in labels(part) if label not in LABELS] == listed


def labels(text: str) -> list[str]:
    """What each line of a bundle begins with, up to the first line of its proof."""
    header, _, proof = text.partition("\n\n")
    return [line.split(" ")[0] for line in [*header.split("\n"), proof.split("\n")[0]]]


def test_the_packed_lines_of_a_bundle_have_the_layout_of_the_chapter() -> None:
    ((_, rows),) = tables(TEXT, "Packed lines of")
    layouts, signed, receipt = dict(rows), valid_signed_job(), valid_receipt()
    stop, parents = signed.job.sampling.stop, signed.job.parents
    values = {
        "task": signed.job.task,
        "consent": signed.job.audit_consent,
        "max tokens": signed.job.sampling.max_tokens,
        "temperature": signed.job.sampling.temperature_millionths,
        "top k": signed.job.sampling.top_k,
        "top p": signed.job.sampling.top_p_millionths,
        "deadline": signed.job.deadline,
        "max price": signed.job.max_price,
        "nonce": signed.job.nonce,
        "index": receipt.receipt.index,
        "anchor by": receipt.receipt.anchor_by,
        "signature": receipt.signature,
    }
    fixed, _, rest = layouts["`job`"].strip("`").partition(" ‖ u8 count")
    lists = bytes([len(stop)]) + b"".join(len(text.encode()).to_bytes(2) + text.encode() for text in stop)

    assert rest == ", each u16 length ‖ stop string ‖ u8 count, each 32 parent"
    assert packed(fixed, values) + lists + bytes([len(parents)]) + b"".join(parents) == pack_job(signed)
    assert packed(layouts["`receipt`"].strip("`"), values) == pack_receipt(receipt)


def packed(layout: str, values: dict[str, Any]) -> bytes:
    """Values as a chapter lays them out: `u8 task ‖ 32 nonce`."""
    parts = b""
    for part in layout.split(" ‖ "):
        kind, _, name = part.partition(" ")
        value = values[name]
        parts += int(value).to_bytes(int(kind[1:]) // 8) if kind.startswith("u") else value
        assert kind.startswith("u") or len(value) == int(kind)
    return parts


# The flow file


def test_the_lines_of_a_flow_file_are_those_that_are_written() -> None:
    written = write_flow(run_flow(capitals())).split(b"\n")
    rows = dict(tables(TEXT, "Lines of"))["tallynet.protocol.flow_file"]
    labels = [re.findall("`([^`]+)`", row[0])[0] for row in rows]

    assert [line.split(b" ")[0].decode() for line in written[:6]] == labels[:6]
    assert labels[6] == "tallynet-bundle@v2" and written[6].decode() == labels[6]


# Constants


@pytest.mark.parametrize(("module", "rows"), CONSTANTS, ids=[module for module, _ in CONSTANTS])
def test_constants_are_those_of_the_code(module: str, rows: list[list[str]]) -> None:
    for name, value, _ in rows:
        found = getattr(importlib.import_module(module), name)
        power = re.fullmatch(r"2\*\*(\d+)", value)
        assert str(2 ** int(power[1]) if power else value) == str(found), name


@pytest.mark.parametrize(
    "module",
    [
        "tallynet.protocol.commitment",
        "tallynet.protocol.draw",
        "tallynet.protocol.flow_plan",
        "tallynet.protocol.manifest",
        "tallynet.protocol.sealing",
        "tallynet.engine.engine",
        "tallynet.engine.philox",
        "tallynet.engine.upstream.stand_ins",
    ],
)
def test_the_tags_of_all_hashes_stand_in_a_chapter(module: str) -> None:
    source_of = importlib.import_module(module)
    for name, value in vars(source_of).items():
        if isinstance(value, bytes) and value.startswith(b"tallynet/"):
            assert value.decode().replace("\0", "\\0") in TEXT, name


def test_the_constants_of_the_generator_stand_in_the_chapter() -> None:
    philox = importlib.import_module("tallynet.engine.philox")

    for constant in (philox.MULTIPLIER_0, philox.MULTIPLIER_1, philox.WEYL_0, philox.WEYL_1):
        assert f"0x{constant:08X}" in TEXT


# The table of contents


def test_the_readme_names_chapters_modules_and_tests_that_exist() -> None:
    readme = (ROOT / "protocol" / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", readme)

    for chapter in [*CHAPTERS, SPEC / "threats.md"]:
        assert f"spec/{chapter.name}" in links
    for decision in (ROOT / "protocol" / "decisions").glob("*.md"):
        assert f"decisions/{decision.name}" in links
    for link in links:
        assert (ROOT / "protocol" / link).exists(), link


def test_every_decision_has_its_four_parts() -> None:
    decisions = sorted((ROOT / "protocol" / "decisions").glob("*.md"))

    assert len({decision.name[:4] for decision in decisions}) == len(decisions)
    for decision in decisions:
        text = decision.read_text()
        assert text.startswith(f"# {int(decision.name[:4])}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context", "Decision", "Consequences", "Alternatives refused"
        ]  # fmt: skip
        assert "\n\nWe " in text
