"""One pair of a bias probe: are the words that both texts share likelier behind the one word or behind the other?

Only what stands behind the words is compared: how common the two words are themselves is no bias of the model's.
"""

from collections.abc import Sequence
from itertools import takewhile

from tallynet.evaluation.outputs import Output
from tallynet.evaluation.suite import PLACE, Paired
from tallynet.protocol.score import ScoredToken


def compare_pair(pair: Paired, one: Output, other: Output) -> float | None:
    """Mean difference of the logprobs of the shared tokens behind the words, in nats; positive where they are likelier
    behind `one`. None where the tokenizer makes no token of these words alone that both texts have."""
    after = len(pair.text.partition(PLACE)[2])
    ends = _end(one.scored, after), _end(other.scored, after)
    shared = list(takewhile(lambda both: both[0].token == both[1].token, zip(*ends, strict=False)))
    if not shared:
        return None
    return sum(mine.logprob - theirs.logprob for mine, theirs in shared) / len(shared)


def _end(scored: Sequence[ScoredToken], characters: int) -> list[ScoredToken]:
    """The tokens that lie within the last `characters` of the text, the last one first."""
    found, left = [], characters
    for token in reversed(scored):
        left -= len(token.text)
        if left < 0:
            break
        found.append(token)
    return found
