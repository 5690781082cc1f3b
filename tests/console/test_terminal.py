"""How commands speak: results on stdout, remarks on stderr, errors in two sentences, exit codes."""

import json

import pytest
import typer

from tallynet.console.terminal import command
from tallynet.protocol.errors import (
    Busy,
    ChainUnreachable,
    InvalidReceipt,
    Misconfigured,
    Pending,
    Refused,
    TallyError,
)


def run_into(error: BaseException, *, as_json: bool = False, debug: bool = False) -> int:
    with pytest.raises(typer.Exit) as end, command(as_json=as_json, debug=debug):
        raise error
    return end.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidReceipt("the receipt is bad"), 1),
        (Refused("no"), 1),
        (ChainUnreachable("gone"), 1),
        (Busy("later", retry_after_ms=5), 1),
        (Misconfigured("a setting is wrong"), 2),
        (Pending("not anchored", retry_after_ms=5), 3),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert run_into(error) == code


def test_an_error_is_what_happened_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    run_into(Misconfigured("The file [red]D[/] is missing.", remedy="Make one."))

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: The file [red]D[/] is missing.\nMake one.\n"


def test_the_last_line_of_stdout_is_one_object_also_on_failure(capsys: pytest.CaptureFixture[str]) -> None:
    run_into(InvalidReceipt("the receipt is bad", check=3, remedy="Keep it."), as_json=True)

    (line,) = capsys.readouterr().out.splitlines()
    error = {"code": "invalid-receipt", "message": "(3) the receipt is bad", "remedy": "Keep it."}
    assert json.loads(line) == {"error": error}


def test_json_moves_everything_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with command(as_json=True) as terminal:
        terminal.out.print("a table")
        terminal.notes.print("a remark")
        terminal.result({"answer": "ü"})

    out, err = capsys.readouterr()
    assert out == '{"answer": "ü"}\n'
    assert err == "a table\na remark\n"


def test_without_json_there_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    with command() as terminal:
        terminal.out.print("a table")
        terminal.result({"answer": 42})

    assert capsys.readouterr().out == "a table\n"


def test_an_error_inside_nested_groups_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    inner: ExceptionGroup[TallyError] = ExceptionGroup("inner", [ChainUnreachable("The chain is gone.")])

    assert run_into(ExceptionGroup("outer", [inner])) == 1
    assert "The chain is gone." in capsys.readouterr().err


def test_a_traceback_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    run_into(Refused("no"))
    assert "Traceback" not in capsys.readouterr().err

    run_into(Refused("no"), debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), command():
        raise ZeroDivisionError


def test_a_command_chooses_its_own_exit_code() -> None:
    with pytest.raises(typer.Exit) as end, command():
        raise typer.Exit(3)

    assert end.value.exit_code == 3
