"""Templates of flows: what they may hold, what they make, and that none of them can be made to grow or to hang."""

import pytest

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow_template import MAX_RENDERED, Value, read_template, render

VALUES: dict[str, Value | int] = {"name": "Ada", "parts": ("a", "b", "c"), "number": 2, "empty": ()}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}!", "Hello Ada!"),
        (
            "{% for part in parts %}{{ loop.index }}{{ part }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1a, 2b, 3c",
        ),
        ("{{ parts|join('-') }} {{ parts|length }} {{ parts|first }}{{ parts|last }}", "a-b-c 3 ac"),
        ("{% if name == 'Ada' and number > 1 %}yes{% else %}no{% endif %}", "yes"),
        ("{{ 'one' if number == 1 else 'more' }}", "more"),
        ("{{ empty|first|trim }}.{{ empty|join }}", "."),
        ("line\n{% if number %}\nin\n{% endif %}\nout\n", "line\nin\nout"),
        ("<b>{{ name }}</b> {# a remark #}", "<b>Ada</b> "),
        ("", ""),
    ],
    ids=range(9),
)
def test_a_template_is_filled_in(source: str, text: str) -> None:
    assert render(read_template(source), VALUES) == text


def test_the_names_of_a_template_are_known() -> None:
    template = read_template("{% for x in parts %}{{ x }} {{ name }}{% endfor %}{{ notes|length }}")

    assert template.names == {"parts", "name", "notes"}
    assert template.lists == {"parts", "notes"}


@pytest.mark.parametrize(
    "source",
    [
        "{{ name",
        "{% for x in parts %}",
        "{% set x = name %}",
        "{{ name ~ name }}",
        "{{ number * number }}",
        "{{ name.upper() }}",
        "{{ name.__class__ }}",
        "{{ ''['a'] }}",
        "{{ range(9) }}",
        "{{ name|upper }}",
        "{{ parts|join(d='x') }}",
        "{{ parts|first(1) }}",
        "{% include 'x' %}",
        "{% macro f() %}{% endmacro %}",
        "{% for x in parts %}{% for y in parts %}{% endfor %}{% endfor %}",
        "{% for x in parts recursive %}{% endfor %}",
        "{% for x, y in parts %}{% endfor %}",
        "{% for x in parts|sort %}{% endfor %}",
        "{% for x in parts %}{{ loop.cycle }}{% endfor %}",
        "{{ loop.index }}",
        "{{ name is defined }}",
        "{{ [name] }}",
        "{% raw %}{% endraw %}{{ x[0] }}",
        "{{ " + "not " * 70 + "name }}",
        "{{ " + "not " * 4000 + "name }}",
        "{{ name" + "|trim" * 3000 + " }}",
        "{% if name %}" * 150 + "{% endif %}" * 150,
    ],
    ids=lambda source: source[:24],
)
def test_what_is_not_part_of_the_language_is_refused(source: str) -> None:
    with pytest.raises(InvalidFlow, match="the template cannot be read"):
        read_template(source)


@pytest.mark.parametrize(
    "source", ["{{ parts }}", "{{ missing }}", "{{ name|join }}", "{{ name > number }}", "{{ 1 == 1 }}"]
)
def test_what_cannot_be_filled_in_is_refused(source: str) -> None:
    with pytest.raises(InvalidFlow, match="cannot be filled in"):
        render(read_template(source), VALUES)


def test_no_text_grows_beyond_its_bound() -> None:
    template = read_template("{% for x in parts %}{{ text }}{% endfor %}")

    with pytest.raises(InvalidFlow, match="more than"):
        render(template, {"parts": ("a",) * 64, "text": "x" * (MAX_RENDERED // 8)})


def test_filters_go_through_no_more_than_their_bound() -> None:
    template = read_template("{% for x in parts %}" + "{{ text|trim|trim|trim|first }}" * 2 + "{% endfor %}")
    joined = read_template("{% for x in parts %}{% if parts|join(text)|trim == text %}{% endif %}{% endfor %}")

    for one in (template, joined):
        with pytest.raises(InvalidFlow, match="cannot be filled in"):
            render(one, {"parts": ("a",) * 64, "text": "x" * 200_000})
