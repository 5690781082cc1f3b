"""Tokens a second of the bare engine and through the whole network, in turns; and what a node needs to run."""

import statistics
from collections.abc import Sequence

from tallynet.devnet.bench.report import Row, at_most, compare
from tallynet.devnet.bench.stage import Stage, resident_megabytes
from tallynet.devnet.bench.workload import Outcome, Round

CROWD = 16
LEAST_RATIO = 0.9
LARGE_CROWD = 32
LEAST_LARGE_RATIO = 0.95
READY_SECONDS = 15.0
RESIDENT_MEGABYTES = 700.0

Pair = tuple[Outcome, Outcome]
"""A round of the bare engine, and the same through the network right after it."""


async def measure_node(stage: Stage, rounds: int) -> list[Row]:
    """Play `rounds` rounds with one client and as many with CROWD; the first of each warms up and is not counted."""
    resident_before = await resident_megabytes(stage.pid)
    alone = await play_in_turns(stage, Round(clients=1, answers=2), rounds)
    crowd = await play_in_turns(stage, Round(clients=CROWD, answers=2), rounds)
    resident_after = await resident_megabytes(stage.pid)
    return [
        compare("tokens_per_second_1_client", "tokens, 1 client: net / bare", "/s", speeds(alone)),
        compare("tokens_per_second_16_clients", "tokens, 16 clients: net / bare", "/s", speeds(crowd), LEAST_RATIO),
        added_time(alone),
        at_most("seconds_from_start_to_ready", "node: start to ready", stage.ready_seconds, "s", READY_SECONDS),
        at_most("resident_megabytes_ready", "node: memory when ready", resident_before, "MB", RESIDENT_MEGABYTES),
        at_most(
            "resident_megabytes_after_16_clients", "node: memory after 16 clients", resident_after, "MB",
            RESIDENT_MEGABYTES,
        ),
    ]  # fmt: skip


async def measure_large_crowd(stage: Stage, rounds: int) -> Row:
    """Rounds with LARGE_CROWD clients; the first warms up and is not counted."""
    pairs = await play_in_turns(stage, Round(clients=LARGE_CROWD, answers=2), rounds)
    return compare("network_32_clients", "32 clients: network / engine", "/s", speeds(pairs), LEAST_LARGE_RATIO)


async def play_in_turns(stage: Stage, this: Round, rounds: int) -> list[Pair]:
    """A B A B …; the first pair warms both up."""
    pairs = [(await stage.bare(this), await stage.network(this)) for _ in range(1 + rounds)]
    return pairs[1:]


def speeds(pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    return [(bare.tokens_per_second, network.tokens_per_second) for bare, network in pairs]


def added_time(pairs: Sequence[Pair]) -> Row:
    """Median of all first tokens through the network, less that of the bare engine."""
    bare, network = (
        statistics.median(seconds for pair in pairs for seconds in pair[side].first_token_seconds) for side in (0, 1)
    )
    return Row(
        "added_seconds_to_first_token", "added time to first token", 1000 * (network - bare), "ms", baseline=1000 * bare
    )
