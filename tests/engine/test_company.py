"""What a generation says depends on itself alone: not on how many run beside it, nor on when they come and go."""

from random import Random

import pytest
import trio

from tallynet.engine import Engine, Finish, Generation, open_engine
from tallynet.protocol.job import Sampling
from tests.engine.checkpoints import CONTEXT
from tests.engine.conftest import Directory
from tests.engine.generations import MILLION, read, seed

COUNT = 40

Told = tuple[tuple[int, ...], str, Finish | None]


def random_generations(random: Random) -> list[Generation]:
    """Greedy and sampled, filtered and not, short and long; some begin alike."""
    system, generations = tuple(random.randrange(3, 380) for _ in range(70)), []
    for number in range(COUNT):
        own = tuple(random.randrange(3, 380) for _ in range(random.randint(1, 30)))
        prompt = system + own if random.random() < 0.3 else own
        sampling = Sampling(
            random.randint(1, CONTEXT - len(prompt)),
            random.choice([0, MILLION // 2, MILLION, 2 * MILLION]),
            top_p_millionths=random.choice([MILLION, 9 * MILLION // 10]),
            top_k=random.choice([0, 0, 5, 50]),
        )
        generations.append(Generation(prompt, sampling, seed(number)))
    return generations


async def tell(engine: Engine, generation: Generation) -> Told:
    answer = await read(engine, generation)
    return tuple(answer.tokens), answer.text, answer.finish


async def tell_all(engine: Engine, generations: list[Generation], random: Random) -> dict[int, Told]:
    """All come at random times, in random order; as many again come too and leave before they are done."""
    told: dict[int, Told] = {}

    async def one(number: int, after: float) -> None:
        await trio.sleep(after)
        told[number] = await tell(engine, generations[number])

    async def leaver(number: int, after: float, patience: float) -> None:
        await trio.sleep(after)
        with trio.move_on_after(patience):
            await tell(engine, generations[number])

    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        async with trio.open_nursery() as readers:
            for number in random.sample(range(COUNT), COUNT):
                readers.start_soon(one, number, random.uniform(0, 0.3))
                readers.start_soon(leaver, number, random.uniform(0, 0.3), random.uniform(0, 0.1))
        nursery.cancel_scope.cancel()
    return told


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("chance", [1, 2])
async def test_outputs_are_equal_at_all_batch_sizes_and_in_all_company(
    family: str, chance: int, checkpoint: Directory
) -> None:
    random = Random(chance)
    generations = random_generations(random)
    alone = open_engine(str(checkpoint(family)), device="cpu", dtype="float32", slots=1)
    expected: dict[int, Told] = {}
    async with trio.open_nursery() as nursery:
        await nursery.start(alone.run)
        for number, generation in enumerate(generations):
            expected[number] = await tell(alone, generation)
        nursery.cancel_scope.cancel()

    assert len({tokens for tokens, _, _ in expected.values()}) > COUNT // 2
    for slots in (1, 8, 32):
        engine = open_engine(str(checkpoint(family)), device="cpu", dtype="float32", slots=slots)
        assert await tell_all(engine, generations, random) == expected
