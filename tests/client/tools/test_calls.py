"""Answers come apart into text and calls, whole or in pieces."""

import pytest

from tallynet.client.tools.calls import Call, CallReader, take_apart

NAMES = frozenset({"weather", "time"})
WEATHER, TIME = Call("weather", '{"city":"Tokyo"}'), Call("time", "{}")
BOTH = [WEATHER, TIME]
HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Tokyo"}}\n</tool_call>'
HERMES_TIME = '<tool_call>{"name": "time", "arguments": {}}</tool_call>'


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        ("It is warm.", "It is warm.", []),
        (HERMES, "", [WEATHER]),
        (f"\n{HERMES}\n{HERMES_TIME}\n", "", BOTH),
        (f"Let me look. {HERMES}", "Let me look. ", [WEATHER]),
        ('{"name": "weather", "parameters": {"city": "Tokyo"}}', "", [WEATHER]),
        ('[{"name": "weather", "arguments": {"city": "Tokyo"}}, {"name": "time", "arguments": {}}]', "", BOTH),
        ('{"name": "rain", "parameters": {}}', '{"name": "rain", "parameters": {}}', []),
        ('{"name": "time"}', '{"name": "time"}', []),
        ('{"name": "time", "parameters"', '{"name": "time", "parameters"', []),
        ("<tool_call>{nothing}</tool_call> so", "<tool_call>{nothing}</tool_call> so", []),
        (f"a <tool {HERMES_TIME} <tool_call>", "a <tool <tool_call>", [TIME]),
        ("1 < 2 and <too", "1 < 2 and <too", []),
        (" [1, 2] is a list", " [1, 2] is a list", []),
        ("", "", []),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answer_comes_apart_into_text_and_calls_however_it_is_cut(
    answer: str, text: str, calls: list[Call], size: int
) -> None:
    reader = CallReader(NAMES)
    parts = [reader.feed(answer[at : at + size]) for at in range(0, len(answer), size)] + [reader.finish()]

    assert "".join(shown for shown, _ in parts) == text
    assert [call for _, some in parts for call in some] == reader.found == calls


def test_text_is_shown_as_soon_as_it_can_be_no_call() -> None:
    reader = CallReader(NAMES)

    assert reader.feed("It is <b>warm</b>.")[0] == "It is <b>warm</b>."
    assert reader.feed(" <tool")[0] == " "
    assert reader.feed("box>")[0] == "<toolbox>"


def test_without_tools_everything_is_text() -> None:
    assert take_apart(HERMES, frozenset()) == (HERMES, ())
