"""(7) A flow file: a finished flow in one text file, with the bundle of every run, so that anybody can check the chain.

    tallynet-flow@v1
    sha256 …                        of every byte below this line
    plan {"flow":…}                 definition, models, commitments of the inputs (`flow_plan`), as JSON
    secret …                        ties the nonces of the jobs to the plan
    input country … "Japan"         an opened input: salt, value as JSON; in the order of the definition
    run capital 0 2571              step, place, and how many bytes the bundle has that follows
    tallynet-bundle@v2
    …

There is one way to write it. Whoever holds it can read the inputs that it opens, and the conversations that its
bundles open. Nothing in it has been checked but its form: see `flow_checks`. Source: spec chapter 7.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from tallynet.protocol.bundle import MAX_BUNDLE_BYTES
from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import MAX_RUNS
from tallynet.protocol.flow_plan import OpenedInput, Plan, encode_plan
from tallynet.protocol.flow_template import Value
from tallynet.protocol.units import Digest, printable, short

FLOW_SUFFIX = ".flow.tally"
FLOW_MAGIC = b"tallynet-flow@v1"
"""The first line."""
MAX_FLOW_BYTES = 64 * 1024 * 1024
MAX_PLAN_BYTES = 4 * 1024 * 1024
"""Longest line before the first run."""

_PLAN = msgspec.json.Decoder(Plan)
_VALUE: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])
_RUN = re.compile(rb"run ([a-z][a-z0-9_]{0,31}) (0|[1-9][0-9]{0,2}) ([1-9][0-9]{0,7})")
_INPUT = re.compile(rb"input ([a-z][a-z0-9_]{0,31}) ([A-Za-z0-9+/=]{44}) (.+)")


@dataclass(frozen=True, slots=True)
class StepRun:
    """One run of a step, as it stands in the file."""

    step: str
    place: int
    bundle: bytes
    """The bundle's text."""


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A flow file that has been read or is to be written."""

    plan: Plan
    secret: bytes
    """32 bytes."""
    opened: Mapping[str, OpenedInput]
    """The inputs whose values can be read here."""
    runs: tuple[StepRun, ...]
    """By step in the order of the definition, then by place."""


@dataclass(frozen=True, slots=True)
class WrittenFlow:
    """A flow file as it was written, with its second line not yet compared."""

    file: FlowFile
    computed: Digest
    stated: Digest

    def check_unchanged(self) -> None:
        """Raises `InvalidFlow`, check 11."""
        # (11) the second line is the SHA-256 of all below it
        if self.computed != self.stated:
            raise InvalidFlow(
                f"the file was changed after it was written: its bytes hash to {short(self.computed)}, its second "
                f"line says {short(self.stated)}",
                check=11,
                evidence={"computed": self.computed, "stated": self.stated},
            )


def write_flow(file: FlowFile) -> bytes:
    """The one text of a flow file. Raises `InvalidFlow`, check 1, for one over its caps."""
    body = b"".join(_body(file))
    data = FLOW_MAGIC + b"\nsha256 " + base64.b64encode(hashlib.sha256(body).digest()) + b"\n" + body
    _check_size(data)
    return data


def parse_flow(data: bytes) -> WrittenFlow:
    """Raises `InvalidFlow`, check 1, for what is no flow file in its one form; the bundles are not looked into."""
    _check_size(data)
    lines = _Reader(data)
    # (1) its lines stand in their order, each value in its form
    if lines.line() != FLOW_MAGIC:
        raise _malformed(f"its first line is not {FLOW_MAGIC.decode()!r}")
    stated = Digest(_bytes32(lines.labelled(b"sha256"), "sha256"))
    computed = Digest(hashlib.sha256(data[lines.at :]).digest())
    plan = _plan(lines.labelled(b"plan"))
    secret = _bytes32(lines.labelled(b"secret"), "secret")
    opened = dict(_inputs(lines))
    # (1) the inputs it opens are the plan's, in its order
    if list(opened) != [name for name in plan.inputs if name in opened]:
        raise _malformed("the inputs that it opens are not the plan's, in its order")
    return WrittenFlow(FlowFile(plan, secret, opened, tuple(_runs(lines))), computed, stated)


# --- writing ---------------------------------------------------------------------------------------------


def _body(file: FlowFile) -> Iterator[bytes]:
    yield b"plan " + encode_plan(file.plan) + b"\n"
    yield b"secret " + base64.b64encode(file.secret) + b"\n"
    for name in file.plan.inputs:
        if name in file.opened:
            known = file.opened[name]
            salt, value = base64.b64encode(known.salt), msgspec.json.encode(known.value)
            yield b"input " + name.encode() + b" " + salt + b" " + value + b"\n"
    for run in file.runs:
        yield f"run {run.step} {run.place} {len(run.bundle)}\n".encode() + run.bundle


# --- reading ---------------------------------------------------------------------------------------------


class _Reader:
    """Takes lines from the front of the file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def done(self) -> bool:
        return self.at >= len(self._data)

    def line(self) -> bytes:
        end = self._data.find(b"\n", self.at, self.at + MAX_PLAN_BYTES)
        if end < 0:
            raise _malformed("a line has no end, or is too long")
        line, self.at = self._data[self.at : end], end + 1
        return line

    def labelled(self, label: bytes) -> bytes:
        line = self.line()
        if not line.startswith(label + b" "):
            raise _malformed(f"a line should hold {label.decode()!r} and begins with {line[:40]!r}")
        return line[len(label) + 1 :]

    def next_is(self, label: bytes) -> bool:
        return self._data.startswith(label + b" ", self.at)

    def take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        self.at += count
        if len(taken) < count:
            raise _malformed("its last bundle is cut short")
        return taken


