"""One thread per process: small training steps lose more to threads than they gain, and sweeps use processes."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits


def single_threaded() -> None:
    """Limit torch and numpy's BLAS to one thread in this process, so that results and costs do not depend on the machine."""
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
