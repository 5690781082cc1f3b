"""How a node is set up: every setting is checked once, by name."""

from pathlib import Path
from typing import Any

import pytest

from tallynet.node.config import MAX_PROMISE_SECONDS, NodeConfig
from tallynet.node.model_config import MAX_MODELS
from tallynet.protocol.advert import MAX_ADDRESSES, Advert, sign_advert
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.receipt import MAX_LOG_SIZE
from tallynet.protocol.units import Milliseconds, ModelId
from tallynet.protocol.wire import Adverts, encode_frame
from tests.node.examples import DOMAIN, NODE, START, valid_config, valid_offer

VALID = 'keystore = "key.json"\ndata = "data"\nnetwork = "network.json"\n'


def read(folder: Path, text: str, **environment: str) -> NodeConfig:
    path = folder / "node.toml"
    path.write_text(text)
    return NodeConfig.read(path, environment)


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    config = read(tmp_path, VALID)

    assert config.model == "fake"
    assert config.queue == 64
    assert config.password == ""


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, VALID)

    assert (config.keystore, config.data) == (tmp_path / "key.json", tmp_path / "data")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = read(tmp_path, VALID.replace('"data"', '"/var/lib/node"'))

    assert config.data == Path("/var/lib/node")


def test_a_model_directory_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)

    config = read(tmp_path, VALID + 'model = "models/tiny"\n')

    assert config.model == str(tmp_path / "models" / "tiny")


def test_a_model_that_is_no_directory_is_a_hub_id(tmp_path: Path) -> None:
    assert read(tmp_path, VALID + 'model = "org/name"\n').model == "org/name"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slots", 0),
        ("slots", 1025),
        ("queue", -1),
        ("queue", 100_001),
        ("max_tokens", 0),
        ("max_tokens", 8193),
        ("max_deadline_seconds", 0.5),
        ("max_deadline_seconds", float("inf")),
        ("prompt_price_wei", -1),
        ("prompt_price_wei", 2**53),
        ("completion_price_wei", -1),
        ("completion_price_wei", 2**53),
        ("anchor_seconds", 0.0),
        ("anchor_seconds", float("nan")),
        ("anchor_count", 0),
        ("advert_seconds", 0.1),
        ("advert_seconds", 121.0),
        ("keep_answers_seconds", -1),
        ("keep_openings_seconds", 86_399),
        ("abandon_seconds", -0.1),
        ("drain_seconds", 3601.0),
    ],
)
def test_out_of_bounds(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(Misconfigured, match=f"^{name} is .*, not within"):
        valid_config(tmp_path, **{name: value})


def test_a_promise_that_leaves_no_time_to_anchor(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="promise_seconds is 599, less than twice anchor_seconds"):
        valid_config(tmp_path, promise_seconds=599, anchor_seconds=300.0)


def test_a_promise_for_a_distant_future(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=f"promise_seconds is {MAX_PROMISE_SECONDS + 1}, more than"):
        valid_config(tmp_path, promise_seconds=MAX_PROMISE_SECONDS + 1)


def test_unknown_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Unknown setting 'prize_wei'") as caught:
        read(tmp_path, VALID + "prize_wei = 1\n")

    assert "completion_price_wei" in caught.value.remedy


def test_missing_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="keystore"):
        read(tmp_path, 'data = "data"\nnetwork = "network.json"\n')


@pytest.mark.parametrize("line", ["queue = 'many'", "listen = 4001", "model = ['a', 'b']", "anchor_seconds = []"])
def test_setting_of_the_wrong_type(tmp_path: Path, line: str) -> None:
    with pytest.raises(Misconfigured, match="A setting is wrong"):
        read(tmp_path, f"{VALID}{line}\n")


def test_text_that_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not valid TOML"):
        read(tmp_path, "keystore =")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_bytes(b'keystore = "\xff"')

    with pytest.raises(Misconfigured, match="not valid TOML"):
        NodeConfig.read(tmp_path / "node.toml", {})


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        NodeConfig.read(tmp_path / "node.toml", {})

    assert "tallynet node init" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("queue", "7", 7),
        ("anchor_seconds", "2.5", 2.5),
        ("http", "", ""),
        ("listen", "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2", ("/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2")),
    ],
)
def test_the_environment_overrides_the_file(tmp_path: Path, name: str, text: str, value: Any) -> None:
    config = read(tmp_path, VALID + "queue = 5\n", **{f"TALLYNET_NODE_{name.upper()}": text})

    assert getattr(config, name) == value


def test_the_environment_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="queue is -1"):
        read(tmp_path, VALID, TALLYNET_NODE_QUEUE="-1")


def test_the_password_comes_from_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    config = read(tmp_path, VALID, TALLYNET_PASSWORD="correct horse")

    assert config.password == "correct horse"
    assert "correct horse" not in repr(config)


def test_the_password_has_no_place_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Unknown setting 'password'"):
        read(tmp_path, VALID + 'password = "correct horse"\n')


def test_an_upstream_server_s_key_comes_from_the_variable_named_and_is_not_shown(tmp_path: Path) -> None:
    text = VALID + 'model = "openai:http://h/v1#m"\napi_key_variable = "THEIR_KEY"\n'
    config = read(tmp_path, text, THEIR_KEY="sk-1")

    assert (config.served[0].model, config.served[0].api_key) == ("openai:http://h/v1#m", "sk-1")
    assert "sk-1" not in repr(config)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="'THEIR_KEY', which is not set"):
        read(tmp_path, VALID + 'api_key_variable = "THEIR_KEY"\n')


def test_an_upstream_server_s_key_has_no_place_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="'api_key'"):
        read(tmp_path, VALID + 'api_key = "sk-1"\n')


# Several models


def models(config: NodeConfig) -> list[str]:
    return [model.model for model in config.served]


