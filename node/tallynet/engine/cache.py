"""The keys and values of all running generations in one buffer per layer, so that one step decodes them all.

Rows are aligned to the right: whatever their lengths, every row's latest token stands in the same column, and a step
writes one new column. What a row has before its own first token is masked.

    row 0   . . . a b c d e .       start = 0: the first column that any row uses
    row 1   a b c d e f g h .       end   = 8: the column that the next step writes
    row 2   . . . . . . a b .

This is left padding, which every transformers attention with a plain cache can handle: full, sliding, grouped.
Buffers grow when they are full and go when the last row leaves.
"""

from dataclasses import dataclass
from typing import cast

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

WIDTH = 128
"""Buffers grow by so many columns: copying them that rarely costs little beside reading them at every step."""


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
    """One layer's buffers, (capacity, heads, width, head size)."""

    def __init__(self, window: Window, keys: Tensor, values: Tensor, width: int) -> None:
        """Room for one row shaped like `keys` and `values`, (1, heads, …, head size)."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._window = window
        self._keys = keys.new_zeros(1, keys.shape[1], width, keys.shape[3])
        self._values = values.new_zeros(1, values.shape[1], width, values.shape[3])
        self.is_initialized = True

    def arrange(self, start: int, capacity: int, width: int) -> None:
        """Copy the columns in use into buffers of another size, to begin at `start`."""
        self._keys = _arranged(self._keys, self._window, start, capacity, width)
        self._values = _arranged(self._values, self._window, start, capacity, width)

    def put(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Write a prefilled row, (1, heads, length, head size), up to the last column in use."""
        end, length = self._window.end, keys.shape[2]
        for buffer, prefilled in ((self._keys, keys), (self._values, values)):
            buffer[row].zero_()  # masked columns have weight 0, and 0 · NaN would still be NaN
            buffer[row, :, end - length : end] = prefilled[0]

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        for buffer in (self._keys, self._values):
            buffer[target] = buffer[source]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the next column, (rows, heads, 1, head size); returns all columns in use, with it."""
        rows, start, end = self._window.rows, self._window.start, self._window.end
        self._keys[:rows, :, end] = key_states[:, :, 0]
        self._values[:rows, :, end] = value_states[:, :, 0]
        return self._keys[:rows, :, start : end + 1], self._values[:rows, :, start : end + 1]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do: buffers exist as long as there are rows."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._window.span + query_length, 0

    def get_seq_length(self) -> int:
        return self._window.span

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Rows join with their prefilled cache, leave by index, and grow by one column a step."""

    def __init__(self) -> None:
        self._window = Window()
        self._capacity = 0
        self._width = 0
        self.lengths: list[int] = []
        """Tokens of each row."""
        super().__init__(layers=[])

    def join(self, prefilled: Cache, length: int) -> None:
        """Add a row behind the others; `prefilled` holds its `length` tokens."""
        window, row = self._window, self._window.rows
        if row == 0:
            self._allocate(prefilled, length)
        elif row == self._capacity or length > window.end:
            self._arrange(max(window.end, length), 2 * row if row == self._capacity else self._capacity)
        for layer, source in zip(self._slot_layers, prefilled.layers, strict=True):
            layer.put(row, *_states(source))
        window.rows += 1
        self.lengths.append(length)
        self._trim()

    def leave(self, row: int) -> None:
        """Remove a row; the last row takes its index."""
        last = self._window.rows - 1
        if row != last:
            for layer in self._slot_layers:
                layer.move(last, row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        self._window.rows = last
        if last:
            self._trim()
        else:
            self.clear()

    def clear(self) -> None:
        """Remove all rows and their memory."""
        self.layers.clear()
        self._capacity = self._width = 0
        self._window.rows = self._window.start = self._window.end = 0
        self.lengths.clear()

    def make_room(self) -> None:
        """Before a step: see that the buffers have a column for it."""
        if self._window.end == self._width:
            self._arrange(self._window.span, self._capacity)

    def advance(self) -> None:
        """After a step: count the column that was written."""
        self._window.end += 1
        for row in range(self._window.rows):
            self.lengths[row] += 1

    @property
    def _slot_layers(self) -> list[SlotLayer]:
        return cast(list[SlotLayer], self.layers)

    def _allocate(self, prefilled: Cache, length: int) -> None:
        self._capacity, self._width = 1, _width_for(length)
        self._window.start, self._window.end = 0, length
        for source in prefilled.layers:
            self.layers.append(SlotLayer(self._window, *_states(source), self._width))

    def _arrange(self, end: int, capacity: int) -> None:
        """Move the columns in use so that they end before `end`, in buffers with room for more."""
        width, start = _width_for(end), end - self._window.span
        for layer in self._slot_layers:
            layer.arrange(start, capacity, width)
        self._capacity, self._width = capacity, width
        self._window.start, self._window.end = start, end

    def _trim(self) -> None:
        """Leave out the columns that no row uses any more."""
        self._window.start = self._window.end - max(self.lengths)


def _width_for(length: int) -> int:
    """Columns of a buffer that holds `length` and up to `WIDTH` more."""
    return length // WIDTH * WIDTH + WIDTH


def _states(layer: object) -> tuple[Tensor, Tensor]:
    """Keys and values of a prefilled layer; raises TypeError for a layer that keeps anything else."""
    keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        raise TypeError(f"a cache layer of type {type(layer).__name__} holds no keys and values")
    return keys, values


def _arranged(buffer: Tensor, window: Window, start: int, capacity: int, width: int) -> Tensor:
    target = buffer.new_zeros(capacity, buffer.shape[1], width, buffer.shape[3])
    target[: window.rows, :, start : start + window.span] = buffer[: window.rows, :, window.start : window.end]
    return target
