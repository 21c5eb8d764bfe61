"""Net income of each device of a sweep: what it was paid, less what the mechanism took from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.labels import shorten
from experiments.results import Results
from experiments.runfiles import setting

CAPTION = (
    "Net income: all that came in less all that went out; "
    "what the mechanism holds for a device still counts as its own."
)

OWNED = (
    "select *, "
    "sum(income) over (partition by run_id, device order by round) + coalesce(locked, 0) "
    "as gained, "
    "case when adversary then 'adversary' else 'honest' end as who from t"
)
"""SQL over `participants` (t): what each device has gained by the end of each round, in base
units, and who it is."""
OWNED_NEEDS = ("round", "device", "adversary", "income", "locked")
"""Columns of `participants` that it reads."""


def gains(results: Results) -> pd.DataFrame:
    """Return one row per run and device.

    Columns: `run_id`, `seed`, `device`, `who` (honest, adversary) and `gained`, in base units.
    """
    return results.sql(
        "select run_id, p.seed, o.device, any_value(o.who) as who, "
        "arg_max(o.gained, o.round)::bigint as gained "
        f"from ({OWNED}) o join p using (run_id) "
        "group by run_id, p.cell, p.seed, o.device order by p.cell, p.seed, o.device",
        t="participants",
    )


def per_run(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run: the mean gain of honest devices and of adversaries."""
    wide = table.pivot_table(index="run_id", columns="who", values="gained", aggfunc="mean")
    wide = wide.reindex(columns=["honest", "adversary"])
    return wide.add_suffix("_gained").reset_index()


def asset_of(results: Results) -> str:
    """Return the name of the asset that all runs pay in; "" where they differ or have none."""
    names = {setting(scenario, "payout.asset") for scenario in results.scenarios().values()}
    only = names.pop() if len(names) == 1 else None
    return only if isinstance(only, str) else ""


def asset(attrs: Mapping[Any, Any]) -> str:
    """Return the unit of amounts for an axis, from the attributes of a figure's table."""
    return shorten(str(attrs.get("asset") or ""), 12) or "base units"
