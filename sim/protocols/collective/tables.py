"""What a collective economy records beside the columns of every game that trains."""

from __future__ import annotations

from sim.charts import Chart
from sim.protocol import Outcome
from sim.recording import INTEGER, TEXT, Column, Table
from sim.training import declared

PARTICIPANTS = {"party": Column(TEXT, "`contributor` or `creator`")}

POOLS = Table(
    "round and pool",
    {
        "round": Column(INTEGER, "which round"),
        "pool": Column(TEXT, "whose: `contributors`, `engineers` or `annotators`"),
        "remaining": Column(
            INTEGER, "base units at the round's end, before what is left of it goes back"
        ),
        "spent": Column(INTEGER, "base units that it lost in the round; negative: that it gained"),
    },
)


def _left(party: str) -> Outcome:
    return Outcome(
        "pools",
        f"arg_max(remaining, round) filter (where pool = '{party}')",
        f"base units left of the pool of the {party} at the end, before they go back",
    )


OUTCOMES = {
    **declared.OUTCOMES,
    **{f"{party}_pool_left": _left(party) for party in ("contributors", "engineers", "annotators")},
    "creator_income": Outcome(
        "participants",
        "sum(income) filter (where party = 'creator')::bigint",
        "income of the creator in the whole run, base units: what it staked and did not get back "
        "counts against it",
    ),
}

CHARTS = (
    Chart(
        "pools",
        "What is left of the pools",
        "Base units of each party's pool at the end of each round.",
        "pools",
        "round",
        "remaining",
        by="pool",
        y_label="base units",
    ),
)
