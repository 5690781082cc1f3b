"""Options that several commands share, declared once: a frozen dataclass whose fields are typer's options.

    @takes(TaskOptions, without=("temperature",))
    def answer(question: QuestionArgument, *, options: TaskOptions) -> None: ...

Typer reads the options of a command from its signature. Here it reads, in the place of `options`, the fields of the
dataclass, in their order, so that `--help` shows them between those of the command's own.
"""

from collections.abc import Callable, Collection
from dataclasses import MISSING, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints

Command = Callable[..., None]


def takes(group: type[object], *, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of `group`, and hand them on as its parameter `options`.

    Those in `without` are not offered and keep their defaults. Raises TypeError for a command without that parameter,
    for a field without a default and for a name in `without` that is no field.
    """
    offered = _parameters(group, without)

    def spread(run: Command) -> Command:
        own = signature(run, eval_str=True)
        if "options" not in own.parameters:
            raise TypeError(f"{run.__name__} has no parameter `options`")

        @wraps(run)
        def command(**given: Any) -> None:
            options = group(**{parameter.name: given.pop(parameter.name) for parameter in offered})
            run(**given, options=options)

        parameters = [
            shown.replace(kind=Parameter.KEYWORD_ONLY)
            for parameter in own.parameters.values()
            for shown in (offered if parameter.name == "options" else [parameter])
        ]
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # PEP 362, not typed
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return spread


def _parameters(group: type[Any], without: Collection[str]) -> list[Parameter]:
    declared, hints = fields(group), get_type_hints(group, include_extras=True)
    if unknown := set(without) - {field.name for field in declared}:
        raise TypeError(f"{group.__name__} has no {', '.join(sorted(unknown))}")
    if needed := [field.name for field in declared if field.default is MISSING]:
        raise TypeError(f"{group.__name__} has no default for {', '.join(needed)}")
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in declared
        if field.name not in without
    ]
