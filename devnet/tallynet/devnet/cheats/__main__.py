"""`python -m tallynet.devnet.cheats KIND[:N] --config FILE --ready FILE`: a node that cheats, as a process."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from tallynet.console.terminal import DebugOption, command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    cheat: Annotated[str, typer.Argument(help="KIND or KIND:N, as for `tallynet devnet up --cheat`.")],
    config: Annotated[Path, typer.Option(help="The node's TOML file.")],
    ready: Annotated[Path | None, typer.Option(help="File to write once the node is ready.")] = None,
    debug: DebugOption = False,
) -> None:
    """Serve like `tallynet node run`, and cheat.

    Example: python -m tallynet.devnet.cheats late-anchor:3 --config node.toml
    """
    with command(debug=debug, level=logging.INFO):
        import trio

        from tallynet.devnet.cheats.kinds import read_cheat
        from tallynet.node.config import NodeConfig
        from tallynet.node.program import run_node

        trio.run(run_node, NodeConfig.read(config), ready, read_cheat(cheat).make)


if __name__ == "__main__":
    app(prog_name="python -m tallynet.devnet.cheats")
