"""What each device of a sweep gained: the figure about money that counts what a mechanism took as well."""

from __future__ import annotations

import pandas as pd

from experiments.results import Results

CAPTION = "Net income: what a device owns at the end, locked stake included, less what it began with."


def owned(results: Results) -> str:
    """SQL over `participants` (t) and the plan (p): balance and locked stake less the starting balance, in base units."""
    start = {cell: s["payout"]["initial_balance"] for cell, s in results.scenarios().items()}
    cases = " ".join(f"when {cell} then {amount}" for cell, amount in start.items() if amount)
    return f"t.balance + coalesce(t.locked, 0) - {f'case p.cell {cases} else 0 end' if cases else 0}"


def gains(results: Results) -> pd.DataFrame:
    """One row per run and device: `run_id`, `seed`, `device`, `who` (honest, adversary) and `gained`, in base units."""
    return results.sql(
        "select run_id, p.seed, t.device, case when bool_or(t.adversary) then 'adversary' else 'honest' end as who, "
        f"arg_max({owned(results)}, t.round)::bigint as gained "
        "from t join p using (run_id) group by run_id, p.cell, p.seed, t.device order by p.cell, p.seed, t.device",
        t="participants",
    )


def per_run(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run: the mean gain of honest devices and of adversaries."""
    wide = table.pivot_table(index="run_id", columns="who", values="gained", aggfunc="mean").reindex(
        columns=["honest", "adversary"]
    )
    return wide.add_suffix("_gained").reset_index()