def test_one_model_has_the_node_s_own_settings(tmp_path: Path) -> None:
    (served,) = read(tmp_path, VALID + 'model = "fake:a"\nslots = 3\ncompletion_price_wei = 7\n').served

    assert (served.model, served.slots, served.completion_price_wei) == ("fake:a", 3, 7)


def test_models_are_listed_by_name_or_with_settings_of_their_own(tmp_path: Path) -> None:
    tables = '[[models]]\nmodel = "fake:a"\n[[models]]\nmodel = "fake:b"\nslots = 2\nprompt_price_wei = 5\n'
    config = read(tmp_path, VALID + "slots = 3\n" + tables)
    listed = read(tmp_path, VALID + 'models = ["fake:a", {model = "fake:b", dtype = "float32"}]\n')

    assert models(config) == models(listed) == ["fake:a", "fake:b"]
    assert [(model.slots, model.prompt_price_wei) for model in config.served] == [(3, 0), (2, 5)]
    assert [model.dtype for model in listed.served] == ["auto", "float32"]


def test_directories_among_models_are_relative_to_the_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "models" / name).mkdir(parents=True)
    config = read(tmp_path, VALID + 'models = ["models/a", {model = "models/b"}, "org/name", "openai:http://h/v1#m"]\n')

    local = [str(tmp_path / "models" / name) for name in ("a", "b")]
    assert models(config) == [*local, "org/name", "openai:http://h/v1#m"]


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ('models = ["fake:a", "fake:b"]', {"TALLYNET_NODE_MODELS": "fake:c,fake:d"}, ["fake:c", "fake:d"]),
        ('models = ["fake:a", "fake:b"]', {"TALLYNET_NODE_MODEL": "fake:c"}, ["fake:c"]),
        ('model = "fake:a"', {"TALLYNET_NODE_MODELS": "fake:c,fake:d"}, ["fake:c", "fake:d"]),
        ("models = []", {}, ["fake"]),
    ],
)
def test_the_environment_overrides_the_models(
    tmp_path: Path, text: str, environment: dict[str, str], expected: list[str]
) -> None:
    assert models(read(tmp_path, f"{VALID}{text}\n", **environment)) == expected


def test_the_command_line_overrides_the_models(tmp_path: Path) -> None:
    config = read(tmp_path, VALID + 'models = ["fake:a", "fake:b"]\nslots = 3\n')

    assert models(config.serving(["fake:c"])) == ["fake:c"]
    assert models(config.serving([])) == ["fake:a", "fake:b"]


def test_model_and_models_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Both model and models"):
        read(tmp_path, VALID + 'model = "fake:a"\nmodels = ["fake:b"]\n')


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('{model = "fake:a", prize_wei = 1}', "unknown field `prize_wei`"),
        ("{slots = 2}", "missing required field `model`"),
        ('{model = "fake:a", slots = "many"}', "A setting is wrong"),
        ("7", "A setting is wrong"),
        ('{model = "fake:a", slots = 0}', "slots of model 'fake:a' is 0, not within 1 to 1024"),
        ('{model = "fake:a", completion_price_wei = -1}', "completion_price_wei of model 'fake:a' is -1"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        read(tmp_path, f"{VALID}models = [{table}]\n")


def test_so_many_models_and_no_more(tmp_path: Path) -> None:
    read(tmp_path, f"{VALID}models = {[f'fake:{number}' for number in range(MAX_MODELS)]}\n")

    with pytest.raises(Misconfigured, match="33 models, more than 32"):
        read(tmp_path, f"{VALID}models = {[f'fake:{number}' for number in range(MAX_MODELS + 1)]}\n")


def test_so_many_offers_fit_a_message_of_gossip(tmp_path: Path) -> None:
    """With the longest names and addresses that an advert may have."""
    most = 2**32 - 1
    offers = tuple(
        valid_offer(
            model=ModelId(number.to_bytes(32)), name="x" * 128, context_length=most, prompt_price=2**53 - 1,
            completion_price=2**53 - 1, tokens_per_second=most, slots=most, free_slots=most, waiting=most,
        )
        for number in range(MAX_MODELS)
    )  # fmt: skip
    now = START
    addresses = ("/" + "a" * 255,) * MAX_ADDRESSES
    advert = Advert(NODE.peer_id, addresses, now, now, Milliseconds(now + 1), MAX_LOG_SIZE - 1, offers)

    assert len(encode_frame(Adverts((sign_advert(advert, DOMAIN, NODE),)))) <= 16_384


def test_every_server_s_key_comes_from_its_own_variable(tmp_path: Path) -> None:
    text = (
        VALID + 'api_key_variable = "OURS"\nmodels = ["openai:http://a/v1#m", '
        '{model = "openai:http://b/v1#n", api_key_variable = "THEIRS"}, '
        '{model = "openai:http://c/v1#o", api_key_variable = ""}]\n'
    )
    config = read(tmp_path, text, OURS="sk-1", THEIRS="sk-2")

    assert [model.api_key for model in config.served] == ["sk-1", "sk-2", ""]
    assert "sk-" not in repr(config) + repr(config.served)
    with pytest.raises(Misconfigured, match="'THEIRS', which is not set"):
        read(tmp_path, text, OURS="sk-1")


def test_one_key_is_not_sent_to_two_servers(tmp_path: Path) -> None:
    two = 'api_key_variable = "OURS"\nmodels = ["openai:http://a/v1#m", "openai:http://b/v1#n"]\n'

    with pytest.raises(Misconfigured, match="OURS would be sent to 2 servers: a, b"):
        read(tmp_path, VALID + two, OURS="sk-1")
    read(tmp_path, VALID + two.replace("//b/", "//a/"), OURS="sk-1")
