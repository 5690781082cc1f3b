"""Pictures of flows: every box in its place, every line at its ends, and valid documents whatever the names are."""

from itertools import combinations
from xml.etree import ElementTree

import pytest

from tallynet.client.flow.layers import Layout, lay_out
from tallynet.client.flow.picture import COLOURS, draw_mermaid, draw_svg
from tallynet.client.flow.progress import StepProgress, StepState
from tallynet.protocol.flow import Flow, Step
from tallynet.protocol.flow_rules import check_flow
from tests.protocol.flows import capitals, everything

SVG = "{http://www.w3.org/2000/svg}"


def wide() -> Flow:
    """Sixty-four steps, each on some of those before it."""
    steps: dict[str, Step] = {}
    for at in range(64):
        names = sorted({f"s{at // 2}", f"s{at // 3}", f"s{max(at - 5, 0)}"} & steps.keys())
        steps[f"s{at}"] = Step("a-model-with-a-long-name", " ".join("{{ " + name + " }}" for name in names) or "?")
    return Flow("wide", steps)


def layout_of(flow: Flow) -> Layout:
    checked = check_flow(flow)
    parents = {name: checked.parents(name) for name in checked.steps}
    return lay_out({name: 60.0 + 7 * (len(name) % 9) for name in checked.steps}, parents)


@pytest.mark.parametrize("flow", [capitals(), everything(), wide()], ids=["capitals", "everything", "wide"])
def test_no_two_boxes_overlap_and_all_are_inside(flow: Flow) -> None:
    layout = layout_of(flow)

    for one, other in combinations(layout.boxes, 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    for box in layout.boxes:
        assert box.x >= 0 and box.x + box.width <= layout.width and box.y + box.height <= layout.height


@pytest.mark.parametrize("flow", [capitals(), everything(), wide()], ids=["capitals", "everything", "wide"])
def test_lines_go_down_from_box_to_box_and_through_none(flow: Flow) -> None:
    layout = layout_of(flow)
    boxes = {box.name: box for box in layout.boxes}

    for line in layout.lines:
        heights = [y for _, y in line.points]
        assert heights == sorted(heights)
        assert line.points[0][0] == boxes[line.source].middle
        target = boxes[line.target]
        assert target.x < line.points[-1][0] < target.x + target.width and line.points[-1][1] == target.y
        for x, y in line.points[1:-1]:
            assert not any(box.x < x < box.x + box.width and box.y <= y <= box.y + box.height for box in layout.boxes)


def test_lines_reach_a_box_side_by_side_and_do_not_cross_there() -> None:
    ends: dict[str, list[tuple[float, float]]] = {}
    for line in layout_of(wide()).lines:
        ends.setdefault(line.target, []).append((line.points[-2][0], line.points[-1][0]))

    assert max(map(len, ends.values())) == 3
    for known in ends.values():
        reached = [end for _, end in sorted(known)]
        assert len({*reached}) == len(reached)
        assert reached == sorted(reached)


@pytest.mark.parametrize("flow", [capitals(), everything()], ids=["capitals", "everything"])
def test_the_svg_is_a_document_with_every_step(flow: Flow) -> None:
    root = ElementTree.fromstring(draw_svg(check_flow(flow)))

    assert root.tag == f"{SVG}svg"
    assert {box.get("id") for box in root.iter(f"{SVG}rect")} >= {*flow.steps, *flow.inputs}
    assert len([line for line in root.iter(f"{SVG}path") if line.get("marker-end")]) == sum(
        len(known.names) for known in check_flow(flow).steps.values()
    )


def test_words_cannot_leave_their_place() -> None:
    flow = Flow("x", {"a": Step('<script>"&', "Hello")})

    texts = [text.text for text in ElementTree.fromstring(draw_svg(check_flow(flow))).iter(f"{SVG}text")]
    assert '<script>"&' in str(texts)
    assert "#60;script#62;#34;&" in draw_mermaid(check_flow(flow))


def test_the_state_of_a_step_is_seen() -> None:
    standing = {
        "capital": StepProgress("capital", StepState.DONE, 1, 1),
        "river": StepProgress("river", StepState.RUNNING, 0, 1),
    }
    svg, mermaid = draw_svg(check_flow(capitals()), standing), draw_mermaid(check_flow(capitals()), standing)

    assert "capital · done" in svg and "river · running 0/1" in svg
    assert COLOURS[StepState.DONE][1] in svg and COLOURS[StepState.RUNNING][1] in mermaid


def test_mermaid_has_every_step_and_edge() -> None:
    lines = draw_mermaid(check_flow(capitals())).splitlines()

    assert lines[0] == "flowchart TD"
    assert "    capital_ --> french_" in lines
    assert '    country_(["country<br/>input, text"])' in lines
