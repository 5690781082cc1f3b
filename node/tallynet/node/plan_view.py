"""How `tallynet node plan` shows what models will need of the memory."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from tallynet.engine.budget import Wish
from tallynet.engine.hardware import free_bytes
from tallynet.engine.joint_plan import PROCESS_BYTES, Planned, plan_together, plan_wish, total

MEGABYTE = 1e6


def show_plan(console: Console, wish: Wish) -> dict[str, object]:
    """One model by itself, in its parts; returns the same for programs."""
    planned = plan_wish(wish)
    plan, free = planned.plan, free_bytes(planned.hardware.device)
    console.print(f"{plan.slots} slots of {plan.context_length} tokens, {_where(planned)}:", soft_wrap=True)
    parts = {name: size for name, size in asdict(plan).items() if name not in ("slots", "context_length")}
    for name, size in {**parts, "total": plan.total}.items():
        _line(console, name, size)
    if free is not None:
        _line(console, "free now", free)
    return {**asdict(plan), "total": plan.total, "free": free, "dtype": planned.hardware.dtype_name}


def show_plans(console: Console, wishes: Sequence[Wish]) -> dict[str, object]:
    """Several models of one node, as it would take them. Raises `Misconfigured` when they do not fit."""
    plans = plan_together(wishes)
    for planned in plans:
        plan = planned.plan
        console.print(
            f"{planned.wish.spec}: {plan.slots} slots of {plan.context_length} tokens, {_where(planned)}:",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
        _line(console, "total", plan.total)
    console.print(f"Together, with {PROCESS_BYTES / MEGABYTE:,.0f} MB for the process of each:")
    _line(console, "total", total(plans))
    free = free_bytes(plans[0].hardware.device)
    if free is not None:
        _line(console, "free now", free)
    return {"models": [_describe(planned) for planned in plans], "total": total(plans), "free": free}


def _describe(planned: Planned) -> dict[str, object]:
    plan = planned.plan
    return {
        "model": planned.wish.spec, **asdict(plan), "total": plan.total, "dtype": planned.hardware.dtype_name
    }  # fmt: skip


def _where(planned: Planned) -> str:
    return f"{planned.hardware.dtype_name} on {planned.hardware.device_class}"


def _line(console: Console, name: str, size: int) -> None:
    console.print(f"{name:>10} {size / MEGABYTE:12,.1f} MB")
