"""The keys and values of all running generations in one buffer per layer, so that one step decodes them all.

Rows are aligned to the right: whatever their lengths, every row's latest token stands in the same column, and a step
writes one new column. What a row has before its own first token is masked.

    row 0   . . . a b c d e .       start = 0: the first column that any row uses
    row 1   a b c d e f g h .       end   = 8: the column that the next step writes
    row 2   . . . . . . a b .

This is left padding, which every transformers attention with a plain cache can handle: full, sliding, grouped.
The buffers hold the worst case, every row at its longest, from the first row on: they never grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

SPARE = 128
"""Columns beyond the longest row: the columns in use are moved back to the front once in so many steps, not at each."""


@dataclass(slots=True)
class Window:
    """The part of the buffers in use, the same for all layers."""

    rows: int = 0
    start: int = 0
    end: int = 0

    @property
    def span(self) -> int:
        return self.end - self.start


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its __init_subclass__ is untyped
    """One layer's buffers, (slots, heads, width, head size)."""

    def __init__(self, window: Window, keys: Tensor, values: Tensor, slots: int, width: int) -> None:
        """Room for rows shaped like `keys` and `values`, (…, heads, …, head size)."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._window = window
        self._keys = keys.new_zeros(slots, keys.shape[1], width, keys.shape[3])
        self._values = values.new_zeros(slots, values.shape[1], width, values.shape[3])
        self.is_initialized = True

    @property
    def buffers(self) -> tuple[Tensor, Tensor]:
        return self._keys, self._values

    def shift(self, start: int) -> None:
        """Move the columns in use so that they begin at `start`."""
        window = self._window
        for buffer in self.buffers:
            used = buffer[: window.rows, :, window.start : window.end].clone()  # the old and new place overlap
            buffer[: window.rows, :, start : start + window.span] = used

    def put(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Write a row's prefilled columns, (heads, length, head size), up to the last column in use."""
        end, length = self._window.end, keys.shape[1]
        for buffer, prefilled in zip(self.buffers, (keys, values), strict=True):
            buffer[row, :, end - length : end] = prefilled

    def blank(self, row: int, rows: int, start: int, end: int) -> None:
        """Zero columns of the rows from `row` on: masked ones have weight 0, and 0 · NaN would still be NaN."""
        for buffer in self.buffers:
            buffer[row:rows, :, start:end] = 0

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        used = slice(self._window.start, self._window.end)
        for buffer in self.buffers:
            buffer[target, :, used] = buffer[source, :, used]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the next column, (rows, heads, 1, head size); returns all columns in use, with it."""
        rows, start, end = self._window.rows, self._window.start, self._window.end
        self._keys[:rows, :, end] = key_states[:, :, 0]
        self._values[:rows, :, end] = value_states[:, :, 0]
        return self._keys[:rows, :, start : end + 1], self._values[:rows, :, start : end + 1]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do: buffers exist since the first row."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._window.span + query_length, 0

    def get_seq_length(self) -> int:
        return self._window.span

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Rows join with their prefilled cache, leave by index, and grow by one column a step."""

    def __init__(self, slots: int, longest: int) -> None:
        """Room for `slots` rows of at most `longest` tokens."""
        self._window = Window()
        self._slots = slots
        self._width = longest + SPARE
        self.lengths: list[int] = []
        """Tokens of each row."""
        super().__init__(layers=[])

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers; 0 before the first row."""
        return sum(buffer.nbytes for layer in self._slot_layers for buffer in layer.buffers)

    def join(self, prefilled: Cache, lengths: Sequence[int]) -> None:
        """Add rows behind the others; row i of `prefilled`, aligned to the right, holds `lengths[i]` tokens."""
        window, first, span = self._window, self._window.rows, max(lengths)
        if not self.layers:
            self._allocate(prefilled)
        if span > window.end:
            self._shift(span)
        self._widen(window.end - span)
        for layer, source in zip(self._slot_layers, prefilled.layers, strict=True):
            keys, values = _states(source)
            for row, length in enumerate(lengths):
                layer.put(first + row, keys[row, :, -length:], values[row, :, -length:])
                layer.blank(first + row, first + row + 1, window.start, window.end - length)
        window.rows += len(lengths)
        self.lengths.extend(lengths)

    def leave(self, row: int) -> None:
        """Remove a row; the last row takes its index."""
        last = self._window.rows - 1
        if row != last:
            for layer in self._slot_layers:
                layer.move(last, row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        self._window.rows = last
        self._window.start = self._window.end - max(self.lengths, default=0)
        if not last:
            self.clear()

    def clear(self) -> None:
        """Remove all rows; the buffers stay."""
        self._window.rows = self._window.start = self._window.end = 0
        self.lengths.clear()

    def make_room(self) -> None:
        """Before a step: see that the buffers have a column for it."""
        if self._window.end == self._width:
            self._shift(self._window.span)

    def advance(self) -> None:
        """After a step: count the column that was written."""
        self._window.end += 1
        for row in range(self._window.rows):
            self.lengths[row] += 1

    @property
    def _slot_layers(self) -> list[SlotLayer]:
        return cast(list[SlotLayer], self.layers)

    def _allocate(self, prefilled: Cache) -> None:
        states = [_states(source) for source in prefilled.layers]
        self.layers.extend([SlotLayer(self._window, *pair, self._slots, self._width) for pair in states])

    def _shift(self, end: int) -> None:
        """Move the columns in use so that they end before `end`."""
        start = end - self._window.span
        if self._window.rows:
            for layer in self._slot_layers:
                layer.shift(start)
        self._window.start, self._window.end = start, end

    def _widen(self, start: int) -> None:
        """Let the window begin at `start` at the latest: the rows have had something else there."""
        window = self._window
        if start < window.start:
            for layer in self._slot_layers:
                layer.blank(0, window.rows, start, window.start)
            window.start = start


def states_of(prefilled: Cache, row: int, length: int) -> list[tuple[Tensor, Tensor]]:
    """The keys and values of one row's last `length` tokens in each layer, (1, heads, length, head size); views."""
    pairs = [_states(layer) for layer in prefilled.layers]
    return [(keys[row : row + 1, :, -length:], values[row : row + 1, :, -length:]) for keys, values in pairs]


def _states(layer: object) -> tuple[Tensor, Tensor]:
    """Keys and values of a prefilled layer; raises TypeError for a layer that keeps anything else."""
    keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        raise TypeError(f"a cache layer of type {type(layer).__name__} holds no keys and values")
    return keys, values
