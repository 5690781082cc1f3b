"""Makes `protocol/vectors/*.json` again: `python -m tests.protocol.generate_vectors`.

Everything comes from fixed names by SHA-256, so the files change only when the protocol does. A test compares
the committed files with what this makes, and another runs them against the package through their JSON alone.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.protocol import vectors_of_bundles as of_bundles
from tests.protocol import vectors_of_draws as of_draws
from tests.protocol import vectors_of_embeddings as of_embeddings
from tests.protocol import vectors_of_evaluations as of_evaluations
from tests.protocol import vectors_of_evidence as of_evidence
from tests.protocol import vectors_of_faults as of_faults
from tests.protocol import vectors_of_flows as of_flows
from tests.protocol import vectors_of_frames as of_frames
from tests.protocol import vectors_of_sampling as of_sampling
from tests.protocol import vectors_of_scores as of_scores
from tests.protocol import vectors_of_statements as of_statements
from tests.protocol import vectors_of_tiles as of_tiles
from tests.protocol import vectors_of_trees as of_trees
from tests.protocol import vectors_of_words as of_words

FOLDER = Path(__file__).parents[2] / "protocol" / "vectors"

FILES: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "keys.json": ("1-job.md", of_words.keys),
    "signatures.json": ("1-job.md", of_words.signatures),
    "eip712.json": ("1-job.md", of_statements.eip712_cases),
    "commitments.json": ("1-job.md", of_words.commitments),
    "requests.json": ("1-job.md", of_words.requests),
    "manifests.json": ("1-job.md", of_words.manifests),
    "adverts.json": ("2-admission.md", of_statements.adverts),
    "frames.json": ("2-admission.md", of_frames.frames),
    "sampling.json": ("3-generation.md", of_sampling.sampling_cases),
    "evidence.json": ("3-generation.md", of_evidence.evidence_cases),
    "chunks.json": ("3-generation.md", of_statements.chunks),
    "embeddings.json": ("3-generation.md", of_embeddings.embeddings),
    "scores.json": ("3-generation.md", of_scores.scores),
    "leaves.json": ("4-receipt.md", of_statements.leaves),
    "receipts.json": ("4-receipt.md", of_statements.receipts),
    "merkle.json": ("5-anchor.md", of_trees.merkle_cases),
    "faults.json": ("5-anchor.md", of_faults.faults),
    "notes.json": ("5-anchor.md", of_tiles.notes),
    "tiles.json": ("5-anchor.md", of_tiles.tile_cases),
    "bundles.json": ("6-audit.md", of_bundles.bundles),
    "draws.json": ("6-audit.md", of_draws.draws),
    "flows.json": ("7-flow.md", of_flows.flows),
    "evaluations.json": ("8-evaluation.md", of_evaluations.evaluations),
}
"""Each file with the chapter that it belongs to."""


def render(name: str) -> str:
    """The text of one file."""
    chapter, make = FILES[name]
    document = {"spec": f"protocol/spec/{chapter}", "format": f"protocol/vectors/README.md#{anchor(name)}", **make()}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def anchor(name: str) -> str:
    return name.replace(".", "")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
