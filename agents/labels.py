"""Wrong labels, and the numbers of classes that parameters name."""

from __future__ import annotations

import numpy as np

from mechanisms.plugin import PluginError


def wrong_label(label: int, classes: int, rng: np.random.Generator) -> int:
    """Return a label other than the true one, each equally likely; of two classes 1 - y."""
    if classes == 2:
        return 1 - label
    return (label + 1 + int(rng.random() * (classes - 1))) % classes


def check_class(number: int, classes: int, key: str) -> None:
    """Raise `PluginError` unless a parameter, by its key, names one of the classes."""
    if number >= classes:
        raise PluginError(f"classes are numbered 0..{classes - 1}", key, number)
