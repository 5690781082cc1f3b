"""Options that several commands share, each with what it means, its bounds and its unit; and the defaults of some."""

from pathlib import Path
from typing import Annotated

import typer

from tallynet.protocol.job import MAX_TOKENS

ANCHOR_WAIT_SECONDS = 10.0

ModelArgument = Annotated[str, typer.Argument(help="Its name, or its id 0x….", show_default=False)]
TextArgument = Annotated[str, typer.Argument(help="The text; - reads it from stdin.", show_default=False)]

ModelOption = Annotated[
    str, typer.Option("--model", envvar="TALLYNET_MODEL", help="Name or id. Default: what most nodes offer.")
]
SystemOption = Annotated[str, typer.Option("--system", help="Instructions that come before the question.")]
TemplatesOption = Annotated[
    Path | None, typer.Option("--templates", metavar="DIR", help="A folder of your own templates.", show_default=False)
]
ShowOption = Annotated[bool, typer.Option("--show-prompt", help="Print the prompt, and ask nobody.")]

TaskTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, max=MAX_TOKENS, help="Longest answer. Default: the template's.",
                 show_default=False),
]  # fmt: skip
TemperatureOption = Annotated[float, typer.Option("--temperature", min=0, max=10, help="0 takes the likeliest.")]
TopKOption = Annotated[int, typer.Option("--top-k", min=0, help="Among the k likeliest; 0: among all.")]
TopPOption = Annotated[float, typer.Option("--top-p", min=0.000001, max=1, help="Among the likeliest, up to P in sum.")]

NodeOption = Annotated[str, typer.Option("--node", help="Ask only this node: its address 0x… or peer id.")]
PriceOption = Annotated[
    int | None,
    typer.Option("--max-price", min=0, help="Ceiling in wei. Default: what is advertised.", show_default=False),
]
DeadlineOption = Annotated[float, typer.Option("--deadline", min=0.1, help="Seconds until the whole answer.")]
ConsentOption = Annotated[
    bool, typer.Option("--audit-consent", help="Let whoever audits the node read this run, if it is drawn.")
]

SaveOption = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", help="Keep the proof in FILE (.tally).", show_default=False)
]
AnchorOption = Annotated[
    float, typer.Option("--anchor-wait", min=0, help="With --save: seconds to wait for the anchor.")
]
NoKeepOption = Annotated[bool, typer.Option("--no-keep", help="Do not keep the receipt in the receipts folder.")]