def _plan(data: bytes) -> Plan:
    try:
        plan = _PLAN.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(f"its plan cannot be read: {printable(str(error))}") from error
    # (1) whoever writes the plan again writes the same bytes
    if encode_plan(plan) != data:
        raise _malformed("its plan is not in the one form it can have")
    return plan


def _inputs(lines: _Reader) -> Iterator[tuple[str, OpenedInput]]:
    names: list[str] = []
    while lines.next_is(b"input"):
        line = lines.line()
        match = _INPUT.fullmatch(line)
        if not match:
            raise _malformed(f"{line[:60]!r} is no opened input")
        name, value = match[1].decode(), _value(match[3])
        if name in names:
            raise _malformed(f"the input {name!r} is opened twice")
        names.append(name)
        yield name, OpenedInput(_bytes32(match[2], "input"), value)


def _value(data: bytes) -> Value:
    try:
        value = _VALUE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(f"the value of an input cannot be read: {printable(str(error))}") from error
    if msgspec.json.encode(value) != data:
        raise _malformed("the value of an input is not in the one form it can have")
    return value if isinstance(value, str) else tuple(value)


def _runs(lines: _Reader) -> Iterator[StepRun]:
    for _ in range(MAX_RUNS):
        if lines.done:
            return
        match = _RUN.fullmatch(line := lines.line())
        if not match or int(match[3]) > MAX_BUNDLE_BYTES:
            raise _malformed(f"{line[:60]!r} announces no run")
        yield StepRun(match[1].decode(), int(match[2]), lines.take(int(match[3])))
    if not lines.done:
        raise _malformed(f"it has more than {MAX_RUNS} runs")


def _bytes32(text: bytes, label: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _malformed(f"{label!r} is not base64: {error}") from error
    if len(data) != 32 or base64.b64encode(data) != text:
        raise _malformed(f"{label!r} is not 32 bytes in base64")
    return data


def _check_size(data: bytes) -> None:
    # (1) it has at most 64 MiB
    if len(data) > MAX_FLOW_BYTES:
        raise _malformed(f"it has {len(data)} bytes, more than {MAX_FLOW_BYTES}")


def _malformed(why: str) -> InvalidFlow:
    return InvalidFlow(f"the file is not a flow file: {why}", check=1)
