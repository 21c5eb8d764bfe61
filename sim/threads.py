"""One thread per process: threads slow small training steps down, and sweeps use processes."""

from __future__ import annotations

import sys
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController


def single_threaded() -> None:
    """Limit torch and numpy's BLAS to one thread in this process.

    Results and costs then do not depend on the number of cores.
    """
    torch.set_num_threads(1)
    _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Return the libraries with threads of their own, looked up again when modules came in."""
    return ThreadpoolController()
