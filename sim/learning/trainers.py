"""Three ways to train the rows of a matrix: all correct, the fastest for a model is chosen.

`Batched`    perceptrons: a few devices at once, each step one batched matrix product per layer
`Layerwise`  sequences of known layers (convolutions): device by device, explicit backward pass
`General`    any `torch.nn.Module`: device by device with autograd

`docs/explanation/engine.md` has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mechanisms.vocabulary import ParameterSlot
from sim.learning import layers
from sim.learning.job import TrainingJob, schedule

OnEpoch = Callable[[int, int, Tensor], None]
"""Called as (job, epochs done, row) after every epoch of every job; it must not keep the row."""


class Trainer(Protocol):
    """A way to train and evaluate rows."""

    evaluation_batch: int
    """Samples per forward pass of an evaluation."""
    y: Tensor
    """Labels of the training samples."""

    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        """Train in place: row k of `rows` holds job k's start and then its result."""
        ...

    def prepare(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a set in the form that `forward` takes, and the features that are kept.

        None stands for all features.
        """
        ...

    def forward(self, row: Tensor, kept: Tensor | None) -> Callable[[Tensor], Tensor]:
        """Return the model of a row: a function from prepared samples to logits."""
        ...


def views(rows: Tensor, layout: Sequence[ParameterSlot]) -> list[Tensor]:
    """Return the parameters inside rows `[..., P]`, each `[..., *shape]`, sharing memory."""
    return [rows[..., s.start : s.stop].view(*rows.shape[:-1], *s.shape) for s in layout]


class _Base:
    evaluation_batch = 100  # keeps the activations of a convolution in the processor's cache

    def __init__(
        self,
        module: nn.Module,
        layout: Sequence[ParameterSlot],
        x: Tensor,
        y: Tensor,
        lr: float,
        batch: int,
    ) -> None:
        self.module, self.layout = module, layout
        self.x, self.y = x, y
        self.lr, self.batch = lr, batch

    def prepare(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x, None


class General(_Base):
    """Trainer of any module, the reference and fallback.

    Frozen, shared and unused parameters are allowed. The module's mode is set before each use.
    """

    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        for k, job in enumerate(jobs):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(job.seed)
                self._train_job(k, rows[k], job, on_epoch)

    def _train_job(self, k: int, row: Tensor, job: TrainingJob, on_epoch: OnEpoch | None) -> None:
        """Train job k in place."""
        held = views(row, self.layout)
        own = zip(held, self.module.parameters(), strict=True)
        params = [view.clone().requires_grad_(p.requires_grad) for view, p in own]
        for epoch, order in enumerate(job.order):
            self.module.train()  # the callback may have evaluated
            for batch in torch.from_numpy(order).split(self.batch):
                self._step(params, batch)
            with torch.no_grad():
                for view, p in zip(held, params, strict=True):
                    view.copy_(p)
            if on_epoch:
                with torch.random.fork_rng(devices=[]):
                    on_epoch(k, epoch + 1, row)

    def _step(self, params: list[Tensor], batch: Tensor) -> None:
        """Take one SGD step on the samples of a batch, in place."""
        named = {slot.name: p for slot, p in zip(self.layout, params, strict=True)}
        logits = functional_call(self.module, named, (self.x[batch],))
        loss = functional.cross_entropy(logits, self.y[batch])
        trained = [p for p in params if p.requires_grad]
        grads = torch.autograd.grad(loss, trained, allow_unused=True)
        with torch.no_grad():
            for p, g in zip(trained, grads, strict=True):
                if g is not None:
                    p.sub_(g, alpha=self.lr)

    def forward(self, row: Tensor, kept: Tensor | None) -> Callable[[Tensor], Tensor]:
        held = views(row, self.layout)
        params = {slot.name: view for slot, view in zip(self.layout, held, strict=True)}

        @torch.no_grad()
        def run(x: Tensor) -> Tensor:
            self.module.eval()
            with torch.random.fork_rng(devices=[]):  # for modules that draw when they evaluate
                torch.manual_seed(0)
                return functional_call(self.module, params, (x,))

        return run


class Layerwise(_Base):
    """Trainer of sequences of known layers: one device at a time through `sim.learning.layers`."""

    def __init__(self, *args: object, known: list[nn.Module]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.known = known

    @torch.no_grad()
    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        for k, job in enumerate(jobs):
            net = layers.bind(self.known, views(rows[k], self.layout))
            indices, weights = schedule(job.order, min(self.batch, max(1, job.order.shape[1])))
            weights = weights.to(rows.dtype)
            steps = len(indices) // job.epochs if job.epochs else 0
            for step, (batch, weight) in enumerate(zip(indices, weights, strict=True)):
                size = int((weight > 0).sum())
                self._step(net, batch[:size], weight[:size])
                if on_epoch and (step + 1) % steps == 0:
                    self._store(net)
                    on_epoch(k, (step + 1) // steps, rows[k])
            self._store(net)

    def _step(self, net: list[layers.Layer], batch: Tensor, weight: Tensor) -> None:
        """Take one SGD step on the samples of a batch, in place."""
        cache: list[object] = []
        out = self.x[batch]
        for layer in net:
            out = layer.forward(out, cache)
        grad: Tensor | None = _softmax_gradient(out, self.y[batch], weight)
        # No layer below the first one with parameters needs a gradient.
        learning = (layers.Linear, layers.Conv2d)
        first = next(i for i, layer in enumerate(net) if isinstance(layer, learning))
        for i in range(len(net) - 1, first - 1, -1):
            assert grad is not None
            grad = net[i].backward(grad, cache[i], self.lr, first=i == first)  # type: ignore[arg-type]

    @staticmethod
    def _store(net: list[layers.Layer]) -> None:
        for layer in net:
            layer.store()

    def forward(self, row: Tensor, kept: Tensor | None) -> Callable[[Tensor], Tensor]:
        tensors = views(row, self.layout)
        if kept is not None:
            tensors[0] = tensors[0].index_select(1, kept)
        net = layers.bind(self.known, tensors)

        @torch.no_grad()
        def run(x: Tensor) -> Tensor:
            for layer in net:
                x = layer.forward(x)
            return x

        return run


class Batched(Layerwise):
    """Trainer of perceptrons: one `baddbmm` per layer and step for a chunk of devices.

    Chunks fit the processor's cache. Input features that are zero in every sample of a device (the
    margins of digits, a third of all pixels on two-label shards) are left out of its first layer:
    the gradient of their weights is zero, so the result is the same.
    """

    CHUNK_BYTES = 4 << 20
    evaluation_batch = 500

    def prepare(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        flat = x.flatten(1)
        kept = (flat != 0).any(0).nonzero().squeeze(1)
        return flat.index_select(1, kept), kept

    @torch.no_grad()
    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        # Longest first: the devices that still train are always a leading slice of the chunk.
        steps = [job.epochs * -(-job.order.shape[1] // self.batch) for job in jobs]
        order = sorted((k for k in range(len(jobs)) if steps[k]), key=lambda k: (-steps[k], k))
        size = max(1, self.CHUNK_BYTES // (rows.shape[1] * rows.element_size()))
        for at in range(0, len(order), size):
            self._train_chunk(rows, jobs, order[at : at + size], on_epoch)

    def _train_chunk(
        self, rows: Tensor, jobs: Sequence[TrainingJob], chunk: list[int], on_epoch: OnEpoch | None
    ) -> None:
        """Train the jobs whose numbers are in `chunk`, longest first, in place."""
        block = rows[chunk]
        tensors = views(block, self.layout)
        full = tensors[0]
        samples = _Samples([jobs[k] for k in chunk], self.x.flatten(1), self.y, self.batch)
        tensors[0] = full.gather(2, samples.columns(full.shape[1]))
        targets = torch.eye(self.layout[-1].shape[0], dtype=rows.dtype)

        def write_back() -> None:
            full.scatter_(2, samples.columns(full.shape[1]), tensors[0])

        active = len(chunk)
        for step in range(samples.steps[0]):
            while samples.steps[active - 1] <= step:
                active -= 1
            net = tensors if active == len(chunk) else [t[:active] for t in tensors]
            x, y, weight = samples.batch_at(step, active)
            _batched_step(net, x, targets[y], weight, self.lr)
            if on_epoch:
                done = [i for i in range(active) if (step + 1) % samples.steps_per_epoch[i] == 0]
                if done:
                    write_back()
                for i in done:
                    on_epoch(chunk[i], (step + 1) // samples.steps_per_epoch[i], block[i])
        write_back()
        rows[chunk] = block


class _Samples:
    """Samples and batches of a chunk of k devices, with the features that each device sees."""

    def __init__(
        self, jobs: Sequence[TrainingJob], features: Tensor, y: Tensor, batch: int
    ) -> None:
        # The features that each device sees come first, then zero ones up to a common `width`.
        held = [np.unique(job.order) for job in jobs]
        n = max(map(len, held))
        batch = min(batch, max(job.order.shape[1] for job in jobs))
        data = [features.index_select(0, torch.from_numpy(h)) for h in held]
        seen = torch.stack([(d != 0).any(0) for d in data])
        width = min(features.shape[1], -(-int(seen.sum(1).max()) // 16) * 16)
        self.kept = torch.argsort((~seen).to(torch.int8), dim=1, stable=True)[:, :width]

        # Samples of device i stand at i * n; batches are padded to the longest schedule.
        self.x = torch.zeros(len(jobs) * n, width, dtype=features.dtype)
        self.y = torch.zeros(len(jobs) * n, dtype=torch.int64)
        plans = [schedule(job.order, batch) for job in jobs]
        self.steps = [len(indices) for indices, _ in plans]
        self.steps_per_epoch = [s // job.epochs for s, job in zip(self.steps, jobs, strict=True)]
        self.indices = torch.zeros(self.steps[0], len(jobs), batch, dtype=torch.int64)
        self.weights = torch.zeros(self.steps[0], len(jobs), batch, 1, dtype=features.dtype)
        for i, (indices, weights) in enumerate(plans):
            at = slice(i * n, i * n + len(held[i]))
            self.x[at] = data[i].index_select(1, self.kept[i])
            self.y[at] = y[torch.from_numpy(held[i])]
            places = torch.from_numpy(np.searchsorted(held[i], indices.numpy()))
            self.indices[: self.steps[i], i] = i * n + places.clamp(max=n - 1)
            self.weights[: self.steps[i], i, :, 0] = weights.to(features.dtype)

    def columns(self, hidden: int) -> Tensor:
        """Return the index `int64[k, hidden, width]` of the kept columns of the first weight."""
        return self.kept.unsqueeze(1).expand(-1, hidden, -1)

    def batch_at(self, step: int, active: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the batch of the first `active` devices at a step.

        Samples [active, B, width], labels [active, B] and weights [active, B, 1].
        """
        at = self.indices[step, :active]
        flat = at.reshape(-1)
        x = self.x.index_select(0, flat).view(*at.shape, -1)
        return x, self.y.index_select(0, flat).view(at.shape), self.weights[step, :active]


