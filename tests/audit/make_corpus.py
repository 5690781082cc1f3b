"""Makes `tests/audit/corpus/` again: `python -m tests.audit.make_corpus`, or `make corpus`.

One folder for each way in which a bundle can be wrong: `bundle.tally`, and `reason.json` with what is wrong, the number
of the check that must fail, words that its message must hold, and the network to compare with where it takes one.
"""

import json
import shutil
from pathlib import Path

from tallynet.protocol.units import prefixed
from tests.audit import (
    wrong_files,
    wrong_inclusions,
    wrong_links,
    wrong_openings,
    wrong_packings,
    wrong_proof_texts,
    wrong_statements,
)
from tests.audit.ways import WAYS, Way

FOLDER = Path(__file__).parent / "corpus"
MODULES = (
    wrong_files,
    wrong_packings,
    wrong_proof_texts,
    wrong_links,
    wrong_statements,
    wrong_openings,
    wrong_inclusions,
)
"""Where the ways are; importing them fills `WAYS`."""
__all__ = ["FOLDER", "MODULES", "WAYS", "reason"]


def reason(of: Way) -> str:
    told: dict[str, object] = {"about": of.about, "check": of.check, "words": of.words}
    if of.network is not None:
        told["network"] = {"chain_id": of.network.chain_id, "contract": prefixed(of.network.contract)}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, way in WAYS.items():
        (FOLDER / name).mkdir(parents=True)
        (FOLDER / name / "bundle.tally").write_bytes(way.data)
        (FOLDER / name / "reason.json").write_text(reason(way), encoding="utf-8")


if __name__ == "__main__":
    main()
