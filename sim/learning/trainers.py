"""Three ways to train the rows of a matrix: all right, chosen by what the model is made of and by what was measured.

`Batched`    perceptrons: a few devices at once, each step one batched matrix product per layer
`Layerwise`  sequences of known layers (convolutions): device by device with the explicit backward pass
`General`    any `torch.nn.Module`: device by device with autograd

`docs/explanation/engine.md` has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mechanisms.vocabulary import ParameterSlot
from sim.learning import layers
from sim.learning.job import TrainingJob, schedule

OnEpoch = Callable[[int, int, Tensor], None]
"""Called as (job, epochs done, row) after every epoch of every job; the row must not be kept."""


class Trainer(Protocol):
    """Trains in place: row k of `rows` holds job k's start and then its result."""

    evaluation_batch: int

    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None: ...

    def logits(self, row: Tensor, x: Tensor) -> Tensor: ...


def views(rows: Tensor, layout: Sequence[ParameterSlot]) -> list[Tensor]:
    """The parameters inside rows `[..., P]`, each `[..., *shape]`, sharing memory."""
    return [rows[..., s.start : s.stop].view(*rows.shape[:-1], *s.shape) for s in layout]


class _Base:
    evaluation_batch = 100  # samples per forward pass: keeps the activations of a convolution in the cache

    def __init__(self, module: nn.Module, layout: Sequence[ParameterSlot], x: Tensor, y: Tensor, lr: float, batch: int) -> None:
        self.module, self.layout, self.x, self.y, self.lr, self.batch = module, layout, x, y, lr, batch


class General(_Base):
    """Reference and fallback. The module's own mode (train or eval) is set around each use."""

    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        self.module.train()
        names = [s.name for s in self.layout]
        for k, job in enumerate(jobs):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(job.seed)
                params = [v.clone().requires_grad_() for v in views(rows[k], self.layout)]
                for epoch, order in enumerate(job.order):
                    for batch in torch.from_numpy(order).split(self.batch):
                        logits = functional_call(self.module, dict(zip(names, params, strict=True)), (self.x[batch],))
                        grads = torch.autograd.grad(functional.cross_entropy(logits, self.y[batch]), params)
                        with torch.no_grad():
                            for p, g in zip(params, grads, strict=True):
                                p.sub_(g, alpha=self.lr)
                    with torch.no_grad():
                        for view, p in zip(views(rows[k], self.layout), params, strict=True):
                            view.copy_(p)
                    if on_epoch:
                        on_epoch(k, epoch + 1, rows[k])

    def logits(self, row: Tensor, x: Tensor) -> Tensor:
        self.module.eval()
        params = dict(zip((s.name for s in self.layout), views(row, self.layout), strict=True))
        with torch.no_grad():
            return functional_call(self.module, params, (x,))


