"""From a node's configuration to its engines: planned together, then loaded one after the other. Blocks."""

import logging
from dataclasses import replace

from tallynet.engine import open_engine
from tallynet.engine.budget import Wish, plan_apart
from tallynet.engine.opening import has_plan
from tallynet.node.config import NodeConfig
from tallynet.node.engines import Engines, Served
from tallynet.node.model_config import ModelConfig
from tallynet.protocol.errors import Misconfigured, Unreachable
from tallynet.protocol.units import Wei

log = logging.getLogger(__name__)


def load_engines(config: NodeConfig) -> Engines:
    """Every model that the node serves, each in a process of its own where it needs one.

    Raises `Misconfigured` and `Unreachable`, naming the model, when one cannot be loaded or all do not fit together.
    """
    models = config.served
    if len(models) == 1:
        return Engines([_load(models[0])])
    return _load_all(_plan(models))


def _plan(models: tuple[ModelConfig, ...]) -> list[ModelConfig]:
    """With context lengths that fit the memory together; one local model by itself is fitted when it is loaded."""
    local = [model for model in models if has_plan(model.model)]
    if len(local) < 2:
        return list(models)
    log.info("planning %d models together", len(local))
    contexts = iter(plan_apart([_wish(model) for model in local]))
    return [replace(model, context_length=next(contexts)) if has_plan(model.model) else model for model in models]


def _wish(model: ModelConfig) -> Wish:
    return Wish(model.model, model.device, model.dtype, model.slots, model.context_length or None)


def _load_all(models: list[ModelConfig]) -> Engines:
    """Those that were loaded before one failed end."""
    loaded: list[Served] = []
    try:
        for number, model in enumerate(models, 1):
            loaded.append(_load_named(model, number, len(models)))
        return Engines(loaded)
    except BaseException:
        for served in loaded:
            served.close()
        raise


def _load_named(model: ModelConfig, number: int, count: int) -> Served:
    log.info("loading model %d of %d, %s", number, count, model.model)
    try:
        return _load(model)
    except (Misconfigured, Unreachable) as error:
        raise type(error)(f"Model {model.model!r}: {error.message}", remedy=error.remedy) from error


def _load(model: ModelConfig) -> Served:
    engine = open_engine(
        model.model,
        device=model.device,
        dtype=model.dtype,
        slots=model.slots,
        context_length=model.context_length or None,
        apart=True,
        api_key=model.api_key,
    )
    return Served(engine, Wei(model.prompt_price_wei), Wei(model.completion_price_wei))
