"""FLTrust: updates weighted by their agreement with a clean update."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.aggregators.base import AggregationRule
from mechanisms.geometry import combine, inner_products, squared_norms
from mechanisms.vocabulary import AggregationObservation


class FLTrust(AggregationRule):
    """g + sum_i t_i (||d_0|| / ||d_i||) d_i / sum_i t_i with t_i = max(0, cos(d_i, d_0)).

    d_i = x_i - g, and d_0 the same of the root update, which is trained on the held-out validation
    samples. The model stays when every t_i is 0.
    """

    name = "fltrust"
    summary = (
        "updates weighted by their cosine to an update trained on a clean root set, and scaled to "
        "its length"
    )
    reference = "Cao et al. 2021, arXiv:2012.13995, algorithm 2"
    observes = frozenset({"root"})
    convex = False

    def combine(self, seen: AggregationObservation) -> NDArray[np.floating]:
        base = seen.global_model.astype(np.float64)
        root = seen.root.astype(np.float64) - base
        length = float(np.sqrt(root @ root))
        norms = np.sqrt(squared_norms(seen.updates, base))
        along = inner_products(seen.updates, base, root)
        usable = (norms > 0) & (length > 0)
        trust = np.zeros(len(norms))
        trust[usable] = np.maximum(0.0, along[usable] / (norms[usable] * length))
        if trust.sum() == 0:
            return seen.global_model
        weights = np.zeros(len(norms))
        weights[usable] = trust[usable] / trust.sum() * length / norms[usable]
        return base + combine(weights, seen.updates, base)
