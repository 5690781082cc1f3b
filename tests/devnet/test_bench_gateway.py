"""`tallynet bench gateway` measures real answers; the figures themselves are not judged here."""

from pathlib import Path

from tallynet.devnet.bench.gateway import TOKENS, Count, _open_bench, measure_gateway


async def test_all_figures_are_there(tmp_path: Path) -> None:
    said: list[str] = []
    rows = {row.key: row for row in await measure_gateway(tmp_path, said.append, quick=True)}

    assert set(rows) == {"tokens_per_second", "first_token_milliseconds", "added_first_token_milliseconds"}
    assert rows["tokens_per_second"].figure > 0 and rows["tokens_per_second"].baseline
    assert said


async def test_both_ways_give_the_same_number_of_tokens_to_the_same_question(tmp_path: Path) -> None:
    async with _open_bench(tmp_path, quick=True) as bench:
        direct, through = Count(), Count()
        await bench.directly(direct)
        bench.asked = 0
        await bench.through_gateway(through)

    assert 0 < direct.tokens == through.tokens <= TOKENS
    assert 0 < direct.first < through.first
