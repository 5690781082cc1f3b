"""Runs a module as a program that lives no longer than the process that started it.

python -m tallynet.devnet.child tallynet.node run --config node.toml
"""

import runpy
import sys

from tallynet.devnet.lifetime import end_with_parent


def main() -> None:
    """The first argument is the module, the others are its own."""
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m tallynet.devnet.child MODULE [ARGUMENTS]")
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
