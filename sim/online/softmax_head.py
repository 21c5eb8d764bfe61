"""Softmax regression on features that do not change: encoded off the chain, learned on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.plugin import PluginError, nearest, param
from sim.data.sources.base import Dataset
from sim.learning import models
from sim.online.base import Labels
from sim.online.linear import LinearModel
from sim.online.samples import Rows, Samples

BATCH = 10
"""Samples of a step of the network's training."""
ENCODED = 1_024
"""Samples that are encoded at a time."""


class SoftmaxHead(LinearModel):
    """One step of gradient descent on the cross-entropy of each sample: W -= r z (p - e_y).

    z are the sample's own features, or those that a network gives its last linear layer: it is
    trained off the chain on the initial samples in `pretraining` epochs, then frozen, and its last
    layer is where W starts. Without a network W starts at 0. Then the initial samples are learned
    one by one in `epochs` passes.
    """

    name = "softmax-head"
    summary = "softmax regression, one sample at a time, on plain or encoded features"
    reference = "0xDeCA10B FAQ: encode off the chain, train the last layer on it"
    stochastic = True
    examples = ({}, {"encoder": "mlp", "pretraining": 1})

    @dataclass(frozen=True)
    class Params:
        encoder: str = param("", help="network that encodes samples, of `fedstake list models`")
        pretraining: int = param(
            5, help="epochs of the network's training", unit="epochs", ge=0, le=10_000
        )
        pretraining_rate: float = param(0.05, help="step size of the network's training", gt=0)
        learning_rate: float = param(0.01, help="step size r on the chain", gt=0)
        epochs: int = param(
            1, help="passes over the initial samples", unit="epochs", ge=0, le=10_000
        )
        seed: int = param(0, help="seed of the network's weights and order of samples", ge=0)

        def __post_init__(self) -> None:
            if self.encoder and self.encoder not in models.names():
                raise PluginError(nearest(self.encoder, models.names()), "encoder", self.encoder)

    params: Params

    def fit(self, rows: Rows, labels: Labels) -> None:
        self.weights = np.zeros((self.samples.features + 1, self.samples.classes))
        if self.params.encoder:
            self.inputs, self.weights = self._encoded(rows, labels)
        for _ in range(self.params.epochs):
            for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
                self.update(row, label)

    def update(self, row: int, label: int) -> None:
        scores = self.inputs.dot(self.weights, row)
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        shares[label] -= 1
        multiple = -self.params.learning_rate * shares
        self.weights[self.inputs.indices(row)] += np.multiply.outer(
            self.inputs.values(row), multiple
        )
        self.steps.append((row, multiple))
        self.version += 1

    def predict_one(self, row: int) -> int:
        return int(self.inputs.dot(self.weights, row).argmax())

    def _encoded(self, rows: Rows, labels: Labels) -> tuple[Samples, NDArray[np.float64]]:
        """Return the samples as the frozen network encodes them, and the weights of its head."""
        import torch
        from torch import nn

        from sim.learning.engine import LearningEngine
        from sim.learning.job import TrainingJob

        samples, p = self.samples, self.params

        def build() -> nn.Module:
            module: nn.Module = models.create(p.encoder).build(samples.shape, samples.classes)
            return module

        x = samples.dense(np.arange(len(samples))).reshape(-1, *samples.shape)
        try:
            engine = LearningEngine(
                build,
                x[rows],
                labels,
                learning_rate=p.pretraining_rate,
                batch_size=BATCH,
                seed=p.seed,
                classes=samples.classes,
            )
        except ValueError as error:
            raise self._refusal(f"encoder {p.encoder!r}: {error}") from error
        rng = np.random.default_rng(p.seed)
        orders = np.array([rng.permutation(len(rows)) for _ in range(p.pretraining)])
        job = TrainingJob(engine.initial(), orders.reshape(p.pretraining, len(rows)), p.seed)
        module = build()
        trained = torch.from_numpy(engine.train([job])[0])
        nn.utils.vector_to_parameters(trained, module.parameters())
        encoded, head = _before_last(module, torch.from_numpy(x))
        first, rest = encoded[: samples.train], encoded[samples.train :]
        known, hidden = samples.y[: samples.train], samples.y[samples.train :]
        return Samples(Dataset(samples.name, first, known, rest, hidden, samples.classes)), head


def _before_last(module: Any, x: Any) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return what goes into the last linear layer, `[N, H]`, and its weights `[H + 1, classes]`."""
    import torch
    from torch import nn

    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    seen: list[Any] = []
    last.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].flatten(1)))
    module.eval()
    with torch.no_grad():
        for batch in x.split(ENCODED):
            module(batch)
    bias = torch.zeros(last.out_features) if last.bias is None else last.bias
    head = torch.cat([last.weight.T, bias[None]]).detach().double().numpy()
    return torch.cat(seen).numpy(), head.copy()
