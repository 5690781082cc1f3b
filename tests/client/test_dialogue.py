"""A dialogue is a chain of jobs: each carries what was said, and names the answer before it."""

import pytest

from tallynet.client import Client
from tallynet.protocol.errors import Refused
from tallynet.protocol.leaf import Status
from tallynet.protocol.request import Message, decode_request
from tests.client.hosted import HostedTransport
from tests.client.scripted_node import TEXT, leaf_with


@pytest.fixture
def transport() -> HostedTransport:
    return HostedTransport({})


def messages(transport: HostedTransport) -> list[tuple[Message, ...]]:
    return [decode_request(submit.request).messages for submit in transport.nodes[0].submits]


def test_each_question_carries_what_was_said(transport: HostedTransport) -> None:
    with transport.client() as client:
        talk = client.dialogue("tally-tiny", system="Be brief.", max_tokens=9)
        first, second = talk.say("Japan?"), talk.say("France?")

    system, japan, france = Message("system", "Be brief."), Message("user", "Japan?"), Message("user", "France?")
    assert messages(transport) == [(system, japan), (system, japan, Message("assistant", TEXT), france)]
    jobs = [submit.signed.job for submit in transport.nodes[0].submits]
    assert [job.parents for job in jobs] == [(), (first.output,)]
    assert {job.sampling.max_tokens for job in jobs} == {9}
    assert talk.answers == [first, second]


def test_parents_of_the_user_belong_to_the_first_question(transport: HostedTransport) -> None:
    with transport.client() as client:
        source = client.ask("tally-tiny", "A text.")
        talk = client.dialogue("tally-tiny", parents=[source.output])
        first = talk.say("What is in it?")
        talk.say("And then?")

    parents = [submit.signed.job.parents for submit in transport.nodes[0].submits]
    assert parents == [(), (source.output,), (first.output,)]


def test_an_answer_that_was_cut_short_is_no_part_of_the_dialogue(transport: HostedTransport) -> None:
    node = transport.nodes[0]
    with transport.client() as client:
        talk = client.dialogue("tally-tiny")
        node.change_leaf = leaf_with(status=Status.DEADLINE)
        cut = talk.say("Japan?")
        node.change_leaf = leaf_with()
        talk.say("Japan?")

    assert not cut.status.finished
    assert messages(transport)[0] == messages(transport)[1]
    assert len(talk.answers) == 1


def test_an_error_leaves_the_dialogue_as_it_was(transport: HostedTransport) -> None:
    transport.nodes[0].refusals = [Refused("no")]
    with transport.client() as client:
        talk = client.dialogue("tally-tiny")
        with pytest.raises(Refused):
            talk.say("Japan?")

        assert isinstance(client, Client) and talk.turns == ()
        assert talk.say("Japan?").text == TEXT


def test_an_answer_in_pieces_is_part_of_the_dialogue_once_it_is_whole(transport: HostedTransport) -> None:
    with transport.client() as client:
        talk = client.dialogue("tally-tiny")
        with talk.stream("Japan?") as stream:
            assert "".join(stream) == TEXT
        assert talk.answers == [stream.answer]


def test_an_answer_that_was_left_is_no_part_of_it(transport: HostedTransport) -> None:
    transport.nodes[0].pause = 0.1
    with transport.client() as client:
        talk = client.dialogue("tally-tiny")
        with talk.stream("Japan?") as stream:
            next(stream)

    assert stream.answer.status is Status.CANCELLED
    assert talk.turns == () and talk.answers == []
