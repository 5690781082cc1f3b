"""(7) The plan of one run of a flow: the definition, which model each name stands for, what each input is committed to.

It is fixed before the first job is signed, and every job is signed for it: the job's nonce follows from the plan, the
step, the place within the step, and a secret that only the client has until it shows the flow file. Nobody can change
a rule of the flow afterwards, or pass off a job as another step's. Source: spec chapter 7, "Plan".
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tallynet.protocol.commitment import commit
from tallynet.protocol.errors import InvalidFlow
from tallynet.protocol.flow import MAX_ITEMS, Flow, Kind, ModelName, Name
from tallynet.protocol.flow_rules import CheckedFlow
from tallynet.protocol.flow_template import Value
from tallynet.protocol.job import Bytes32
from tallynet.protocol.request import MAX_REQUEST_BYTES
from tallynet.protocol.units import Digest, ModelId, prefixed

_INPUT = b"tallynet/flow-input/1\0"
_PLAN = b"tallynet/flow-plan/1\0"
_NONCE = b"tallynet/flow-nonce/1\0"

ModelIdText = Annotated[str, Meta(pattern=r"\A0x[0-9a-f]{64}\Z")]

_ENCODER = msgspec.json.Encoder()


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """What every job of the run is signed for."""

    flow: Flow
    models: dict[ModelName, ModelIdText]
    """For each name in the definition the id of the model that was asked."""
    inputs: dict[Name, Annotated[Digest, Bytes32]]
    """For each input its salted commitment."""


@dataclass(frozen=True, slots=True)
class OpenedInput:
    """The value of an input, with what opens its commitment."""

    salt: bytes
    """32 random bytes."""
    value: Value

    @property
    def commitment(self) -> Digest:
        return commit_input(self.salt, self.value)


def encode_plan(plan: Plan) -> bytes:
    """The one JSON of a plan."""
    return _ENCODER.encode(plan)


def plan_digest(plan: Plan) -> Digest:
    """The name of this run of the flow: SHA-256 of tag and JSON."""
    return Digest(hashlib.sha256(_PLAN + encode_plan(plan)).digest())


def job_nonce(secret: bytes, plan: Digest, step: str, place: int) -> Digest:
    """The nonce of the job at `place` of `step`: the run's 32-byte `secret` keeps it unguessable."""
    name = step.encode()
    packed = struct.pack(">I", len(name)) + name + struct.pack(">I", place)
    return Digest(hashlib.sha256(_NONCE + secret + plan + packed).digest())


def commit_input(salt: bytes, value: Value) -> Digest:
    """`00 ‖ text`, or `01 ‖ each u32 length ‖ text` for a list, under the salt."""
    if isinstance(value, str):
        return commit(_INPUT, salt, b"\0" + value.encode())
    texts = [text.encode() for text in value]
    return commit(_INPUT, salt, b"\1" + b"".join(struct.pack(">I", len(text)) + text for text in texts))


def make_plan(checked: CheckedFlow, models: Mapping[str, ModelId], inputs: Mapping[str, OpenedInput]) -> Plan:
    """`models` holds every model of the definition. Raises `InvalidFlow`, check 3, for inputs that do not fit."""
    flow = checked.flow
    if inputs.keys() != flow.inputs.keys():
        wrong = sorted(inputs.keys() ^ flow.inputs.keys())
        raise InvalidFlow(
            f"the inputs do not fit: {', '.join(map(repr, wrong))}",
            check=3,
            remedy=f"Give each of {', '.join(flow.inputs) or 'no inputs'}, and nothing else.",
        )
    for name, kind in flow.inputs.items():
        check_input(name, kind, inputs[name].value)
    named = {model: prefixed(models[model]) for model in flow.models}
    return Plan(flow, named, {name: inputs[name].commitment for name in flow.inputs})


def check_input(name: str, kind: Kind, value: Value) -> None:
    """Raises `InvalidFlow`, check 3."""
    texts = (value,) if isinstance(value, str) else value
    # (3) every input has its kind, in at most 64 texts, and fits a request
    if isinstance(value, str) != (kind is Kind.TEXT) or len(texts) > MAX_ITEMS:
        raise InvalidFlow(f"the input {name!r} is no {kind}, or has more than {MAX_ITEMS} texts", check=3)
    try:
        size = sum(len(text.encode()) for text in texts)
    except UnicodeEncodeError as error:
        raise InvalidFlow(f"the input {name!r} is no valid text: {error}", check=3) from error
    if size > MAX_REQUEST_BYTES:
        raise InvalidFlow(f"the input {name!r} has {size} bytes, more than {MAX_REQUEST_BYTES}", check=3)
