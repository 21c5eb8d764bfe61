"""Measurements that benchmarks share: CPU seconds, floating-point work, the machine's peak."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from experiments.rundir import write_run
from sim.training.game import TrainingGame
from sim.training.protocol import TrainingProtocol
from sim.training.workbench import Workbench
from sim.world import World


def game(world: World) -> TrainingGame:
    """Return the services of a world whose protocol trains."""
    assert isinstance(world.protocol, TrainingProtocol)
    return world.protocol.game


def bench(world: World) -> Workbench:
    """Return the data, engine and models of a world whose protocol trains."""
    return game(world).bench


def write_tables(world: World) -> float:
    """Write the run of a world to a temporary folder; return the CPU seconds."""
    scenario = world.kernel.scenario
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        tables = world.kernel.tables()
        write_run(Path(folder) / "run", scenario, tables, {"run_id": scenario.run_id()})
        return time.process_time() - began


class Stopwatch:
    """Adds up the CPU seconds that a bound method takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, owner: Any, name: str) -> None:
        """Replace `owner.name` by a timed version of itself."""
        original: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - began

        setattr(owner, name, timed)


def peak_gflops(size: int = 1024, tries: int = 12) -> float:
    """Return the best rate of a float32 matrix product on one thread of this machine."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    best = float("inf")
    for _ in range(tries):
        began = time.process_time()
        torch.mm(a, b, out=out)
        best = min(best, time.process_time() - began)
    return 2 * size**3 / best / 1e9


def gflop(model: nn.Module, sample: torch.Tensor, *, train: bool) -> float:
    """Return the operations of a forward (and backward) pass of one sample, in units of 1e9."""
    with FlopCounterMode(display=False) as counter:
        logits = model(sample)
        if train:
            logits.sum().backward()
    return counter.get_total_flops() / 1e9
