"""`tallynet evaluate`: measure a model with a suite of questions, and put the outcome on the record."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import trio
import typer
from rich.text import Text

from tallynet.client.commands import check_place, read_node
from tallynet.client.options import (
    ANCHOR_WAIT_SECONDS,
    ConsentOption,
    DeadlineOption,
    ModelArgument,
    NoKeepOption,
    PriceOption,
)
from tallynet.client.terms import DEADLINE_SECONDS
from tallynet.console.moments import moment
from tallynet.console.terminal import FAILED, DebugOption, JsonOption, NetworkOption, Terminal, command
from tallynet.protocol.bundle import read_bundle
from tallynet.protocol.errors import Busy, Pending, Refused, Unreachable

if TYPE_CHECKING:
    from tallynet.client.client import AsyncClient
    from tallynet.client.evaluate.comparison import Comparison
    from tallynet.evaluation.report import Report
    from tallynet.evaluation.report_checks import Opened
    from tallynet.evaluation.suite import Suite

SuiteOption = Annotated[str, typer.Option("--suite", metavar="NAME|DIR", help="Suite that comes with us, or a folder.")]
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Ask N items of each part; 0: all.")]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        help="Write the report to FILE. Default: a name of its own, here.",
        show_default=False,
    ),
]
RerunOption = Annotated[
    Path | None,
    typer.Option("--rerun", metavar="REPORT", help="Ask what REPORT asked, and compare.", show_default=False),
]
WorkOption = Annotated[
    Path | None,
    typer.Option(
        "--work", metavar="DIR", help="Keep answers in DIR: what was broken off goes on there.", show_default=False
    ),
]
AtOnceOption = Annotated[int, typer.Option("--at-once", min=1, max=64, help="Jobs that are under way together.")]
NodesOption = Annotated[
    list[str] | None, typer.Option("--node", help="Ask only this node; may be repeated.", show_default=False)
]
AnchorOption = Annotated[float, typer.Option("--anchor-wait", min=0, help="Seconds to wait for the anchor.")]


@dataclass(frozen=True)
class Wish:
    """What is to be evaluated, and how."""

    model: str
    suite: "Suite"
    limit: int
    work: Path | None
    at_once: int
    nodes: tuple[str, ...]
    deadline: float
    max_price: int | None
    audit_consent: bool
    anchor_wait: float


@dataclass(frozen=True)
class Outcome:
    """A report that is written."""

    report: "Report"
    place: Path
    anchored: bool


@dataclass(frozen=True)
class Earlier:
    """A report whose own checks hold."""

    report: "Report"
    opened: "Opened"


def evaluate_command(
    model: ModelArgument,
    suite: SuiteOption = "smoke",
    limit: LimitOption = 0,
    save: ReportOption = None,
    rerun: RerunOption = None,
    work: WorkOption = None,
    at_once: AtOnceOption = 8,
    node: NodesOption = None,
    max_price: PriceOption = None,
    deadline: DeadlineOption = DEADLINE_SECONDS,
    anchor_wait: AnchorOption = ANCHOR_WAIT_SECONDS,
    audit_consent: ConsentOption = False,
    no_keep: NoKeepOption = False,
    network: NetworkOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure a model: perplexity, BLEU and chrF, exact match, a small bias
    probe; each with a 95 % interval.

    Every question is a job with its receipt. The report holds all of them; one
    more job commits to it, so that it is dated by the chain. `tallynet audit
    verify` checks it and computes every number again.

    Exits 0 when the report is written, 1 when a question can't be answered, or
    with --rerun when the outcome is another one, 2 on wrong usage. Ctrl-C
    cancels the jobs; then there is no report, and with --work DIR the same
    command goes on with what was not answered.

    Example: tallynet evaluate tally-tiny --suite smoke --save a.report.tally

    Example: tallynet evaluate tally-tiny --rerun a.report.tally
    """
    with command(as_json=as_json, debug=debug) as terminal:
        check_place(save)
        with terminal.notes.status("Loading…"):
            from tallynet.client.evaluate.suite_file import open_suite

            earlier = None if rerun is None else read_earlier(rerun)
            if earlier is None:
                chosen = open_suite(suite)
            else:
                chosen, limit = earlier.report.evaluation.suite, earlier.report.evaluation.limit
            wish = Wish(
                model, chosen, limit, work, at_once, tuple(node or ()), deadline, max_price, audit_consent, anchor_wait
            )
        outcome = trio.run(_evaluate, wish, network, not no_keep, save, terminal)
        agrees = _tell(terminal, outcome, earlier)
        if not agrees:
            raise typer.Exit(FAILED)


