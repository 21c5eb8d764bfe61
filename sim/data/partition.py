"""Partitions of training samples: each function returns an array of indices per device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def iid(labels: Indices, devices: int, rng: np.random.Generator) -> list[Indices]:
    """Shuffle and cut into equal parts (sizes differ by at most one)."""
    return [np.asarray(p) for p in np.array_split(rng.permutation(len(labels)), devices)]


def shards(
    labels: Indices,
    devices: int,
    rng: np.random.Generator,
    *,
    per_device: int = 2,
    shuffled: bool = True,
) -> list[Indices]:
    """Sort by label, cut into devices * per_device shards and deal `per_device` to each device.

    McMahan et al. 2017 and VBFL. Shards have floor(N / devices / per_device) samples; the few that
    remain are not used, as in VBFL. Samples of one label are shuffled before they are cut, or stay
    in the order given; the same shards of the same labels go to the same devices either way.
    """
    size = len(labels) // devices // per_device
    ids = rng.permutation(len(labels) // size)[: devices * per_device].reshape(devices, per_device)
    start = rng.permutation(len(labels)) if shuffled else np.arange(len(labels))
    order = start[np.argsort(labels[start], kind="stable")]
    return [np.concatenate([order[i * size : (i + 1) * size] for i in row]) for row in ids]


def dirichlet(
    labels: Indices, devices: int, rng: np.random.Generator, *, alpha: float
) -> list[Indices]:
    """Draw per class the proportions over devices from Dirichlet(alpha).

    Hsu et al. 2019, arXiv:1909.06335. Redrawn until every device has a sample; ValueError when
    1,000 draws were not enough.
    """
    classes = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    for _ in range(1_000):
        parts: list[list[Indices]] = [[] for _ in range(devices)]
        for members in classes:
            shares = np.cumsum(rng.dirichlet(np.full(devices, alpha)))[:-1]
            cuts = (shares * len(members)).round().astype(int)
            for part, piece in zip(parts, np.split(rng.permutation(members), cuts), strict=True):
                part.append(piece)
        dealt = [np.concatenate(p) for p in parts]
        if min(map(len, dealt)) > 0:
            return dealt
    raise ValueError(
        f"Dirichlet({alpha:g}) leaves some of {devices} devices without samples; raise alpha"
    )


def quantity(
    labels: Indices, devices: int, rng: np.random.Generator, *, alpha: float
) -> list[Indices]:
    """Draw sizes proportional to Dirichlet(alpha), at least one sample each; labels stay IID."""
    shares = rng.dirichlet(np.full(devices, alpha))
    sizes = 1 + np.floor(shares * (len(labels) - devices)).astype(int)
    dealt = rng.permutation(len(labels))[: sizes.sum()]
    return [np.asarray(part) for part in np.split(dealt, np.cumsum(sizes)[:-1])]
