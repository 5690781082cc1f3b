"""(7) The templates of a flow: a small part of Jinja2, the same text on every machine, and bounded in time and size.

Read and filled in here, and nowhere else is Jinja2 imported for them. Allowed are `{{ name }}`, `{% if %}`,
`{% for one in names %}`, comparisons, the filters of `FILTERS` and, inside a loop, `loop.index`, `loop.first` and
`loop.last`. A definition may come from anybody: whoever checks a flow file fills in its templates, so there is no
assignment, no arithmetic, no call, no loop in a loop, and nothing that could grow a text beyond `MAX_RENDERED`.
Source: spec chapter 7, "Templates".
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import StrictUndefined, TemplateError, TemplateRuntimeError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.protocol.units import printable

MAX_RENDERED = MAX_REQUEST_BYTES // 2
"""Most bytes of a text that a template makes."""
MAX_EXPRESSION_TOKENS = 64
"""Between two braces. With the next it bounds how deep a template nests, on machines with any limit of recursion."""
MAX_NESTED = 16
"""`if` and `for` inside each other."""
MAX_WORK = 16 * MAX_REQUEST_BYTES
"""Most characters that all filters of one template may go through."""
MAX_DEPTH = 64
"""Of expressions and blocks within each other."""
WHITE = " \t\n\r\f\v"
"""White space, as all rules of a flow mean it."""

Value = str | tuple[str, ...]
"""What a name stands for: a text, or a list of texts."""

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.For, nodes.If,
    nodes.Compare, nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.CondExpr, nodes.Getattr,
)  # fmt: skip
_LOOP = ("index", "first", "last")


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read."""

    source: str
    names: frozenset[str]
    """What it takes from outside."""
    lists: frozenset[str]
    """Those of them that it uses as lists."""


def read_template(source: str) -> Template:
    """Raises `InvalidFlow` for what is no template of this language."""
    try:
        _check_depth(source)
        tree = _environment([0]).parse(source)
        lists = frozenset(_check(tree, loop=None, depth=0))
        names = frozenset(meta.find_undeclared_variables(tree))
        _environment([0]).from_string(source)
    except (TemplateError, RecursionError, SyntaxError) as error:
        raise InvalidFlow(
            f"the template cannot be read: {printable(str(error)) or type(error).__name__}",
            remedy="Correct the template; chapter 7 lists what one may hold.",
        ) from error
    return Template(source, names, lists & names)


def render(template: Template, values: Mapping[str, Value | int]) -> str:
    """The text, with `values` for all names. Raises `InvalidFlow` when it would be too large."""
    return render_each((template,), values)[0]


def render_each(templates: Iterable[Template], values: Mapping[str, Value | int]) -> list[str]:
    """The text of each; all together keep within the bounds of one."""
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    environment, texts, size = _environment([MAX_WORK]), [], 0
    try:
        for template in templates:
            parts = []
            for part in environment.from_string(template.source).generate(given):
                parts.append(part)
                size += len(part.encode())
                if size > MAX_RENDERED:
                    raise TemplateRuntimeError(f"its text would have more than {MAX_RENDERED} bytes")
            texts.append("".join(parts))
    except (TemplateError, TypeError, UnicodeEncodeError) as error:
        raise InvalidFlow(f"the template cannot be filled in: {printable(str(error))}") from error
    return texts


# --- the language ----------------------------------------------------------------------------------------


def _check_depth(source: str) -> None:
    """Raises `TemplateRuntimeError` before anything is parsed, which takes as many calls as the text nests."""
    nested = length = 0
    for line, kind, word in _environment([0]).lex(source):
        length = 0 if kind.endswith(("_begin", "_end", "data")) else length + (kind != "whitespace")
        nested += word in ("if", "for") and kind == "name" and length == 1
        nested -= word in ("endif", "endfor")
        if length > MAX_EXPRESSION_TOKENS or nested > MAX_NESTED:
            raise TemplateRuntimeError(
                f"line {line}: an expression has at most {MAX_EXPRESSION_TOKENS} parts, and blocks are at most "
                f"{MAX_NESTED} deep"
            )


