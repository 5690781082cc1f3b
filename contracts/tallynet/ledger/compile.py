"""Compile `contracts/ledger.vy` into `ledger.json`, the artefact that everything else deploys and calls.

    python -m tallynet.ledger.compile

Works in a source checkout with the dev dependencies; an installed package has the artefact only. A test compiles
again and compares, so the two cannot drift apart.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parents[2]
"""The folder `contracts/`."""

FILES: Final = (
    "ledger.vy",
    "registry.vy",
    "witness.vy",
    "judge.vy",
    "challenges.vy",
    "accounts.vy",
    "anchors.vy",
    "merkle.vy",
    "signing.vy",
    "interfaces/ILedger.vyi",
)

ARTEFACT: Final = Path(__file__).with_name("ledger.json")


def compiled() -> dict[str, object]:
    """The artefact as it must be for the sources as they are.

    abi            list, JSON ABI of the contract
    bytecode       hex with 0x, creation code without constructor arguments
    compiler       name and version; its settings are the pragmas of the source
    source_sha256  hex SHA-256 of each source file, by its path below `contracts/`
    """
    import vyper  # type: ignore[import-untyped]  # a dev dependency, without types
    from vyper.compiler import compile_from_file_input  # type: ignore[import-untyped]
    from vyper.compiler.input_bundle import FilesystemInputBundle  # type: ignore[import-untyped]

    bundle = FilesystemInputBundle([SOURCES])
    with bundle.search_path(SOURCES):
        output = compile_from_file_input(
            bundle.load_file(Path(FILES[0])), input_bundle=bundle, output_formats=["abi", "bytecode"]
        )
    return {
        "abi": output["abi"],
        "bytecode": output["bytecode"],
        "compiler": f"vyper {vyper.__long_version__}",
        "source_sha256": source_sha256(),
    }


def source_sha256() -> dict[str, str]:
    return {name: hashlib.sha256((SOURCES / name).read_bytes()).hexdigest() for name in FILES}


def main() -> None:
    ARTEFACT.write_text(json.dumps(compiled(), indent=1) + "\n")
    print(f"wrote {ARTEFACT}", file=sys.stderr)


if __name__ == "__main__":
    main()
