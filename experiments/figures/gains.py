"""Net income of each device of a sweep: what it was paid, less what the mechanism took from it."""

from __future__ import annotations

import pandas as pd

from experiments.results import Results

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
