"""Values of coalitions of updates: the accuracy of the mean of a subset, measured once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechanisms.vocabulary import FloatMatrix, ParameterSlot

Members = NDArray[np.bool_]
Count = Callable[[Members], NDArray[np.int64]]
"""Maps coalitions `bool[m, n]` to how many samples each one's mean classifies right, `int64[m]`."""


class CoalitionValues:
    """A `CoalitionUtility` with a memory: no coalition is measured twice.

    All rules that look at one block share it.
    """

    def __init__(self, count: Count, updates: int, samples: int) -> None:
        self._count, self._updates, self._samples = count, updates, samples
        self._known: dict[bytes, float] = {}

    def __call__(self, members: Members) -> NDArray[np.float64]:
        """Return values `float64[m]` of coalitions `bool[m, n]`; raise ValueError for another n."""
        members = np.asarray(members, dtype=np.bool_)
        if members.ndim != 2 or members.shape[1] != self._updates:
            raise ValueError(f"coalitions of shape {members.shape}, should be [m, {self._updates}]")
        known = self._known
        packed = np.packbits(members, axis=1).tobytes()
        width = (self._updates + 7) // 8
        keys = [packed[at * width : (at + 1) * width] for at in range(len(members))]
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            right = self._count(members[list(new.values())])
            known.update(zip(new, (right / self._samples).tolist(), strict=True))
        return np.array([known[key] for key in keys])


class StackedMeans:
    """Counts for perceptrons.

    The first layer is linear in its weights: its output for a mean of updates is the mean of its
    outputs for each. Its products, most of the work, are therefore computed once per update. Later
    layers run for a chunk of coalitions at once. Samples are the last axis, which suits products
    with few outputs.
    """

    CHUNK_BYTES = 2 << 20

    def __init__(
        self,
        layout: Sequence[ParameterSlot],
        rows: Tensor,
        start: Tensor,
        x: Tensor,
        y: Tensor,
        kept: Tensor | None,
    ) -> None:
        self._layout, self._rows, self._start, self._kept = layout, rows, start, kept
        self._x, self._y = x.t(), y
        self._begin = layout[2].start if len(layout) > 2 else layout[-1].stop
        # The model before the block is one more row, the only member of the empty coalition.
        self._first = rows.new_zeros(len(rows) + 1, layout[0].shape[0], len(y))
        self._rest = rows.new_zeros(len(rows) + 1, layout[-1].stop - self._begin)
        self._ready = np.zeros(len(rows) + 1, dtype=np.bool_)
        self._size = max(1, self.CHUNK_BYTES // (self._first[0].numel() * rows.element_size()))

    @torch.no_grad()
    def __call__(self, members: Members) -> NDArray[np.int64]:
        members = np.column_stack([members, ~members.any(axis=1)])
        self._prepare(np.flatnonzero(members.any(axis=0) & ~self._ready).tolist())
        weights = torch.from_numpy(members / members.sum(axis=1, keepdims=True)).to(
            self._rows.dtype
        )
        return torch.cat([self._right(chunk) for chunk in weights.split(self._size)]).numpy()

    def _prepare(self, new: list[int]) -> None:
        """Store first-layer pre-activations `[hidden, S]` and later parameters of new rows."""
        weight, bias = self._layout[:2]
        hidden, inputs = weight.shape[0], self._x.shape[0]
        columns = torch.arange(inputs) if self._kept is None else self._kept
        size = max(1, self.CHUNK_BYTES // (hidden * inputs * self._rows.element_size()))
        packed = self._rows.new_empty(min(size, len(new)), hidden, inputs)
        for at in range(0, len(new), size):
            chunk = new[at : at + size]
            for w, i in zip(packed, chunk, strict=False):
                row = self._start if i == len(self._rows) else self._rows[i]
                torch.index_select(
                    row[weight.start : weight.stop].view(hidden, -1), 1, columns, out=w
                )
                self._rest[i] = row[self._begin :]
                self._first[i] = row[bias.start : bias.stop].unsqueeze(1)
            products = torch.mm(packed[: len(chunk)].flatten(0, 1), self._x).view(
                len(chunk), hidden, -1
            )
            self._first.index_add_(0, torch.tensor(chunk), products)
        # Coalitions without a row give it the weight 0, which infinity would turn into NaN.
        for values in (self._first, self._rest):
            values[new] = torch.nan_to_num(values[new])
        self._ready[new] = True

    def _right(self, weights: Tensor) -> Tensor:
        """Count the right answers of a chunk of means with these `weights` `[c, n + 1]`."""
        out = torch.mm(weights, self._first.flatten(1)).view(len(weights), -1, len(self._y))
        rest, begin = torch.mm(weights, self._rest), self._begin
        for weight, bias in zip(self._layout[2::2], self._layout[3::2], strict=True):
            w = rest[:, weight.start - begin : weight.stop - begin].view(-1, *weight.shape)
            b = rest[:, bias.start - begin : bias.stop - begin].unsqueeze(2)
            out = torch.baddbmm(b, w, out.relu_())
        best = out.amax(1)
        right = (out.gather(1, self._y.expand(len(out), 1, -1)).squeeze(1) == best).sum(1)
        # Of equal logits the first counts, as in `argmax`; only ties need that second look.
        tied = torch.count_nonzero(out == best.unsqueeze(1)) > best.numel()
        if tied:
            right = (out.transpose(1, 2).contiguous().argmax(2) == self._y).sum(1)
        return right


def plain_means(
    count_rows: Callable[[FloatMatrix], NDArray[np.int64]], rows: FloatMatrix, start: FloatMatrix
) -> Count:
    """Return counts for any model: average the rows of a coalition, measure the mean as a row."""

    def count(members: Members) -> NDArray[np.int64]:
        right = np.empty(len(members), dtype=np.int64)
        for j, coalition in enumerate(members):
            mean = start
            if coalition.any():
                mean = rows[coalition].mean(axis=0, dtype=np.float64).astype(rows.dtype)
            right[j] = count_rows(mean[None])[0]
        return right

    return count
