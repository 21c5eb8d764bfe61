"""The learning engine: one call trains all devices of a round, one evaluates many rows on a set."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mechanisms.vocabulary import FloatMatrix, ParameterSlot
from sim.learning.coalitions import CoalitionValues, Count, StackedMeans, plain_means
from sim.learning.job import TrainingJob
from sim.learning.trainers import Batched, choose
from sim.threads import single_threaded


@dataclass(frozen=True)
class Evaluation:
    """Correct predictions and loss of R rows on one set."""

    correct: NDArray[np.int64]
    """`int64[R]`."""
    loss: NDArray[np.float64]
    """Mean cross-entropy `float64[R]`."""
    samples: int

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """`float64[R]` in 0..1."""
        return self.correct / self.samples


def layout_of(module: nn.Module) -> tuple[ParameterSlot, ...]:
    """Return the place of each parameter in a row, in the module's own order."""
    slots = []
    at = 0
    for name, p in module.named_parameters():
        slots.append(ParameterSlot(name, tuple(p.shape), at, p.numel()))
        at += p.numel()
    return tuple(slots)


def row_digest(row: FloatMatrix) -> bytes:
    """Return the SHA-256 of the bytes of a row (little-endian float32).

    Transactions and blocks commit to it.
    """
    return hashlib.sha256(np.ascontiguousarray(row).data).digest()