class Layerwise(_Base):
    """One device at a time through `sim.learning.layers`."""

    def __init__(self, *args: object, known: list[nn.Module]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.known = known

    @torch.no_grad()
    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        for k, job in enumerate(jobs):
            net = layers.bind(self.known, views(rows[k], self.layout))
            indices, weights = schedule(job.order, self.batch)
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
        cache: list[object] = []
        out = self.x[batch]
        for layer in net:
            out = layer.forward(out, cache)
        grad: Tensor | None = _softmax_gradient(out, self.y[batch], weight)
        first = next(i for i, layer in enumerate(net) if isinstance(layer, layers.Linear | layers.Conv2d))
        for i in range(len(net) - 1, first - 1, -1):
            assert grad is not None
            grad = net[i].backward(grad, cache[i], self.lr, first=i == first)  # type: ignore[arg-type]

    @staticmethod
    def _store(net: list[layers.Layer]) -> None:
        for layer in net:
            layer.store()

    @torch.no_grad()
    def logits(self, row: Tensor, x: Tensor) -> Tensor:
        for layer in layers.bind(self.known, views(row, self.layout)):
            x = layer.forward(x)
        return x


class Batched(Layerwise):
    """Perceptrons: chunks of devices small enough for the cache, one `baddbmm` per layer and step for the whole chunk."""

    CHUNK_BYTES = 5 << 20
    evaluation_batch = 500

    @torch.no_grad()
    def train(self, rows: Tensor, jobs: Sequence[TrainingJob], on_epoch: OnEpoch | None) -> None:
        plans = [schedule(job.order, self.batch) for job in jobs]
        # Longest first, so that the devices still training are always a leading slice of the chunk.
        order = sorted(range(len(jobs)), key=lambda k: (-len(plans[k][0]), k))
        size = max(1, self.CHUNK_BYTES // (rows.shape[1] * rows.element_size()))
        for at in range(0, len(order), size):
            self._train_chunk(rows, jobs, plans, order[at : at + size], on_epoch)

    def _train_chunk(
        self,
        rows: Tensor,
        jobs: Sequence[TrainingJob],
        plans: list[tuple[Tensor, Tensor]],
        chunk: list[int],
        on_epoch: OnEpoch | None,
    ) -> None:
        steps = [len(plans[k][0]) for k in chunk]
        if not steps[0]:
            return
        block = rows[chunk]
        tensors = views(block, self.layout)
        indices = torch.zeros(steps[0], len(chunk), self.batch, dtype=torch.int64)
        weights = torch.zeros(steps[0], len(chunk), self.batch, 1, dtype=rows.dtype)
        for i, k in enumerate(chunk):
            indices[: steps[i], i], weights[: steps[i], i, :, 0] = plans[k][0], plans[k][1].to(rows.dtype)
        features = self.x.flatten(1)
        targets = functional.one_hot(self.y, int(self.layout[-1].shape[0])).to(rows.dtype)
        active = len(chunk)
        for step in range(steps[0]):
            while steps[active - 1] <= step:
                active -= 1
            net = tensors if active == len(chunk) else [t[:active] for t in tensors]
            flat = indices[step, :active].view(-1)
            x = features.index_select(0, flat).view(active, self.batch, -1)
            y = targets.index_select(0, flat).view(active, self.batch, -1)
            _batched_step(net, x, y, weights[step, :active], self.lr)
            if on_epoch:
                for i in range(active):
                    job = jobs[chunk[i]]
                    per_epoch = steps[i] // job.epochs
                    if (step + 1) % per_epoch == 0:
                        on_epoch(chunk[i], (step + 1) // per_epoch, block[i])
        rows[chunk] = block


def _batched_step(net: list[Tensor], x: Tensor, y: Tensor, weight: Tensor, lr: float) -> None:
    """One SGD step of a stack of perceptrons: `net` = W1 [k,h,d], b1 [k,h], W2, ...; x [k,B,d], y one-hot, weight [k,B,1]."""
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
    """Gradient of the weighted cross-entropy with respect to the logits: w (softmax - onehot)."""
    grad = torch.softmax(logits, 1)
    grad[torch.arange(len(y)), y] -= 1
    return grad.mul_(weight.unsqueeze(1))


def choose(module: nn.Module, layout: Sequence[ParameterSlot], x: Tensor, y: Tensor, lr: float, batch: int) -> Trainer:
    """The fastest trainer that knows every layer of the module."""
    known = layers.known(module)
    if known is None:
        return General(module, layout, x, y, lr, batch)
    kinds = [type(m) for m in known]
    linears = [m for m in known if isinstance(m, nn.Linear)]
    body = kinds[1:] if kinds[0] is nn.Flatten else kinds
    alternating = body == [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(2 * len(linears) - 1)]
    if alternating and all(m.bias is not None for m in linears):
        return Batched(module, layout, x, y, lr, batch, known=known)
    return Layerwise(module, layout, x, y, lr, batch, known=known)
