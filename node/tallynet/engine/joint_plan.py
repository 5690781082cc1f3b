"""Plans of several models that fit their memory together, before any of them is loaded.

As for a single model, a context that nobody asked for is halved until it fits: each time that of the model which frees
most by it. Started by `budget.plan_apart` as python -m tallynet.engine.joint_plan WISHES_AS_JSON
"""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import torch

from tallynet.engine import plan as single
from tallynet.engine.budget import Contexts, Wish
from tallynet.engine.checkpoint import Checkpoint, find_checkpoint
from tallynet.engine.hardware import Hardware, choose_hardware, free_bytes
from tallynet.engine.line import Failed, failure
from tallynet.engine.plan import Plan, plan_memory
from tallynet.protocol.errors import Misconfigured, TallyError

log = logging.getLogger(__name__)

PROCESS_BYTES = 400_000_000
"""What each model's process takes besides, on its own device: the interpreter and its libraries."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A wish, and what it would take."""

    wish: Wish
    checkpoint: Checkpoint
    hardware: Hardware
    plan: Plan

    @property
    def shorter(self) -> "Planned | None":
        """With half the context; None where that was asked for, or would be of no use."""
        half = self.plan.context_length // 2
        if self.wish.context_length is not None or half < single.LEAST_CONTEXT:
            return None
        return replace(self, plan=plan_memory(self.checkpoint.directory, self.hardware, self.wish.slots, half))


def plan_together(wishes: Sequence[Wish]) -> list[Planned]:
    """One plan for each wish, in their order.

    Raises `Misconfigured` when they do not fit, when one is no model, or for a device that is not there, `Unreachable`
    for a hub id that cannot be fetched now.
    """
    planned = [plan_wish(wish) for wish in wishes]
    for device in dict.fromkeys(one.hardware.device for one in planned):
        _fit(planned, device)
    return planned


def plan_wish(wish: Wish) -> Planned:
    """The plan of one by itself, as long as it can be."""
    checkpoint, hardware = find_checkpoint(wish.spec), choose_hardware(wish.device, wish.dtype)
    directory = checkpoint.directory
    limit = _length_limit(checkpoint)
    return Planned(wish, checkpoint, hardware, plan_memory(directory, hardware, wish.slots, wish.context_length, limit))


def total(planned: Sequence[Planned]) -> int:
    """Bytes that they take together, their processes included."""
    return sum(one.plan.total + PROCESS_BYTES for one in planned)


def _fit(planned: list[Planned], device: torch.device) -> None:
    """Shorten contexts, in place, until those on the device fit its memory."""
    free = free_bytes(device)
    while free is not None and total(there := [one for one in planned if one.hardware.device == device]) > free:
        freed = {place: _freed(one) for place, one in enumerate(planned) if one.hardware.device == device}
        place = max(freed, key=lambda place: freed[place])
        shorter = planned[place].shorter
        if shorter is None:
            raise _too_much(there, free)
        log.warning("%s: a context of %d tokens", shorter.wish.spec, shorter.plan.context_length)
        planned[place] = shorter


def _freed(one: Planned) -> int:
    """Bytes that half its context frees."""
    shorter = one.shorter
    return 0 if shorter is None else one.plan.total - shorter.plan.total


def _too_much(there: Sequence[Planned], free: int) -> Misconfigured:
    each = "; ".join(
        f"{one.wish.spec} {one.plan.total / 1e9:.1f} GB ({one.plan.slots} slots of {one.plan.context_length} tokens)"
        for one in there
    )
    return Misconfigured(
        f"{len(there)} models need {total(there) / 1e9:.1f} GB together, their processes included; {free / 1e9:.1f} GB"
        f" are free on {there[0].hardware.device_class}: {each}",
        remedy="Lower slots or context_length of one in its [[models]] table, set dtype, or serve fewer models; "
        "`tallynet node plan` tells what they cost.",
    )


def _length_limit(checkpoint: Checkpoint) -> int | None:
    """The longest input that the tokenizer's settings name; where they cannot be read, loading will tell."""
    try:
        settings = json.loads((checkpoint.directory / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError):
        return None
    limit = settings.get("model_max_length") if isinstance(settings, dict) else None
    return limit if isinstance(limit, int) and 0 < limit < 2**32 else None


def main() -> None:
    """What it finds goes to stdout, for `budget.plan_apart`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    answer: Contexts | Failed
    try:
        wishes = msgspec.json.decode(sys.argv[1], type=list[Wish])
        answer = Contexts([one.plan.context_length for one in plan_together(wishes)])
    except TallyError as error:
        answer = failure(0, error)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