class LearningEngine:
    """Trains and evaluates models as rows of `float32[K, P]`, by SGD on cross-entropy.

    Results depend on the jobs and the order of samples, never on threads (one is used) or
    processes. The other rows of a call change a trained row by rounding at most.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        x: NDArray[np.float32],
        y: NDArray[np.int64],
        *,
        learning_rate: float,
        batch_size: int,
        seed: int,
        classes: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        single_threaded()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build()
            if not isinstance(module, nn.Module):
                raise ValueError(
                    f"the model is a {type(module).__name__}, should be a torch.nn.Module"
                )
            module = module.to(dtype)
            # Inside the seeded block: lazy layers draw their weights on the first sample.
            first = _tensor(x[:1], dtype)
            _check_output(module, first, classes, least=int(y.max()) + 1)
            changed = changed_by_training(module, first)
        if changed:
            raise ValueError(
                f"training changes the buffer {changed!r}, as batch norm does; such statistics "
                "cannot be averaged row by row; use group norm"
            )
        if not any(p.requires_grad for p in module.parameters()):
            raise ValueError("the model has no parameters to train")
        self.dtype = dtype
        self.layout = layout_of(module)
        self.size = self.layout[-1].stop
        self._initial = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
        self._sets: dict[int, tuple[object, tuple[Tensor, Tensor, Tensor | None]]] = {}
        self._cache: dict[tuple[bytes, int], tuple[int, float]] = {}
        self._trainer = choose(
            module, self.layout, _tensor(x, dtype), _tensor(y).clone(), learning_rate, batch_size
        )

    def relabel(self, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Train on these samples with other labels from now on: indices and labels `int64[n]`."""
        self._trainer.y[torch.from_numpy(rows)] = torch.from_numpy(labels)

    @property
    def trainer(self) -> str:
        """Name of the trainer in use."""
        return type(self._trainer).__name__.lower()

    def initial(self) -> FloatMatrix:
        """Return the starting row `float32[P]`: torch's default initialisation under the seed."""
        return self._initial.numpy().copy()

    def train(
        self,
        jobs: Sequence[TrainingJob],
        on_epoch: Callable[[int, int, FloatMatrix], None] | None = None,
    ) -> FloatMatrix:
        """Train every job; return `float32[K, P]`, in row k job k's model after its last epoch.

        `on_epoch` is called as (job, epochs done, row) after every epoch; it must not keep the row.
        """
        rows = torch.empty(len(jobs), self.size, dtype=self.dtype)
        for k, job in enumerate(jobs):
            rows[k] = torch.tensor(job.start)
        self._trainer.train(rows, jobs, on_epoch and _with_arrays(on_epoch))
        return rows.numpy()

    def evaluate(
        self,
        rows: Sequence[FloatMatrix] | FloatMatrix,
        x: NDArray[np.float32],
        y: NDArray[np.int64],
        digests: Sequence[bytes] | None = None,
    ) -> Evaluation:
        """Return correct predictions and loss of each row on one set.

        A row that was already measured on this set object is not run again. `digests`, when the
        caller has them, are the hashes of the rows' bytes.
        """
        held = self._set(x, y)
        correct, loss = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
        for i, row in enumerate(rows):
            key = (digests[i] if digests else row_digest(row), id(x))
            if key not in self._cache:
                self._cache[key] = self._measure(torch.tensor(row), *held)
            correct[i], loss[i] = self._cache[key]
        return Evaluation(correct, loss, len(y))

    def correct(
        self,
        rows: Sequence[FloatMatrix] | FloatMatrix,
        x: NDArray[np.float32],
        y: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Return `bool[R, S]`: which samples each row classifies right."""
        prepared, labels, kept = self._set(x, y)
        right = np.empty((len(rows), len(y)), dtype=np.bool_)
        for i, row in enumerate(rows):
            forward = self._trainer.forward(torch.tensor(row), kept)
            hits = [forward(xs).argmax(1) == ys for xs, ys in self._batches(prepared, labels)]
            right[i] = torch.cat(hits).numpy()
        return right

    def coalitions(
        self, rows: FloatMatrix, start: FloatMatrix, x: NDArray[np.float32], y: NDArray[np.int64]
    ) -> CoalitionValues:
        """Return accuracies on one set of unweighted means of subsets of `rows` `[n, P]`.

        The empty subset stands for `start` `[P]`. Values are computed when they are asked for, and
        equal averaging rows and `evaluate` up to rounding.
        """
        if isinstance(self._trainer, Batched):
            held = self._set(x, y)
            count: Count = StackedMeans(
                self.layout, _shared(rows, self.dtype), _shared(start, self.dtype), *held
            )
        else:
            count = plain_means(lambda means: self.evaluate(means, x, y).correct, rows, start)
        return CoalitionValues(count, len(rows), len(y))

    def _batches(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        size = self._trainer.evaluation_batch
        return zip(x.split(size), y.split(size), strict=True)

    def forget(self) -> None:
        """Drop cached evaluations; done at the end of each round."""
        self._cache.clear()

    def _measure(self, row: Tensor, x: Tensor, y: Tensor, kept: Tensor | None) -> tuple[int, float]:
        right, total = 0, 0.0
        forward = self._trainer.forward(row, kept)
        for xs, ys in self._batches(x, y):
            logits = forward(xs)
            right += int((logits.argmax(1) == ys).sum())
            total += float(nn.functional.cross_entropy(logits, ys, reduction="sum"))
        return right, total / len(y)

    def _set(
        self, x: NDArray[np.float32], y: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a set as (samples in the trainer's form, labels, features that it kept)."""
        # Keyed by identity; the reference held beside the tensors keeps the id from being reused.
        if id(x) not in self._sets:
            prepared, kept = self._trainer.prepare(_tensor(x, self.dtype))
            self._sets[id(x)] = (x, (prepared, _tensor(y), kept))
        return self._sets[id(x)][1]


def _with_arrays(
    on_epoch: Callable[[int, int, FloatMatrix], None],
) -> Callable[[int, int, Tensor], None]:
    """Return a callback on tensors that calls one on arrays."""

    def callback(k: int, epoch: int, row: Tensor) -> None:
        on_epoch(k, epoch, row.numpy())

    return callback


@torch.no_grad()
def _check_output(module: nn.Module, sample: Tensor, classes: int | None, *, least: int) -> None:
    """Raise ValueError unless one sample `[1, *shape]` gives logits `[1, classes]`.

    When `classes` is not stated, there must be at least `least` of them.
    """
    module.eval()
    takes = f"samples of shape {tuple(sample.shape[1:])}"
    try:
        out = module(sample)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the model cannot take {takes}: {str(error).splitlines()[0]}") from error
    shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if classes is None and isinstance(out, Tensor) and out.dim() == 2 and out.shape[1] >= least:
        classes = out.shape[1]
    if shape != (1, classes):
        raise ValueError(
            f"the model gives {shape} for one of {takes}; "
            f"it should give logits (1, {classes or least})"
        )


@torch.no_grad()
def changed_by_training(module: nn.Module, sample: Tensor) -> str:
    """Return the name of a buffer that a forward pass in training changes, "" when none does.

    Constants such as masks and positions stay as they are; statistics of batch norm do not.
    """
    trial = copy.deepcopy(module).train()
    before = {name: buffer.clone() for name, buffer in trial.named_buffers()}
    if not before:
        return ""
    trial(torch.cat([sample, sample + 1]))  # batch norm needs two samples
    after = dict(trial.named_buffers())
    for name, buffer in before.items():
        if not torch.equal(after[name], buffer):
            return name
    return ""


def _tensor(array: NDArray[np.generic], dtype: torch.dtype | None = None) -> Tensor:
    if not array.flags.writeable:
        # torch warns about read-only memory. Nothing here writes to it; a set is copied once.
        array = array.copy()
    return torch.from_numpy(array).to(dtype) if dtype else torch.from_numpy(array)


def _shared(array: NDArray[np.generic], dtype: torch.dtype) -> Tensor:
    """Return a tensor on the array's own memory, for reading only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(dtype)
