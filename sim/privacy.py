"""Differential privacy at the device: clip each update, add noise, and account for the epsilon.

Clipping of updates: McMahan et al. 2018, arXiv:1710.06963. Neighbouring data sets differ in all the
samples of one device, and the receiver sees each of its updates. Any two clipped changes are at
most 2C apart, so noise of standard deviation z C is a Gaussian mechanism of noise multiplier z / 2.
"""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache

import numpy as np

from mechanisms.geometry import squared_norms
from mechanisms.vocabulary import FloatMatrix

INSTALL = "pip install 'dp-accounting>=0.6' (the extra fedstake[privacy])"
ORDERS = tuple((1 + np.geomspace(0.02, 5_000, 500)).tolist())
"""Renyi orders of the accountant: within 0.1 % of the best for an epsilon up to 10,000, and within
2 % above, where the best order lies below 1.02 (the accountant goes down to 1.01). The default
ones have gaps above 63.
"""


def accountant_installed() -> bool:
    """Return whether dp-accounting is installed, which computes epsilon."""
    return importlib.util.find_spec("dp_accounting") is not None


def clip_and_blur(
    row: FloatMatrix,
    start: FloatMatrix,
    clip: float,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> FloatMatrix:
    """Return start + (row - start) min(1, C / ||row - start||) + noise, `float32[P]`.

    C = `clip`; the noise is Gaussian of standard deviation `noise` x `clip`. A row that is not
    finite counts as no change, because the bound must hold for any samples. It holds up to the
    rounding of float32.
    """
    change = row.astype(np.float64) - start
    norm = math.sqrt(squared_norms(row[None], start)[0])
    if not math.isfinite(norm):
        change[:] = 0.0
    elif norm > clip:
        change *= clip / norm
    if noise:
        assert rng is not None
        change += rng.normal(0.0, noise * clip, len(change))
    return (start + change).astype(np.float32)


@lru_cache(maxsize=1 << 14)
def epsilon(noise: float, delta: float, updates: int) -> float:
    """Return the epsilon at `delta` of `updates` updates with noise multiplier z = `noise`.

    Renyi differential privacy composed over updates (Mironov 2017, arXiv:1702.07476), by the
    accountant of dp-accounting.
    """
    if updates == 0:
        return 0.0
    import dp_accounting  # an extra that takes a second to import
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(
        ORDERS, neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE
    )
    accountant.compose(dp_accounting.GaussianDpEvent(noise / 2), updates)
    return float(accountant.get_epsilon(delta))