def read_earlier(file: Path) -> "Earlier":
    """A report that is to be asked again. Raises `InvalidReport` for one that does not hold: nothing is paid for it."""
    from tallynet.evaluation.report_checks import check_report
    from tallynet.evaluation.report_file import read_report

    report = read_report(file)
    return Earlier(report, check_report(report, None, lambda _: None))


def evaluation_file(model: str, report: "Report") -> Path:
    """Where a report goes that was given no place: a name that no other evaluation has."""
    evaluation = report.evaluation
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", model)[:40].strip("-") or "model"
    return Path(f"{name}-{evaluation.suite.name}-{evaluation.digest.hex()[:8]}.report.tally")


async def _evaluate(wish: Wish, network: Path | None, keep: bool, save: Path | None, terminal: Terminal) -> "Outcome":
    """Ask, close, save; then wait for the anchor, and save again."""
    from tallynet.client.batch import progress_bar
    from tallynet.client.client import AsyncClient
    from tallynet.client.evaluate.run import evaluate
    from tallynet.evaluation.questions import list_questions
    from tallynet.evaluation.report_file import write_report

    nodes = [address for address in map(read_node, wish.nodes) if address is not None]
    async with AsyncClient(network, keep=keep) as client:
        with progress_bar(len(list_questions(wish.suite, wish.limit)), shown=True) as tell:
            report = await evaluate(
                client, wish.model, wish.suite, limit=wish.limit, at_once=wish.at_once, nodes=nodes,
                deadline_seconds=wish.deadline, max_price_wei=wish.max_price, audit_consent=wish.audit_consent,
                keep=wish.work, tell=tell,
            )  # fmt: skip
        place = save or evaluation_file(wish.model, report)
        write_report(place, report)
        with terminal.notes.status("Waiting for the anchor on the chain…"):
            anchored = await _await_anchor(client, report, wish.anchor_wait, terminal)
        if anchored is not None:
            write_report(place, anchored)
        return Outcome(anchored or report, place, anchored is not None)


async def _await_anchor(client: "AsyncClient", report: "Report", seconds: float, terminal: Terminal) -> "Report | None":
    """The report with its anchor; None when that does not come in time, which is said."""
    from tallynet.client.evaluate.run import anchor_report

    try:
        return await anchor_report(client, report, seconds)
    except Pending:
        promised = moment(read_bundle(report.closing).receipt.receipt.anchor_by)
        terminal.notes.print(Text(f"Not anchored yet; promised by {promised}.", style="dim"))
    except (Busy, Refused, Unreachable) as error:
        terminal.notes.print(Text(f"The anchor cannot be looked for now: {error}", style="yellow"))
    return None


def _tell(terminal: Terminal, outcome: Outcome, earlier: Earlier | None) -> bool:
    """Print the numbers; whether they agree with those of an earlier report, if there is one."""
    from tallynet.client.evaluate.display import describe_outcome, print_outcome

    compared = _compare(earlier, outcome.report) if earlier is not None else None
    print_outcome(terminal.out, outcome, compared)
    terminal.result(describe_outcome(outcome, compared))
    return compared is None or compared.agrees


def _compare(earlier: Earlier, now: "Report") -> "Comparison":
    from tallynet.client.evaluate.comparison import compare
    from tallynet.evaluation.report_checks import check_report

    opened = check_report(now, None, lambda _: None)
    return compare(earlier.opened, opened, earlier.report.evaluation.metrics, now.evaluation.metrics)
