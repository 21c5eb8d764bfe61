"""How much each parameter of a rule matters: Morris screening and Sobol indices, by SALib."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.loader import ScenarioError
from experiments.search.rule import RuleHunt
from experiments.search.spec import SensitivitySpec

GAIN = "gain"
LEVELS = 4
"""Levels of a parameter in a Morris trajectory."""
BELOW_ONE = float(np.nextafter(1.0, 0.0))


def sensitivity(hunt: RuleHunt, spec: SensitivitySpec, seed: int, level: float) -> pd.DataFrame:
    """Return a row for each parameter with its indices and the half widths of their intervals.

    Morris (1991, Technometrics 33): `mu_star`, the mean absolute change over the range, and
    `sigma`, the spread of changes: interactions, or a curved answer. Sobol (2001): `S1`, the share
    of the variance that the parameter explains alone, and `ST`, with all its interactions. Values
    are means over the seeds of the search.

    Raises `ScenarioError` for a point of the design that is refused or fails: without it the
    design is not balanced.
    """
    names = list(hunt.ranges)
    # SALib takes a seed of 0 for none.
    seed += 1
    problem = {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = _design(problem, spec, seed)
        values = _values(hunt, spec, rows)
        return _indices(problem, spec, rows, values, seed, level)


def _design(problem: dict[str, Any], spec: SensitivitySpec, seed: int) -> NDArray[np.float64]:
    """Return the points in the unit cube, `float64[n, keys]`."""
    if spec.method == "morris":
        from SALib.sample import morris

        return np.asarray(morris.sample(problem, spec.samples, num_levels=LEVELS, seed=seed))
    from SALib.sample import sobol

    return np.asarray(sobol.sample(problem, spec.samples, calc_second_order=False, seed=seed))


def _values(
    hunt: RuleHunt, spec: SensitivitySpec, rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the value at each point, `float64[n]`."""
    ranges = hunt.ranges.items()
    points = []
    for row in rows:
        at = zip(ranges, row, strict=True)
        points.append({key: given.at(min(float(u), BELOW_ONE)) for (key, given), u in at})
    wanted: list[dict[str, Any]] = []
    for values in points:
        wanted.append(hunt.honest(values))
        if spec.of == GAIN:
            wanted += [dict(duel.attack) for duel in hunt.duels(values).values()]
    hunt.arena.play(wanted, hunt.seeds)
    return np.array([_value(hunt, spec, values) for values in points])


def _value(hunt: RuleHunt, spec: SensitivitySpec, values: dict[str, Any]) -> float:
    name = hunt.arena.trials.name
    if spec.of != GAIN:
        return float(hunt.arena.outcomes(hunt.honest(values), hunt.seeds, spec.of).mean())
    point = hunt.score(values, hunt.seeds, 1)
    if point.cost is None:
        raise ScenarioError(name, "sensitivity", values, f"cannot be played: {point.why}")
    return point.mean


def _indices(
    problem: dict[str, Any],
    spec: SensitivitySpec,
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    seed: int,
    level: float,
) -> pd.DataFrame:
    names = problem["names"]
    if spec.method == "morris":
        from SALib.analyze import morris

        found = morris.analyze(
            problem, rows, values, conf_level=level, num_levels=LEVELS, seed=seed
        )
        columns = ("mu_star", "mu_star_conf", "mu", "sigma")
    else:
        from SALib.analyze import sobol

        found = sobol.analyze(problem, values, calc_second_order=False, conf_level=level, seed=seed)
        columns = ("ST", "ST_conf", "S1", "S1_conf")
    table = {column: np.asarray(found[column], dtype=float) for column in columns}
    frame = pd.DataFrame({"key": names, **table})
    return frame.sort_values(columns[0], ascending=False, ignore_index=True)
