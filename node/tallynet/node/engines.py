"""The models of one node, by their ids: each with its engine and its price. They are opened before the node runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import trio

from tallynet.engine import Engine
from tallynet.engine.apart import ApartEngine
from tallynet.engine.resident import resident_bytes
from tallynet.node.config import NodeConfig
from tallynet.protocol.advert import Offer
from tallynet.protocol.errors import Misconfigured
from tallynet.protocol.units import ModelId, Wei, prefixed

MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class Served:
    """One model on offer."""

    engine: Engine
    prompt_price: Wei
    completion_price: Wei

    @property
    def model(self) -> ModelId:
        return self.engine.info.model

    @property
    def name(self) -> str:
        """What adverts call it."""
        return self.engine.info.name[:MAX_NAME]

    @property
    def resident_bytes(self) -> int | None:
        """What the model's process holds now; None for an engine without one and where the system does not tell."""
        return resident_bytes(self.engine.pid) if isinstance(self.engine, ApartEngine) else None

    def close(self) -> None:
        """End the process of an engine that was opened and will not run."""
        if isinstance(self.engine, ApartEngine):
            self.engine.close()

    def offer(self, taken: int) -> Offer:
        """What it costs and how fast it is, now that `taken` of its jobs run or wait."""
        info = self.engine.info
        return Offer(
            model=info.model,
            name=self.name,
            context_length=info.context_length,
            prompt_price=self.prompt_price,
            completion_price=self.completion_price,
            tokens_per_second=min(round(self.engine.load().tokens_per_second), 2**32 - 1),
            slots=info.slots,
            free_slots=max(0, info.slots - taken),
            waiting=max(0, taken - info.slots),
            evidence=info.evidence,
            task=info.task,
        )


class Engines:
    """In the order in which the operator named them."""

    def __init__(self, served: Iterable[Served]) -> None:
        """Raises `Misconfigured` for no model, one that comes twice, and two that clients could not tell apart."""
        models = tuple(served)
        self._served = {one.model: one for one in models}
        _check(models)

    @classmethod
    def of(cls, config: NodeConfig, *engines: Engine) -> Self:
        """Engines that are open already, each at the node's own prices."""
        prices = Wei(config.prompt_price_wei), Wei(config.completion_price_wei)
        return cls(Served(engine, *prices) for engine in engines)

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def get(self, model: ModelId) -> Served | None:
        """None for a model that this node does not serve."""
        return self._served.get(model)

    @property
    def first(self) -> Served:
        """The one to name where there is room for one."""
        return next(iter(self))

    def each(self, change: Callable[[Engine], Engine]) -> "Engines":
        """The same models, each behind `change(engine)`."""
        return Engines(replace(served, engine=change(served.engine)) for served in self)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all until cancelled; reports started once all are ready. What ends one for good ends the others."""
        async with trio.open_nursery() as nursery:
            for served in self:
                await nursery.start(partial(_run, served.engine))
            task_status.started()
            await trio.sleep_forever()


async def _run(engine: Engine, *, task_status: trio.TaskStatus[None]) -> None:
    await engine.run(task_status=task_status)


def _check(models: tuple[Served, ...]) -> None:
    if not models:
        raise Misconfigured("The node serves no model.", remedy="Name one with --model, or in its configuration.")
    model, times = Counter(one.model for one in models).most_common(1)[0]
    if times > 1:
        raise Misconfigured(
            f"Model {prefixed(model)} is named {times} times.", remedy="Name every model once; `slots` lets it do more."
        )
    name, times = Counter(one.name for one in models).most_common(1)[0]
    if times > 1:
        raise Misconfigured(
            f"{times} of the models are called {name!r}: clients ask for a model by its name.",
            remedy="Rename the directory of one of them: its name is the model's.",
        )