def _batched_step(net: list[Tensor], x: Tensor, y: Tensor, weight: Tensor, lr: float) -> None:
    """Take one SGD step of a stack of k perceptrons, in place.

    `net` = W1 [k,h,d], b1 [k,h], W2, ...; x [k,B,d], y one-hot [k,B,classes], weight [k,B,1].
    """
    inputs = []
    for i in range(0, len(net), 2):
        inputs.append(x)
        x = torch.baddbmm(net[i + 1].unsqueeze(1), x, net[i].transpose(1, 2))
        if i + 2 < len(net):
            x = x.relu_()
    grad = torch.softmax(x, 2).sub_(y).mul_(weight)
    for i in range(len(net) - 2, -1, -2):
        below = torch.bmm(grad, net[i]).mul_(inputs[i // 2] > 0) if i else None
        net[i].baddbmm_(grad.transpose(1, 2), inputs[i // 2], alpha=-lr)
        net[i + 1].sub_(grad.sum(1), alpha=lr)
        if below is not None:
            grad = below


def _softmax_gradient(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the weighted cross-entropy by the logits: w (softmax - onehot)."""
    grad = torch.softmax(logits, 1)
    grad[torch.arange(len(y)), y] -= 1
    return grad.mul_(weight.unsqueeze(1))


def _share_parameters(known: list[nn.Module]) -> bool:
    """Return whether two layers hold the same parameter."""
    held = [id(p) for layer in known for p in layer.parameters()]
    return len(held) != len(set(held))


def choose(
    module: nn.Module, layout: Sequence[ParameterSlot], x: Tensor, y: Tensor, lr: float, batch: int
) -> Trainer:
    """Return the fastest trainer that supports every layer of the module."""
    known = layers.known(module)
    if (
        known is None
        or not all(p.requires_grad for p in module.parameters())
        or _share_parameters(known)
        or not layers.fits(known, x[:1])
    ):
        return General(module, layout, x, y, lr, batch)
    trainer = Batched if _is_perceptron(known) else Layerwise
    return trainer(module, layout, x, y, lr, batch, known=known)


def _is_perceptron(known: list[nn.Module]) -> bool:
    """Return whether layers are Linear, ReLU, Linear, ... with biases, after at most a Flatten."""
    kinds = [type(layer) for layer in known]
    if kinds[0] is nn.Flatten:
        kinds = kinds[1:]
    linears = [layer for layer in known if isinstance(layer, nn.Linear)]
    alternating = [nn.Linear, *[nn.ReLU, nn.Linear] * (len(linears) - 1)]
    return kinds == alternating and all(layer.bias is not None for layer in linears)
