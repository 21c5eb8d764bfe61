"""VBFL's convolutional network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.learning.architectures.base import ModelSource

if TYPE_CHECKING:
    from torch import nn


class MnistCnn(ModelSource):
    """conv5x5(32) ReLU pool2, conv5x5(64) ReLU pool2, 512 ReLU, classes.

    1,663,370 parameters on MNIST.
    """

    name = "mnist_cnn"
    summary = "two 5x5 convolutions with pooling and a hidden layer of 512 (VBFL's larger model)"
    reference = "McMahan et al. 2017, arXiv:1602.05629; Chen et al., arXiv:2101.03300"

    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        from torch import nn

        if len(shape) != 3 or shape[1] % 4 or shape[2] % 4:
            raise ValueError(
                "mnist_cnn needs images whose sides are multiples of 4, not samples of shape "
                f"{shape}"
            )
        channels, height, width = shape
        return nn.Sequential(
            nn.Conv2d(channels, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * (height // 4) * (width // 4), 512),
            nn.ReLU(),
            nn.Linear(512, classes),
        )
