"""The tree of errors: every kind has a name of its own and says what to do next."""

import inspect

import pytest

from tallynet.protocol import errors
from tallynet.protocol.errors import Invalid, InvalidJob, TallyError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TallyError)]


def test_the_code_of_every_kind_is_its_own() -> None:
    for kind in KINDS:
        assert "code" in vars(kind), f"{kind.__name__} has the code of its parent"
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_to_do_next_in_a_sentence(kind: type[TallyError]) -> None:
    assert kind.remedy_default[0].isupper()
    assert kind.remedy_default.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stands_in_the_drawing_and_the_other_way_round(kind: type[TallyError]) -> None:
    assert errors.__doc__ is not None
    drawn = [line.strip(" │├└─") for line in errors.__doc__.splitlines() if line.startswith("    ")]
    names = {line.split()[0]: line for line in drawn if line}

    assert kind.__name__ in names
    assert set(names) == {kind.__name__ for kind in KINDS}


def test_an_invalid_thing_names_its_check_first() -> None:
    assert str(InvalidJob("the deadline has passed", check=2)) == "(2) the deadline has passed"
    assert str(InvalidJob("the deadline has passed")) == "the deadline has passed"


def test_an_error_keeps_its_evidence_and_its_own_remedy() -> None:
    error = InvalidJob("no", check=1, evidence={"signature": b"x"}, remedy="Sign it.")

    assert isinstance(error, Invalid)
    assert error.evidence == {"signature": b"x"}
    assert error.remedy == "Sign it."
