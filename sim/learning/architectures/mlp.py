"""Multilayer perceptrons, VBFL's `mnist_2nn` and softmax regression among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from mechanisms.plugin import param
from sim.learning.architectures.base import ModelSource

if TYPE_CHECKING:
    from torch import nn


def perceptron(sizes: list[int]) -> nn.Sequential:
    """Flatten, then Linear layers with ReLU between them."""
    from torch import nn

    layers: list[nn.Module] = [nn.Flatten()]
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        layers += [nn.ReLU()] if i else []
        layers.append(nn.Linear(fan_in, fan_out))
    return nn.Sequential(*layers)


class Mnist2nn(ModelSource):
    """784-200-200-10 on MNIST (199,210 parameters); the input layer follows the data set."""

    name = "mnist_2nn"
    summary = "two hidden layers of 200, ReLU (VBFL's smaller model)"
    reference = "McMahan et al. 2017, arXiv:1602.05629; Chen et al., arXiv:2101.03300"

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return perceptron([math.prod(shape), 200, 200, classes])


class Mlp(ModelSource):
    """Any number of hidden layers."""

    name = "mlp"
    summary = "perceptron with the hidden layers given"
    reference = "textbook"

    @dataclass(frozen=True)
    class Params:
        hidden: tuple[int, ...] = param((64,), help="sizes of the hidden layers", ge=1, le=10**5)

    params: Params

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return perceptron([math.prod(shape), *self.params.hidden, classes])


class Softmax(ModelSource):
    """Multinomial logistic regression."""

    name = "softmax"
    summary = "softmax regression, one linear layer"
    reference = "textbook"

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        return perceptron([math.prod(shape), classes])
