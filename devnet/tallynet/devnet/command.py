"""`tallynet`: one command for everybody; each part of it lives with its component.

Nothing heavy is imported here or by what is imported here, so that `tallynet --help` answers at once.
"""

from typing import Annotated

import typer

from tallynet.audit.commands import audit_app
from tallynet.client.chat_command import chat
from tallynet.client.commands import ask, embed, models, nodes
from tallynet.client.document_command import answer
from tallynet.client.evaluate.commands import evaluate_command
from tallynet.client.flow.commands import flow_app
from tallynet.client.gateway.commands import gateway_app
from tallynet.client.score_commands import score
from tallynet.client.summary_command import summarise_file
from tallynet.client.task_commands import code, run
from tallynet.devnet.bench.command import bench_app
from tallynet.devnet.calibrate import calibrate
from tallynet.devnet.cheats.command import cheats
from tallynet.devnet.demo import demo
from tallynet.devnet.fund import fund
from tallynet.devnet.up import devnet_app
from tallynet.node.commands import node_app
from tallynet.node.log_commands import log_app

app = typer.Typer(
    name="tallynet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tallynet {version('tallynet')}")
        raise typer.Exit


@app.callback()
def tallynet(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """LLM inference on the record: signed jobs, streamed evidence, a log per node, a contract as its witness.

    Example: tallynet demo
    """


devnet_app.command()(cheats)
devnet_app.command()(fund)
for command in (ask, run, answer, code, chat, embed, score, models, nodes, demo, calibrate):
    app.command()(command)
app.command("evaluate")(evaluate_command)
app.command("summarise")(summarise_file)
GROUPS = {
    "gateway": gateway_app, "audit": audit_app, "node": node_app, "log": log_app, "devnet": devnet_app,
    "bench": bench_app, "flow": flow_app,
}  # fmt: skip
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """The console script. Exits 0 done, 1 failed or refused, 2 usage, 3 pending."""
    app(prog_name="tallynet")


if __name__ == "__main__":
    main()
