"""Vectors of the bundle: what it says in each shape, and some of the ways to be wrong in `tests/audit/corpus`."""

from dataclasses import replace
from typing import Any

from tallynet.protocol.bundle import Bundle, write_bundle
from tallynet.protocol.bundle_checks import verify_bundle
from tallynet.protocol.bundle_openings import open_part, opened_request, opened_text
from tests.audit import wrong_links
from tests.audit.examples import DOMAIN, ExampleNode, bundle
from tests.audit.make_corpus import WAYS
from tests.audit.ways import Way
from tests.protocol.json_form import write

SHAPES: dict[str, Bundle] = {
    "anchored, all of it open": bundle(),
    "not anchored yet": ExampleNode().run(),
    "closed": bundle().closed(),
    "the second chunk opened": replace(bundle(), opening=open_part(bundle().opening, [1])),
    "the request and the first chunk opened": replace(bundle(), opening=open_part(bundle().opening, [0], request=True)),
    "an answer without chunks": ExampleNode().run(chunks=()),
}

SHOWN = (
    "another-version", "line-ends-of-two-characters", "checksum-in-another-base64", "lines-exchanged",
    "job-with-a-byte-too-many", "closed-chunks-alone", "proof-with-an-extra-line", "checkpoint-with-an-extension",
    "checkpoint-of-another-node", "job-signature-with-a-high-s", "leaf-of-another-job", "another-question",
    "another-prompt", "another-word", "opened-chunk-at-another-place", "promise-moved", "path-of-the-neighbour",
    "checkpoint-of-another-root", "checkpoint-signed-by-the-note-key-alone", "another-block",
)  # fmt: skip
"""Of the corpus: some of every check but (2)."""


def bundles() -> dict[str, Any]:
    link = wrong_links.link(wrong_links.stored(wrong_links.VALID)).strip()
    return {
        "domain": {"chain_id": DOMAIN.chain_id, "contract": write(DOMAIN.contract)},
        "valid": [described(name, shape) for name, shape in SHAPES.items()],
        "invalid": [refused(WAYS[name]) for name in SHOWN],
        "links": [{"link": link, "text": wrong_links.VALID.decode()}],
    }


def described(name: str, shape: Bundle) -> dict[str, Any]:
    receipt, inclusion = shape.receipt.receipt, shape.inclusion
    return {
        "shape": name,
        "text": write_bundle(shape),
        "checks": {str(found.number): found.state for found in verify_bundle(shape, DOMAIN)},
        "node": write(shape.node),
        "job": write(receipt.job),
        "leaf_hash": write(receipt.leaf),
        "index": receipt.index,
        "anchor_by": receipt.anchor_by,
        "size": inclusion.anchor.size if inclusion else None,
        "root": write(inclusion.anchor.root) if inclusion else None,
        "path": write(inclusion.proof.path) if inclusion else None,
        "block": inclusion.anchor.block if inclusion else None,
        "request": write(opened_request(shape.opening)),
        "answer": opened_text(shape.opening),
    }


def refused(wrong: Way) -> dict[str, Any]:
    text = wrong.data.decode()
    return {"text": text, "error": "invalid-bundle", "check": wrong.check, "reason": wrong.about}
