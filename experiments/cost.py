"""What a run will cost, before its first round: a line above a limit, a question at a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil

from fedstake.errors import FedstakeError
from sim.keys import SettingError
from sim.learning.job import TrainingJob
from sim.world import World

RUN_S, SWEEP_S = 3_600.0, 24 * 3_600.0
"""CPU seconds above which a run, and a sweep as a whole, is announced."""
MEASURED_ABOVE = 1_000_000
"""Samples visited in training, of a whole run: below that a run takes minutes at most."""
MEASURED = 2_000
"""Samples on which the time of training is measured."""


def expected_cpu_s(world: World) -> float:
    """Return the CPU seconds that training takes in the rounds left of a world that was just made.

    The devices' training is timed on a few samples: rounds that only some of them train in take
    less. 0 for what visits fewer samples than `MEASURED_ABOVE`, and for games that train nothing.

    Raises `SettingError` when the order in which a device visits its samples does not fit into the
    memory of this machine.
    """
    game = getattr(world.protocol, "game", None)
    if game is None or not hasattr(game, "bench"):
        return 0.0
    scenario = world.kernel.scenario
    epochs = game.scenario.training.epochs
    held = [len(game.bench.samples(device)) for device in range(scenario.devices)]
    _check_memory(max(held), epochs)
    visits = sum(held) * epochs * (scenario.rounds - world.round_index)
    if visits < MEASURED_ABOVE:
        return 0.0
    return visits * _s_per_visit(game.bench, scenario.devices)


def _check_memory(samples: int, epochs: int) -> None:
    """Raise `SettingError` when the training of one device needs more memory than there is."""
    needed = samples * epochs * np.dtype(np.int64).itemsize
    there = psutil.virtual_memory().total
    if needed > there:
        raise SettingError(
            "training.epochs",
            epochs,
            f"the order in which one device visits its {samples:,} samples takes "
            f"{needed / 1e9:,.0f} GB, this machine has {there / 1e9:,.0f}; "
            "take fewer epochs or samples",
        )


def _s_per_visit(bench: Any, devices: int) -> float:
    """Return the CPU seconds of training for one sample: the second of two timed calls."""
    share = max(1, MEASURED // devices)
    start = bench.engine.initial()
    orders = [bench.samples(device)[None, :share] for device in range(devices)]
    jobs = [TrainingJob(start, order) for order in orders]
    seconds = 0.0
    for _ in range(2):
        began = time.process_time()
        bench.engine.train(jobs)
        seconds = time.process_time() - began
    return seconds / max(1, sum(order.shape[1] for order in orders))


def weight(scenario: Any) -> float:
    """Return how a run's cost compares with that of other runs of its sweep, without a unit."""
    training = getattr(scenario, "training", None)
    data = getattr(scenario, "data", None)
    samples = data.params.get("train", 1) if data is not None else 1
    return float(scenario.rounds * getattr(training, "epochs", 1) * samples)


def expected_of_sweep(scenarios: Sequence[Any], data: Any = None) -> tuple[float, float]:
    """Return the expected CPU seconds (of the longest run, of all runs).

    Only the run that weighs most is built and timed. Plug-ins in files are not run for it: with
    them nothing is expected, (0, 0).
    """
    if not scenarios or any(":" in c.name for s in scenarios for c in s.choices()):
        return 0.0, 0.0
    weights = [weight(scenario) for scenario in scenarios]
    heaviest = int(np.argmax(weights))
    try:
        world = World(scenarios[heaviest], data)
    except FedstakeError:  # the sweep records this run as a failure, with its reason
        return 0.0, 0.0
    try:
        longest = expected_cpu_s(world)
    finally:
        world.close()
    return longest, longest * sum(weights) / weights[heaviest]


def announcement(run_s: float, sweep_s: float, words: Callable[[float], str]) -> str:
    """Return the line for a cost above the limits, "" below them; `words` tells a time."""
    if run_s > RUN_S:
        return (
            f"about {words(run_s)} of CPU time are expected for one run "
            f"(announced above {words(RUN_S)})"
        )
    if sweep_s > SWEEP_S:
        return (
            f"about {words(sweep_s)} of CPU time are expected for all runs "
            f"(announced above {words(SWEEP_S)})"
        )
    return ""
