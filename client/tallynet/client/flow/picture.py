"""A flow as a picture: SVG by our own layout, or the text that Mermaid draws from. With the state of each step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from tallynet.client.flow.layers import Box, Line, lay_out
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.protocol.flow import Critic, Map, Reduce, Step, Vote
from tallynet.protocol.flow_rules import CheckedFlow

LETTER = 7.3
"""Width of a letter of the picture's font, in pixels."""
PADDING = 14.0
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
COLOURS = {
    None: ("#eef2f7", "#64748b"),
    StepState.WAITING: ("#f1f5f9", "#94a3b8"),
    StepState.RUNNING: ("#fef3c7", "#d97706"),
    StepState.DONE: ("#dcfce7", "#16a34a"),
    StepState.FAILED: ("#fee2e2", "#dc2626"),
}
"""Inside and border of a step, by its state; None where none is known."""
INPUT = ("#ffffff", "#94a3b8")


@dataclass(frozen=True, slots=True)
class Label:
    """What stands in a box."""

    title: str
    below: str
    state: StepState | None
    is_input: bool

    @property
    def width(self) -> float:
        return 2 * PADDING + LETTER * max(len(self.title), len(self.below))

    @property
    def colours(self) -> tuple[str, str]:
        return INPUT if self.is_input else COLOURS[self.state]


def draw_svg(checked: CheckedFlow, standing: Mapping[str, StepProgress] | None = None) -> str:
    """A whole SVG document."""
    labels, parents = _labels(checked, standing or {}), _parents(checked)
    layout = lay_out({name: label.width for name, label in labels.items()}, parents)
    size = (
        f'width="{layout.width:.0f}" height="{layout.height:.0f}" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}"'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family={quoteattr(FONT)} font-size="12">',
        f"<title>{escape(checked.flow.name)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 Z" fill="#64748b"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *map(_svg_line, layout.lines),
        *(_svg_box(box, labels[box.name]) for box in layout.boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def draw_mermaid(checked: CheckedFlow, standing: Mapping[str, StepProgress] | None = None) -> str:
    """A flowchart in Mermaid's language."""
    labels = _labels(checked, standing or {})
    lines = ["flowchart TD"]
    for name, label in labels.items():
        open_, close = ("([", "])") if label.is_input else ("[", "]")
        lines.append(f'    {name}_{open_}"{_mermaid(label.title)}<br/>{_mermaid(label.below)}"{close}')
    for name, parents in _parents(checked).items():
        lines += [f"    {parent}_ --> {name}_" for parent in parents]
    for name, label in labels.items():
        fill, border = label.colours
        lines.append(f"    style {name}_ fill:{fill},stroke:{border},color:#0f172a")
    return "\n".join(lines) + "\n"


def shape_of(step: Step) -> str:
    """What kind of step it is, in a few words: whose words, and how many answers."""
    task = [step.task.template] if step.task else []
    return ", ".join([*task, *_shape(step)]) or "one answer"


def _shape(step: Step) -> Iterator[str]:
    match step.shape:
        case Map(over, _, most):
            yield f"map over {over}, at most {most}"
        case Reduce(of, width):
            yield f"reduce {of} by {width}"
        case Vote(ballots, by):
            yield f"vote of {ballots} by {by}"
        case Critic(rounds=rounds):
            yield f"critic, {rounds} rounds" if rounds > 1 else "critic, 1 round"


def _labels(checked: CheckedFlow, standing: Mapping[str, StepProgress]) -> dict[str, Label]:
    """Inputs that are used first, then the steps."""
    labels = {name: Label(name, f"input, {kind}", None, True) for name, kind in checked.flow.inputs.items()}
    for name, known in checked.steps.items():
        progress = standing.get(name)
        title = name if progress is None else f"{name} · {progress.state} {_count(progress)}".rstrip()
        models = ", ".join(model if len(model) <= 24 else model[:10] + "…" for model in known.step.models)
        labels[name] = Label(title, f"{shape_of(known.step)} · {models}", progress.state if progress else None, False)
    return labels


def _count(progress: StepProgress) -> str:
    return f"{progress.done}/{progress.asked}" if progress.asked > 1 or progress.state is StepState.RUNNING else ""


def _parents(checked: CheckedFlow) -> dict[str, list[str]]:
    """What each step hangs from: inputs and steps, in the order of the definition."""
    order = [*checked.flow.inputs, *checked.steps]
    return {name: [one for one in order if one in known.names] for name, known in checked.steps.items()}


def _svg_box(box: Box, label: Label) -> str:
    fill, border = label.colours
    radius = box.height / 2 if label.is_input else 6
    middle = f'x="{box.middle:.1f}" text-anchor="middle"'
    return (
        f'<rect id={quoteattr(box.name)} x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius:g}" fill="{fill}" stroke="{border}" stroke-width="1.5"/>\n'
        f'<text {middle} y="{box.y + 19:.1f}" fill="#0f172a" font-weight="600">{escape(label.title)}</text>\n'
        f'<text {middle} y="{box.y + 36:.1f}" fill="#475569">{escape(label.below)}</text>'
    )


def _svg_line(line: Line) -> str:
    """Curves between layers, straight through those that it passes."""
    (x, y), *rest = line.points
    path = f"M{x:.1f} {y:.1f}"
    for at, (to_x, to_y) in enumerate(rest):
        half = (y + to_y) / 2
        curve = f" C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}"
        path += f" L{to_x:.1f} {to_y:.1f}" if at % 2 else curve
        x, y = to_x, to_y
    return f'<path d="{path}" fill="none" stroke="#64748b" stroke-width="1.3" marker-end="url(#tip)"/>'


def _mermaid(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#34;").replace("<", "#60;").replace(">", "#62;")
