"""The layers of the fast paths: forward, backward and SGD step in one pass, without autograd.

A Linear layer never builds a tensor of gradients: `W -= lr * g^T x` is one fused multiply-add into
the row. Tests compare with autograd.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_CL = torch.channels_last


class Linear:
    """y = x W^T + b."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor, cache: list[Any] | None = None) -> Tensor:
        if cache is not None:
            cache.append(x)
        return functional.linear(x, self.weight, self.bias)

    def backward(self, grad: Tensor, x: Tensor, lr: float, *, first: bool) -> Tensor | None:
        below = None if first else torch.mm(grad, self.weight)
        self.weight.addmm_(grad.t(), x, alpha=-lr)
        if self.bias is not None:
            self.bias.sub_(grad.sum(0), alpha=lr)
        return below

    def store(self) -> None:
        """Do nothing: the row itself was updated in place."""


class Conv2d:
    """Convolution in channels-last order, about 1.5 times as fast with oneDNN.

    It works on a copy of the weights, which `store` writes back to the row.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, layer: nn.Conv2d) -> None:
        self.row = weight
        # Not `.contiguous`: with one input channel it keeps the strides, and oneDNN takes a path
        # that is 5 times slower.
        self.weight = torch.empty_like(weight, memory_format=_CL).copy_(weight)
        self.bias = bias
        self.stride, self.padding, self.dilation = (
            list(map(int, v)) for v in (layer.stride, layer.padding, layer.dilation)
        )
        self.groups = layer.groups

    def forward(self, x: Tensor, cache: list[Any] | None = None) -> Tensor:
        x = x.contiguous(memory_format=_CL)
        if cache is not None:
            cache.append(x)
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def backward(self, grad: Tensor, x: Tensor, lr: float, *, first: bool) -> Tensor | None:
        below, dw, db = torch.ops.aten.convolution_backward(
            grad,
            x,
            self.weight,
            None if self.bias is None else [self.bias.numel()],
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0, 0],
            self.groups,
            [not first, True, self.bias is not None],
        )
        self.weight.sub_(dw, alpha=lr)
        if self.bias is not None:
            self.bias.sub_(db, alpha=lr)
        return below

    def store(self) -> None:
        self.row.copy_(self.weight)


class MaxPool2d:
    """Maximum over windows."""

    def __init__(self, layer: nn.MaxPool2d) -> None:
        self.args: Any = tuple(
            [v, v] if isinstance(v, int) else list(v)
            for v in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        self.ceil = layer.ceil_mode

    def forward(self, x: Tensor, cache: list[Any] | None = None) -> Tensor:
        if cache is None:
            size, stride, padding, dilation = self.args
            return functional.max_pool2d(x, size, stride, padding, dilation, ceil_mode=self.ceil)
        y, where = torch.ops.aten.max_pool2d_with_indices(x, *self.args, self.ceil)
        cache.append((x, where))
        return y

    def backward(
        self, grad: Tensor, kept: tuple[Tensor, Tensor], lr: float, *, first: bool
    ) -> Tensor | None:
        x, where = kept
        grad = grad.contiguous(memory_format=_CL)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            grad, x, *self.args, self.ceil, where
        )

    def store(self) -> None:
        """Do nothing: there are no parameters."""


class ReLU:
    """max(x, 0), with gradient 0 at 0 as in torch."""

    def forward(self, x: Tensor, cache: list[Any] | None = None) -> Tensor:
        y = x.relu()
        if cache is not None:
            cache.append(y)
        return y

    def backward(self, grad: Tensor, y: Tensor, lr: float, *, first: bool) -> Tensor | None:
        return grad * (y > 0)

    def store(self) -> None:
        """Do nothing: there are no parameters."""


class Flatten:
    """[B, ...] -> [B, features]."""

    def forward(self, x: Tensor, cache: list[Any] | None = None) -> Tensor:
        if cache is not None:
            cache.append(x.shape)
        return x.flatten(1)

    def backward(self, grad: Tensor, shape: torch.Size, lr: float, *, first: bool) -> Tensor | None:
        return grad.view(shape)

    def store(self) -> None:
        """Do nothing: there are no parameters."""


Layer = Linear | Conv2d | MaxPool2d | ReLU | Flatten


def known(module: nn.Module) -> list[nn.Module] | None:
    """Return the layers of a plain `nn.Sequential` in the order to run them.

    None when the fast paths do not support one of them. `ReLU, MaxPool` runs as `MaxPool, ReLU`:
    the same function and gradient on a quarter of the numbers.
    """
    if type(module) is not nn.Sequential or _has_hooks(module):
        return None
    layers: list[nn.Module] = []
    for layer in module:
        if isinstance(layer, nn.Sequential):
            inner = known(layer)
            if inner is None:
                return None
            layers += inner
        elif _supported(layer):
            if isinstance(layer, nn.MaxPool2d) and layers and isinstance(layers[-1], nn.ReLU):
                layers.insert(-1, layer)
            else:
                layers.append(layer)
        else:
            return None
    return layers if any(isinstance(m, nn.Linear | nn.Conv2d) for m in layers) else None


def fits(layers: list[nn.Module], sample: Tensor) -> bool:
    """Return whether samples reach every layer in the form that the fast paths expect.

    That is rows for Linear, images for convolutions and pooling.
    """
    with torch.no_grad():
        for layer in layers:
            expected = {nn.Linear: 2, nn.Conv2d: 4, nn.MaxPool2d: 4}.get(type(layer))
            if expected is not None and sample.dim() != expected:
                return False
            sample = layer(sample)
    return True


def _has_hooks(module: nn.Module) -> bool:
    """Return whether a module does more than its class says."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(hooks)


def _supported(layer: nn.Module) -> bool:
    """Return whether the fast paths run a layer exactly."""
    if _has_hooks(layer):
        return False
    if not {name for name, _ in layer.named_parameters()} <= {"weight", "bias"}:
        return False
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if type(layer) is nn.MaxPool2d:
        return not layer.return_indices
    if type(layer) is nn.Flatten:
        return layer.start_dim == 1 and layer.end_dim == -1
    return type(layer) in (nn.Linear, nn.ReLU)


def bind(layers: list[nn.Module], tensors: list[Tensor]) -> list[Layer]:
    """Pair layers with the tensors of one row, given in parameter order."""
    bound: list[Layer] = []
    rest = iter(tensors)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            bound.append(Linear(next(rest), None if layer.bias is None else next(rest)))
        elif isinstance(layer, nn.Conv2d):
            bound.append(Conv2d(next(rest), None if layer.bias is None else next(rest), layer))
        elif isinstance(layer, nn.MaxPool2d):
            bound.append(MaxPool2d(layer))
        else:
            bound.append(ReLU() if isinstance(layer, nn.ReLU) else Flatten())
    return bound
