"""What coalitions of updates are worth: the accuracy of the mean of every subset that somebody asks about, measured once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechanisms.vocabulary import FloatMatrix, ParameterSlot

Members = NDArray[np.bool_]
Count = Callable[[Members], NDArray[np.int64]]
"""From coalitions `bool[m, n]` to the number of samples that each one's mean classifies right, `int64[m]`."""


class CoalitionValues:
    """A `CoalitionUtility` that remembers: rules that look at one block share it, and no coalition is measured twice."""

    def __init__(self, count: Count, updates: int, samples: int) -> None:
        self._count, self._updates, self._samples = count, updates, samples
        self._known: dict[bytes, float] = {}

    def __call__(self, members: Members) -> NDArray[np.float64]:
        """`float64[m]` for `bool[m, n]`. Raises ValueError for another number of updates."""
        members = np.asarray(members, dtype=np.bool_)
        if members.ndim != 2 or members.shape[1] != self._updates:
            raise ValueError(f"coalitions of shape {members.shape}, should be [m, {self._updates}]")
        known, packed, width = (
            self._known,
            np.packbits(members, axis=1).tobytes(),
            (self._updates + 7) // 8,
        )
        keys = [packed[at * width : (at + 1) * width] for at in range(len(members))]
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            right = self._count(members[list(new.values())])
            known.update(zip(new, (right / self._samples).tolist(), strict=True))
        return np.array([known[key] for key in keys])


class StackedMeans:
    """Perceptrons. The first layer is linear in its weights: what it gives for a mean of updates is the mean of what it gives

    for each, so its products, most of the work, are made once per update. Later layers run for a chunk of coalitions at once.
    Samples are the last axis, which suits products with few outputs.
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
        # The model before the block is one more row: the only member of the empty coalition.
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
        """Pre-activations `[hidden, S]` of the first layer, and the later layers' parameters, of rows not met before."""
        weight, bias = self._layout[:2]
        hidden, inputs = weight.shape[0], self._x.shape[0]
        columns = torch.arange(inputs) if self._kept is None else self._kept
        size = max(1, self.CHUNK_BYTES // (hidden * inputs * self._rows.element_size()))
        packed = self._rows.new_empty(min(size, len(new)), hidden, inputs)
        for chunk in (new[at : at + size] for at in range(0, len(new), size)):
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
        self._ready[new] = True

    def _right(self, weights: Tensor) -> Tensor:
        """Right answers of a chunk of means, `weights` `[c, n + 1]`."""
        out = torch.mm(weights, self._first.flatten(1)).view(len(weights), -1, len(self._y))
        rest, begin = torch.mm(weights, self._rest), self._begin
        for weight, bias in zip(self._layout[2::2], self._layout[3::2], strict=True):
            w = rest[:, weight.start - begin : weight.stop - begin].view(-1, *weight.shape)
            b = rest[:, bias.start - begin : bias.stop - begin].unsqueeze(2)
            out = torch.baddbmm(b, w, out.relu_())
        best = out.amax(1)
        right = (out.gather(1, self._y.expand(len(out), 1, -1)).squeeze(1) == best).sum(1)
        # Of equal logits the first counts, as in `argmax`: a second look where the last of them is not the first.
        tied = torch.count_nonzero(out == best.unsqueeze(1)) > best.numel()
        return (out.transpose(1, 2).contiguous().argmax(2) == self._y).sum(1) if tied else right


def plain_means(
    count_rows: Callable[[FloatMatrix], NDArray[np.int64]], rows: FloatMatrix, start: FloatMatrix
) -> Count:
    """Any model: average the rows of each coalition and measure the mean like any other row."""

    def count(members: Members) -> NDArray[np.int64]:
        right = np.empty(len(members), dtype=np.int64)
        for j, mine in enumerate(members):
            mean = (
                rows[mine].mean(axis=0, dtype=np.float64).astype(rows.dtype)
                if mine.any()
                else start
            )
            right[j] = count_rows(mean[None])[0]
        return right

    return count