def _check(node: nodes.Node, loop: str | None, depth: int) -> Iterator[str]:
    """Every name that is used as a list, in and under `node`. Raises `TemplateRuntimeError` for what is not allowed.

    `loop` is the variable of the loop around it, `depth` how much is around it.
    """
    if depth > MAX_DEPTH:
        raise TemplateRuntimeError(f"line {node.lineno}: it is nested more than {MAX_DEPTH} deep")
    if not isinstance(node, _NODES):
        raise TemplateRuntimeError(f"line {node.lineno}: {type(node).__name__} is not part of the language")
    if isinstance(node, nodes.Getattr):
        _check_loop(node, loop)
        return
    if isinstance(node, nodes.Name) and node.name == "loop":
        raise TemplateRuntimeError(f"line {node.lineno}: of `loop` only {', '.join(_LOOP)} can be used")
    if isinstance(node, nodes.Filter):
        yield from _check_filter(node)
    if isinstance(node, nodes.For):
        yield _check_for(node, loop)
        loop = _target(node)
    for child in node.iter_child_nodes():
        yield from _check(child, loop, depth + 1)


def _check_loop(node: nodes.Getattr, loop: str | None) -> None:
    known = isinstance(node.node, nodes.Name) and node.node.name == "loop" and node.attr in _LOOP
    if loop is None or not known:
        raise TemplateRuntimeError(f"line {node.lineno}: `.{node.attr}` is not part of the language")


def _check_filter(node: nodes.Filter) -> Iterator[str]:
    if node.name not in FILTERS or node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
        raise TemplateRuntimeError(f"line {node.lineno}: the filters are {', '.join(FILTERS)}, without named arguments")
    if len(node.args) > (node.name == "join"):
        raise TemplateRuntimeError(f"line {node.lineno}: {node.name} takes fewer arguments")
    if FILTERS[node.name].of_list and isinstance(node.node, nodes.Name):
        yield node.node.name


def _check_for(node: nodes.For, loop: str | None) -> str:
    if loop is not None or node.recursive or node.test is not None:
        raise TemplateRuntimeError(f"line {node.lineno}: a loop is plain, and in no other loop")
    if not isinstance(node.iter, nodes.Name) or not isinstance(node.target, nodes.Name):
        raise TemplateRuntimeError(f"line {node.lineno}: a loop goes over a list by its name, with one variable")
    return node.iter.name


def _target(node: nodes.For) -> str | None:
    return node.target.name if isinstance(node.target, nodes.Name) else None


# --- filters ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    apply: Callable[..., str | int]
    of_list: bool
    """Whether it takes a list; otherwise a text."""


def _join(texts: list[str], between: str = "") -> str:
    return between.join(texts)


def _first(texts: list[str]) -> str:
    return texts[0] if texts else ""


def _last(texts: list[str]) -> str:
    return texts[-1] if texts else ""


def strip(text: str) -> str:
    """Without the white space around it."""
    return text.strip(WHITE)


FILTERS: Mapping[str, Filter] = {
    "join": Filter(_join, True),
    "length": Filter(len, True),
    "first": Filter(_first, True),
    "last": Filter(_last, True),
    "trim": Filter(strip, False),
}


def _environment(work: list[int]) -> ImmutableSandboxedEnvironment:
    """`work` holds how many characters its filters may still go through."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalize, cache_size=0,
        optimized=False,
    )  # fmt: skip
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update({name: _bounded(name, known, work) for name, known in FILTERS.items()})
    return environment


def _bounded(name: str, known: Filter, work: list[int]) -> Callable[..., str | int]:
    def apply(value: object, *arguments: object) -> str | int:
        if not isinstance(value, list if known.of_list else str) or not all(isinstance(one, str) for one in arguments):
            raise TemplateRuntimeError(f"{name} is for a {'list' if known.of_list else 'text'}")
        work[0] -= _size(value) + sum(map(_size, arguments)) * (len(value) if isinstance(value, list) else 1)
        if work[0] < 0:
            raise TemplateRuntimeError("its filters go through too much text")
        return known.apply(value, *arguments)

    return apply


def _size(value: object) -> int:
    texts: Collection[object] = value if isinstance(value, list) else (value,)
    return sum(len(text) for text in texts if isinstance(text, str))


def _finalize(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TemplateRuntimeError("only a text or a number can be put into a text; join a list")
    return value
