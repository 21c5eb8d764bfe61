"""One thread per process: threads slow small training steps down, and sweeps use processes."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits


def single_threaded() -> None:
    """Limit torch and numpy's BLAS to one thread in this process.

    Results and costs then do not depend on the number of cores.
    """
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
