"""Templates: what a file may say, which form a model gets, and that what is released never changes."""

import hashlib
from pathlib import Path

import pytest

from tallynet.client.tasks import find_template, list_templates, read_template
from tallynet.protocol.errors import Misconfigured
from tallynet.templates.languages import NAMES
from tallynet.templates.shelf import SHIPPED
from tallynet.templates.template import MAX_TEMPLATE_BYTES

VALID = """
name = "greet"
version = 3
about = "Greets."
inputs = {name = "whom", tone = "how"}
defaults = {tone = "kind"}

[[forms]]
models = ["raw-*"]
text = "Greet {{ name }}:"

[[forms]]
system = "Be {{ tone }}."
user = "Greet {{ name }}."

[[forms]]
text = "A {{ tone }} greeting for {{ name }}:"
"""

RELEASED = {
    "answer@1": "386a272f539b5dc02e5e4bdc0e9480aedd7967f79b372223033bcd67ccb8f51c",
    "classify@1": "3ad39b341e9a8be0925fb0c7e92ac39e5316fdfc9c0cd1b799edef1b609d4ee2",
    "code@1": "3e3c328e3092c01a136915c5eba28a317b614c7573798e62e76cf808a123cfe4",
    "dialogue@1": "2e6fd86e25311bda624e48102d601600cffd78539c897777af98658045ca6b99",
    "extract@1": "62c52fef819fd0380a0bd050926772816039834dae064ed49f7aded1b2c9667b",
    "summarise@1": "cbb37eb19ce588dcd3e9813a184a490ac29a6a68d5cd5fa3c49e5d0990d4d6f6",
    "translate@1": "5c1b6a077c811458f592d7bc82b0844151fa792a55b43ac22c2cdc4254956417",
}
"""What has been released: its digest stands in requests. Add a version, never change one."""


def test_a_template_is_read_with_the_digest_of_its_file() -> None:
    template = read_template(VALID.encode(), "greet")

    assert (template.label, template.about, template.max_tokens, template.reads) == ("greet@3", "Greets.", 512, "text")
    assert template.digest == hashlib.sha256(VALID.encode()).digest()


def test_the_forms_in_the_order_of_trying() -> None:
    template = read_template(VALID.encode(), "greet")

    assert [form.text for form in template.forms_for("RAW-1B")] == ["Greet {{ name }}:"]
    assert [bool(form.user) for form in template.forms_for("tally-tiny")] == [True, False]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (VALID.replace("version = 3", "version = 0"), "version"),
        (VALID.replace('"greet"', '"../greet"'), "name"),
        (VALID.replace("version", "versions"), "versions"),
        (VALID + 'user = "x"', "either `user`"),
        (VALID + 'system = "x"', "either `user`"),
        (VALID + "examples = [{name = 'A'}]", "no `answer`"),
        (VALID + "examples = [{answer = 'A'}]\ntakes_examples = false", "takes no examples"),
        (VALID.replace("tone = \"kind\"", "mood = \"kind\""), "defaults of no inputs: mood"),
        (VALID.replace('about =', 'reads = "label"\nabout ='), "no input 'labels'"),
        (VALID.replace('about =', 'reads = "json"\nabout ='), "no input 'schema'"),
        (VALID.replace('about =', 'reads = "poem"\nabout ='), "reads"),
        ("name = [", "not valid"),
        ("", "name"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_refused_with_its_name(changed: str, reason: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_template(changed.encode(), "my/greet-3.toml")

    assert reason in refusal.value.message
    assert "my/greet-3.toml" in refusal.value.message


@pytest.mark.parametrize("data", [b"#" * (MAX_TEMPLATE_BYTES + 1), b'name = "\xff"'])
def test_a_file_that_is_too_large_or_no_text(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        read_template(data, "greet")


def test_a_model_without_any_form_is_named() -> None:
    only = VALID[: VALID.rindex("[[forms]]\nsystem")]
    with pytest.raises(Misconfigured, match="no form for the model 'tally-tiny'"):
        read_template(only.encode(), "greet").forms_for("tally-tiny")


# Shelf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for version in (3, 12):
        text = VALID.replace("version = 3", f"version = {version}")
        (tmp_path / f"greet-{version}.toml").write_text(text)
    (tmp_path / "notes.txt").write_text("no template")
    (tmp_path / "README.toml").write_text("no template either")
    return tmp_path


def test_the_highest_version_is_taken_unless_one_is_named(folder: Path) -> None:
    assert find_template("greet", folder).version == 12
    assert find_template("greet@3", folder).version == 3


def test_a_template_of_ones_own_comes_first(folder: Path) -> None:
    own = VALID.replace('"greet"', '"translate"')
    (folder / "translate-3.toml").write_text(own)

    assert find_template("translate", folder).about == "Greets."
    assert find_template("translate@1", folder) == find_template("translate")
    assert [template.label for template in list_templates(folder)].count("translate@3") == 1


@pytest.mark.parametrize("wanted", ["greed", "greet@4", "greet@x", "greet@²", "", "../greet", "greet-3"])
def test_what_is_not_there_is_said_with_what_is(wanted: str, folder: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        find_template(wanted, folder)

    assert "translate@1" in refusal.value.remedy and "greet@12" in refusal.value.remedy


def test_a_file_whose_name_is_not_what_it_says(folder: Path) -> None:
    (folder / "greet-13.toml").write_text(VALID)
    with pytest.raises(Misconfigured, match="says that it is greet@3"):
        find_template("greet", folder)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        find_template("translate", Path("missing"))


def test_what_is_released_never_changes() -> None:
    shipped = [find_template(path.stem.replace("-", "@")) for path in SHIPPED.glob("*.toml")]

    assert {template.label: template.digest.hex() for template in shipped} == RELEASED


def test_every_shipped_template_has_a_form_for_every_model() -> None:
    for template in list_templates():
        for model in ("tally-tiny", "Qwen3-8B", "opus-mt-en-fr", "t5-small"):
            forms = template.forms_for(model)
            assert forms and forms[-1].text or model == "tally-tiny", (template.label, model)
            assert all(template.inputs.values())


def test_the_names_of_languages_never_change() -> None:
    """All codes of ISO 639-1 with their names: words of steps are compared with what was made of them."""
    table = "\n".join(f"{code} {name}" for code, name in sorted(NAMES.items()))

    assert len(NAMES) == 183
    assert (
        hashlib.sha256(table.encode()).hexdigest() == "edb30f2d77fbd6a8ef1f185ad33a15eed12c35c5921d6441db26da3a529a6c86"
    )
