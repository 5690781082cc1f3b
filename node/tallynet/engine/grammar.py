"""Schemas into automata that say which tokens may come next: the only file that imports llguidance.

The text that they allow is JSON without white space between its parts, members in the order of the schema. A keyword
that the automata do not know is refused, and never passed over. What a schema may cost is bounded (its size, the steps
of building its automaton and of each token); nothing that it refers to is fetched.
"""

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING

from llguidance import LLMatcher, LLTokenizer

from tallynet.engine.tokenizer import Tokenizer
from tallynet.protocol.errors import InvalidJob, Unreachable
from tallynet.protocol.units import printable

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

OPTIONS: "JsonCompileOptions" = {
    "item_separator": ",",
    "key_separator": ":",
    "whitespace_flexible": False,
    "coerce_one_of": False,
    "lenient": False,
}
"""Stand above whatever the schema itself says of them."""

SAMPLE = '{"a b":[1,-2.5e3,true,null],"é東":"x \\n\\"y"}'
"""Text that a model's tokens have to make as their bytes say."""

KEPT = 16
"""Automata that are kept for the next job with the same schema."""

CHECK = 9
"""Of spec chapter 2: the engine can keep to the request's schema."""


class Guide:
    """Which tokens may come next in one answer, from its first token on."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self.allowed = self._look()
        """One byte for each token of the vocabulary, 0 for those that may not come next."""

    def permits(self, token: int) -> bool:
        return token < len(self.allowed) and self.allowed[token] != 0

    def advance(self, token: int) -> None:
        """Take a token that is permitted. Raises `Unreachable` when the automaton has grown too large."""
        self._matcher.consume_token(token)
        self.allowed = self._look()

    def _look(self) -> bytes:
        allowed = self._matcher.compute_logit_bias()
        if self._matcher.is_error():
            raise Unreachable(
                f"the schema cannot be followed any further: {_first_line(self._matcher)}",
                remedy="Ask with a simpler schema.",
            )
        return allowed


class Grammars:
    """Of one model. Safe to use from several threads at once."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, ends: Iterable[int]) -> None:
        """`vocabulary` is how many logits the model gives, `ends` the tokens that end an answer."""
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._ends = sorted(end for end in ends if end < vocabulary)
        self._tokens: LLTokenizer | None = None
        self._building = Lock()
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()

    @property
    def possible(self) -> bool:
        """Whether the model's tokens say what bytes they stand for, and one of them ends an answer."""
        return bool(self._ends) and self._tokenizer.tells_bytes

    def guide(self, schema: str) -> Guide:
        """Blocks, for a second with the first schema. Raises `InvalidJob` for one that cannot be kept to."""
        with self._building:
            matcher = self._kept.pop(schema, None) or self._build(schema)
            self._kept[schema] = matcher
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            copy = matcher.deep_copy()
        try:
            return Guide(copy)
        except Unreachable as error:
            raise _refused(error.message) from error

    def _build(self, schema: str) -> LLMatcher:
        if self._tokens is None:
            self._tokens = self._read_tokens()
        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)
        except ValueError as error:
            raise _refused(str(error)) from error
        matcher = LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            raise _refused(_first_line(matcher))
        return matcher

    def _read_tokens(self) -> LLTokenizer:
        if not self.possible:
            raise _refused("this model's tokens do not say what bytes they stand for")
        try:
            tokens = LLTokenizer(self._tokenizer.bytes_of_tokens, n_vocab=self._vocabulary, eos_token=self._ends)
        except ValueError as error:
            raise _refused(f"this model's tokens cannot be read: {error}") from error
        ids = tokens.tokenize_str(SAMPLE)
        if tokens.decode_str(ids) != SAMPLE or self._tokenizer.decode(ids) != SAMPLE:
            raise _refused("this model's tokens do not make the text that their bytes say")
        return tokens


def _first_line(matcher: LLMatcher) -> str:
    """What is wrong. The lines below tell of the answer's text, which is nobody's business but the client's."""
    return printable(matcher.get_error().partition("\n")[0])


def _refused(why: str) -> InvalidJob:
    return InvalidJob(
        f"the schema cannot be kept to: {printable(why)}",
        check=CHECK,
        remedy="Leave out of the schema what is not known, or choose another model.",
    )
