"""How a sampling audit is told to people who were sent a file: one page, every run as a square, the rest in words."""

from collections.abc import Iterable
from typing import Final

from tallynet.audit.sample_file import Outcome, SampledRun, SignedReport
from tallynet.audit.sample_report import OPEN_QUESTIONS, facts
from tallynet.audit.sample_statement import Statement, standing, state
from tallynet.console.page import definitions, render_page, safe
from tallynet.protocol.units import prefixed

LETTERS: Final = {
    Outcome.PASS: "✓",
    Outcome.SUSPECT: "?",
    Outcome.FAIL: "✗",
    Outcome.WITHHELD: "!",
    Outcome.UNANSWERED: "…",
}
"""In the squares of runs that were judged, so that nobody needs the colours; the others stay empty."""


def sample_page(signed: SignedReport) -> str:
    """The page's HTML."""
    report = signed.report
    found, stated = standing(report), state(report.runs, report.confidence_millionths)
    signature = [("digest", prefixed(report.digest)), ("signature", signed.signature)]
    parts = (
        f'<p class="says"><b class="{found}">{found.upper()}</b> {safe(report.says)}</p>',
        _tiles(stated, report.confidence_millionths),
        f"<h2>Every run that was drawn, in the order of the draw</h2>\n<div>{''.join(map(_square, report.runs))}</div>",
        _legend(report.runs),
        _strange(report.runs),
        f"<h2>What it rests on</h2>\n{definitions([*facts(report), *signature])}",
        _items("What it does not say", OPEN_QUESTIONS),
        _CHECK,
    )
    return render_page(f"Sampling audit of node {report.node}", "\n".join(part for part in parts if part), _STYLE)


def _tiles(stated: Statement, confidence_millionths: int) -> str:
    tiles = [("runs judged", f"{stated.judged:,}"), ("bad", f"{stated.bad:,}"), ("suspect", f"{stated.suspect:,}")]
    if stated.judged:
        tiles.append(("bad at most", f"{stated.at_most / 10_000:.2f} %"))
        if stated.bad:
            tiles.append(("bad at least", f"{stated.at_least / 10_000:.2f} %"))
        tiles.append(("confidence", f"{confidence_millionths / 10_000:g} %"))
    return f"<ul>{''.join(f'<li><b>{value}</b>{label}</li>' for label, value in tiles)}</ul>"


def _square(run: SampledRun) -> str:
    return f'<i class="{run.outcome}" title="{safe(_told(run))}">{LETTERS.get(run.outcome, "")}</i>'


def _legend(runs: Iterable[SampledRun]) -> str:
    outcomes = [run.outcome for run in runs]
    cells = (
        f'<i class="{one}">{LETTERS.get(one, "")}</i> {outcomes.count(one)} {one}' for one in Outcome if one in outcomes
    )
    return f'<p class="legend">{" &ensp; ".join(cells) or "No run was drawn."}</p>'


def _strange(runs: Iterable[SampledRun]) -> str:
    """Those that were judged and did not pass, each with its reason."""
    strange = [run for run in runs if run.outcome.judged and run.outcome is not Outcome.PASS]
    return _items("Runs that did not pass", [_told(run) for run in strange])


def _told(run: SampledRun) -> str:
    return f"entry {run.index}, {run.outcome}" + (f": {run.says}" if run.says else "")


def _items(heading: str, sentences: Iterable[str]) -> str:
    rows = "".join(f"<li>{safe(one)}</li>" for one in sentences)
    return f'<h2>{heading}</h2>\n<ol class="plain">{rows}</ol>' if rows else ""


_CHECK = """<h2>Check it</h2>
<p>This page is only a picture of the signed report. With the report itself and the file of the network:
<code>tallynet audit report FILE</code>. What came of each run is the auditor's word; whoever has the model draws and
replays the same runs with <code>tallynet audit sample</code>.</p>"""

_STYLE = """.says { font-size: 1.1rem; overflow-wrap: anywhere }
.says b { padding: .1em .5em; border-radius: .25em; color: #fff; margin-right: .3em }
.good { background: #1f6fb2 }
.open { background: #8a6d00 }
.bad { background: #b3420b }
ul { display: flex; flex-wrap: wrap; gap: 1rem 2rem; list-style: none; padding: 0; font-size: .85rem }
ul b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
i { display: inline-block; width: 1.35em; height: 1.35em; margin: 1px; border-radius: .2em; border: 1px solid #999;
  font-style: normal; text-align: center; line-height: 1.35em; font-size: .8rem; box-sizing: border-box;
  vertical-align: middle }
.pass { background: #c3dcf5; border-color: #5d9bdb; color: #0d3a66 }
.suspect, .unanswered { background: #fff2b8; border-color: #c9a400; color: #4d3f00 }
.fail, .withheld { background: #e8690b; border-color: #a84300; color: #fff }
.legend { font-size: .85rem }
.plain { font-size: .9rem; padding-left: 1.2rem; overflow-wrap: anywhere }
.plain li { list-style: disc }
code { overflow-wrap: anywhere }
"""
