"""Commands that share options declare them once; nothing else about them changes."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from tallynet.console.option_group import takes

NameArgument = Annotated[str, typer.Argument(help="Whom to greet.")]
LoudOption = Annotated[bool, typer.Option("--loud", help="Shout.")]


@dataclass(frozen=True, slots=True)
class Manner:
    times: Annotated[int, typer.Option("--times", min=1, help="How often.")] = 1
    ending: Annotated[str, typer.Option("--ending", help="What comes last.")] = "."


@takes(Manner)
def greet(name: NameArgument, loud: LoudOption = False, *, options: Manner) -> None:
    """Greet somebody."""
    typer.echo(f"{'HELLO' if loud else 'Hello'} {name}{options.ending}" * options.times)


@takes(Manner, without=("times",))
def leave(name: NameArgument, *, options: Manner) -> None:
    """Say goodbye."""
    typer.echo(f"Bye {name}{options.ending}" * options.times)


app = typer.Typer()
app.command()(greet)
app.command()(leave)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80", "TERM": "dumb"})


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("greet Ada", "Hello Ada.\n"),
        ("greet Ada --times 2 --ending ! --loud", "HELLO Ada!HELLO Ada!\n"),
        ("leave Ada", "Bye Ada.\n"),
        ("leave --ending ? Ada", "Bye Ada?\n"),
    ],
)
def test_own_and_shared_options_reach_the_command(arguments: str, said: str) -> None:
    assert run(*arguments.split()).output == said


def test_help_shows_them_in_the_order_of_their_declaration() -> None:
    shown = run("greet", "--help").output
    places = [shown.index(word) for word in ("Greet somebody", "Whom to greet", "--loud", "--times", "--ending")]

    assert places == sorted(places)


def test_an_option_that_is_left_out_is_not_offered() -> None:
    assert "--times" not in run("leave", "--help").output
    assert run("leave", "Ada", "--times", "2").exit_code == 2


def test_bounds_of_a_shared_option_hold() -> None:
    assert run("greet", "Ada", "--times", "0").exit_code == 2


def test_a_group_that_does_not_fit_is_a_bug() -> None:
    @dataclass(frozen=True, slots=True)
    class Needy:
        place: Annotated[str, typer.Option("--place")]

    def bare(name: NameArgument) -> None: ...

    with pytest.raises(TypeError, match="Manner has no volume"):
        takes(Manner, without=("volume",))
    with pytest.raises(TypeError, match="Needy has no default for place"):
        takes(Needy)
    with pytest.raises(TypeError, match="bare has no parameter `options`"):
        takes(Manner)(bare)
