"""A model source builds a `torch.nn.Module` that fits a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from mechanisms.plugin import Plugin

if TYPE_CHECKING:
    from torch import nn


class ModelSource(Plugin, ABC):
    """Base of model sources: `build` returns a module from samples to logits.

    `float32[B, *shape]` -> `float32[B, classes]`. Any module will do; an `nn.Sequential` of Linear,
    Conv2d, MaxPool2d, ReLU and Flatten gets the engine's fast paths. Raises ValueError when the
    model cannot take samples of that shape.
    """

    @abstractmethod
    def build(self, shape: tuple[int, ...], classes: int) -> nn.Module: ...
