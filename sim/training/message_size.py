"""How many bytes an update takes on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from mechanisms.vocabulary import ParameterSlot


def update_bytes(layout: Sequence[ParameterSlot], how: str) -> int:
    """Return the bytes of an update; `real`: four per parameter.

    `printed`: length of the text in which torch shows the tensors, as VBFL's code counts.

    Printed tensors are elided beyond 1,000 elements, so that text is far shorter than the update.
    """
    if how == "real":
        return 4 * sum(s.size for s in layout)
    return _printed(tuple((s.name, s.shape) for s in layout))


@lru_cache(maxsize=16)
def _printed(tensors: tuple[tuple[str, tuple[int, ...]], ...]) -> int:
    generator = torch.Generator().manual_seed(0)
    return sum(
        len(name) + 6 + len(str(torch.randn(shape, generator=generator) / 10))
        for name, shape in tensors
    )
