"""The samples of each device, for training and validation, disjoint from the reported test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.data import partition
from sim.data.sources.base import DataError, Dataset
from sim.settings import DataSettings
from sim.streams import Streams

NOTHING = np.empty(0, dtype=np.int64)
"""The samples of a device that holds none."""


@dataclass(frozen=True)
class Split:
    """The samples of each device."""

    train: list[NDArray[np.int64]]
    """Per device the indices into the training set to train on."""
    validation: list[tuple[NDArray[np.float32], NDArray[np.int64]]]
    """Per device (x, y) of its validation samples; one object where devices hold the same ones."""
    held_out: NDArray[np.int64]
    """Indices of all samples that are used for validation instead of training."""
    public: NDArray[np.int64] = field(default_factory=lambda: NOTHING)
    """Indices of the samples that are no device's own: anybody may train on them."""


def split_data(
    data: Dataset,
    settings: DataSettings,
    devices: int,
    streams: Streams,
    *,
    source: str = "holdout",
    holding: str = "shared",
    trainers: Sequence[int] | None = None,
    public: float = 0.0,
) -> Split:
    """Deal the data set to devices. Training and validation samples are disjoint.

    Args:
        data: the data set.
        settings: how its training samples are dealt, and how many are held out.
        devices: to how many devices.
        streams: random streams of the run.
        source: "holdout": validation samples are the held-out ones; "test": the test set, VBFL's
            leak.
        holding: "shared": all devices hold all validation samples; "sharded": each holds its own
            part.
        trainers: the devices that hold training samples; None: all.
        public: share of the training samples that is dealt to nobody.

    Raises `DataError` when there are too few samples.
    """
    n = len(data.y_train)
    leak = source == "test"
    fraction = 0.0 if leak else settings.validation_fraction
    pool, reserve, common = hold_out(n, fraction, streams, public=public)

    # Training samples.
    dealt = range(devices) if trainers is None else trainers
    least = settings.shards_per_device if settings.partition == "shards" else 1
    if len(pool) < len(dealt) * least:
        raise DataError(
            f"devices = {len(dealt)}: the {len(pool)} training samples of {data.name!r} are too few"
        )
    parts = _deal(data.y_train[pool], settings, len(dealt), streams.rng("partition"))
    own = {device: pool[part] for device, part in zip(dealt, parts, strict=True)}

    # Validation samples.
    if settings.validation_fraction and not len(reserve) and not leak:
        raise DataError(
            f"data.validation_fraction = {settings.validation_fraction:g} "
            f"of {n} samples is none; raise it"
        )
    x, y = data.x_train[reserve], data.y_train[reserve]
    if leak:
        x, y = data.x_test, data.y_test
    if holding == "shared" or len(y) == 0:
        validation = [(x, y)] * devices
    else:
        validation = _shards(x, y, devices, settings, streams.rng("validation"))
    train = [own.get(device, NOTHING) for device in range(devices)]
    return Split(train, validation, reserve, common)


def _shards(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    devices: int,
    settings: DataSettings,
    rng: np.random.Generator,
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Return a part of the validation samples for each device."""
    if len(y) < devices:
        raise DataError(
            f"data.validation_fraction = {settings.validation_fraction:g}: "
            f"{len(y)} samples are too few for {devices} devices"
        )
    return [(x[i], y[i]) for i in partition.iid(y, devices, rng)]


def hold_out(
    n: int, fraction: float, streams: Streams, *, public: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw which of n samples devices train on, which are held out, and which are public.

    Each part is in the order of the file, so that without the others it is the file's.
    """
    order = streams.rng("holdout").permutation(n)
    held_out = round(fraction * n)
    cuts = (held_out, held_out + round(public * n))
    reserve, common, pool = (np.sort(part) for part in np.split(order, cuts))
    return pool, reserve, common


def _deal(
    labels: NDArray[np.int64], settings: DataSettings, devices: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Deal samples by the partition of the settings."""
    if settings.partition == "iid":
        return partition.iid(labels, devices, rng)
    if settings.partition == "shards":
        shuffled = settings.shard_order == "shuffled"
        per_device = settings.shards_per_device
        return partition.shards(labels, devices, rng, per_device=per_device, shuffled=shuffled)
    if settings.partition == "quantity":
        return partition.quantity(labels, devices, rng, alpha=settings.alpha)
    try:
        return partition.dirichlet(labels, devices, rng, alpha=settings.alpha)
    except ValueError as error:
        raise DataError(f"data.alpha = {settings.alpha:g}: {error}") from error
