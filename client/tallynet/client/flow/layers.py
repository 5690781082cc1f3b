"""Where the boxes of a flow's picture stand: each below all that it builds on, lines bent around the others.

A layered layout in the manner of Sugiyama, small: layers by the longest way from the top, points of a line in every
layer that it crosses, boxes ordered by the middle of what they hang from, and centred. Lengths are pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

BOX_HEIGHT = 46.0
GAP_X = 28.0
GAP_Y = 54.0
MARGIN = 20.0
BEND_WIDTH = 12.0
"""Room that a line takes in a layer that it crosses."""
ARRIVAL_GAP = 20.0
"""Between two lines where they reach a box."""
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    x: float
    """Left."""
    y: float
    """Top."""
    width: float
    height: float = BOX_HEIGHT

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Line:
    """From the bottom of one box to the top of another."""

    source: str
    target: str
    points: tuple[tuple[float, float], ...]
    """At least two; those between are where it passes a layer, first its top and then its bottom."""


@dataclass(frozen=True, slots=True)
class Layout:
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


Slot = tuple[str, str, int]
"""A box `(name, "", 0)`, or the point of a line in a layer, `(source, target, layer)`."""


def lay_out(widths: Mapping[str, float], parents: Mapping[str, Sequence[str]]) -> Layout:
    """`widths` names every box, each after those that it builds on; `parents` what each builds on."""
    layer: dict[str, int] = {}
    for name in widths:
        layer[name] = 1 + max((layer[parent] for parent in parents.get(name, ())), default=-1)
    rows = _ordered(_rows(layer, parents), _links(layer, parents))
    places = _places(rows, widths)
    boxes = tuple(places[name, "", 0] for name in widths)
    lines = tuple(line for name in widths for line in _arriving(name, parents.get(name, ()), layer, places))
    width = max(box.x + box.width for box in places.values()) + MARGIN
    return Layout(boxes, lines, width, max(box.y + box.height for box in boxes) + MARGIN)


def _rows(layer: Mapping[str, int], parents: Mapping[str, Sequence[str]]) -> list[list[Slot]]:
    rows: list[list[Slot]] = [[] for _ in range(1 + max(layer.values()))]
    for name, at in layer.items():
        rows[at].append((name, "", 0))
        for parent in parents.get(name, ()):
            for between in range(layer[parent] + 1, at):
                rows[between].append((parent, name, between))
    return rows


def _links(layer: Mapping[str, int], parents: Mapping[str, Sequence[str]]) -> dict[Slot, list[Slot]]:
    """For each slot those of the layer above that it hangs from."""
    links: dict[Slot, list[Slot]] = {}
    for name, at in layer.items():
        for parent in parents.get(name, ()):
            above: Slot = (parent, "", 0)
            for between in range(layer[parent] + 1, at):
                links.setdefault((parent, name, between), []).append(above)
                above = (parent, name, between)
            links.setdefault((name, "", 0), []).append(above)
    return links


def _ordered(rows: list[list[Slot]], links: Mapping[Slot, Sequence[Slot]]) -> list[list[Slot]]:
    """Each row by the mean place of its neighbours, downwards and upwards in turn."""
    below: dict[Slot, list[Slot]] = {}
    for slot, above in links.items():
        for one in above:
            below.setdefault(one, []).append(slot)
    for turn in range(ROUNDS):
        neighbours = links if turn % 2 == 0 else below
        for row in rows if turn % 2 == 0 else rows[::-1]:
            place = {slot: at for other in rows for at, slot in enumerate(other)}
            row.sort(key=lambda slot: _mean([place[one] for one in neighbours.get(slot, ())], place[slot]))
    return rows


def _mean(places: Sequence[int], own: int) -> float:
    return sum(places) / len(places) if places else float(own)


def _places(rows: Sequence[Sequence[Slot]], widths: Mapping[str, float]) -> dict[Slot, Box]:
    def width(slot: Slot) -> float:
        return BEND_WIDTH if slot[1] else widths[slot[0]]

    total = [sum(map(width, row)) + GAP_X * (len(row) - 1) for row in rows]
    places = {}
    for at, row in enumerate(rows):
        x = MARGIN + (max(total) - total[at]) / 2
        for slot in row:
            places[slot] = Box(slot[0], x, MARGIN + at * (BOX_HEIGHT + GAP_Y), width(slot))
            x += width(slot) + GAP_X
    return places


def _arriving(name: str, sources: Sequence[str], layer: Mapping[str, int], places: Mapping[Slot, Box]) -> list[Line]:
    """The lines to a box, in the order of `sources`: side by side at its top, without crossing there."""
    lines = [_line(source, name, layer, places) for source in sources]
    step = min(ARRIVAL_GAP, places[name, "", 0].width / (len(lines) + 1))
    order = sorted(range(len(lines)), key=lambda at: lines[at].points[-2][0])
    for place, at in enumerate(order):
        *before, (x, y) = lines[at].points
        lines[at] = replace(lines[at], points=(*before, (x + step * (place - (len(lines) - 1) / 2), y)))
    return lines


def _line(source: str, target: str, layer: Mapping[str, int], places: Mapping[Slot, Box]) -> Line:
    first, last = places[source, "", 0], places[target, "", 0]
    points = [(first.middle, first.y + first.height)]
    for between in range(layer[source] + 1, layer[target]):
        bend = places[source, target, between]
        points += [(bend.middle, bend.y), (bend.middle, bend.y + bend.height)]
    return Line(source, target, (*points, (last.middle, last.y)))
