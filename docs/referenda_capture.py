"""Capture of referenda against the price of a vote, for each voting rule.

    python docs/referenda_capture.py [--seeds 5] [--workers N]

Plays `docs/referenda-capture/prices.toml` and writes `docs/reference/referenda-capture.md`, its
numbers and its figure beside the other reference results.
"""

from __future__ import annotations

import pandas as pd
from sweep_pages import HERE, complete, keep_figure, keep_numbers, keep_page, options, shown

from fedstake import Results, sweep

NAME = "referenda-capture"
PLAN = HERE / NAME / "prices.toml"
PRICE = "adversaries.0.voter_params.price"

INTRODUCTION = """# Capture of a referendum against the price of a vote

Made by `python docs/referenda_capture.py`: {seeds} seeds, 20 referenda each. A client proposes that
a licence costs nothing, which is worth 2,000 base units to it each time, and buys what it needs as
long as that costs less. Of 42 voters two in three are against; all but the client and the creator
sell their ballot at one price, whatever they hold (1,000 base units, and what they have earned by
training). [All numbers](../../results/reference/referenda-capture.csv).
Means with 95 % intervals (Student). What the words mean: [referenda](../explanation/referenda.md).

- **majority**, **two thirds**: one member, one vote; more than 0.5 or 0.667 of the votes cast.
- **stake leased**: a vote per base unit; the client leases parts of stakes, the largest first, as
  they cost least per unit, and locks 1,000 base units of its own.
- **conviction**: the same, and the client votes with conviction 6, the sellers with 1.
"""
SECTIONS = {
    "captured": (
        "Share of the referenda that were captured",
        2,
        "Capture ends where the cheapest votes that turn the outcome cost more than it is worth. "
        "A higher threshold needs more votes. Stake is leased where most of it stands behind one "
        "ballot, and a buyer who locks its own stake for 32 periods needs less of the others'.",
    ),
    "capture price": (
        "Price of capture, base units",
        0,
        "Of whole ballots, or of leased stake, when the vote began: mean of the referenda.",
    ),
    "paid": (
        "Paid for votes, base units",
        0,
        "In all twenty referenda: where capture is dear, nothing.",
    ),
}


def measured(results: Results) -> pd.DataFrame:
    """Return a row per rule, price and seed."""
    columns = ["captured", "vote_price", "stake_price", "paid"]
    rows = results.table("referenda", columns=columns)
    rows["capture price"] = rows["stake_price"].fillna(rows["vote_price"])
    cell = [rows[name] for name in ("rule", PRICE, "seed")]
    means = rows[["captured", "capture price"]].astype(float).groupby(cell).mean()
    return means.join(rows["paid"].groupby(cell).sum()).reset_index()


def page(table: pd.DataFrame, seeds: int) -> str:
    """Return the page."""
    lines = INTRODUCTION.format(seeds=seeds).splitlines()
    lines += ["", "![Referenda captured](../../results/reference/referenda-capture.png)"]
    prices = sorted(table[PRICE].unique())
    for outcome, (title, places, note) in SECTIONS.items():
        lines += ["", f"## {title}", "", note, ""]
        lines.append(f"| rule | {' | '.join(f'{int(price):,} a vote' for price in prices)} |")
        lines.append("|---|" + "---:|" * len(prices))
        for rule in table["rule"].unique():
            own = table[table["rule"] == rule]
            cells = [shown(own[own[PRICE] == price][outcome], places) for price in prices]
            lines.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = options(__doc__, f"results/{NAME}")
    results = complete(sweep(PLAN, args.out, seeds=args.seeds, workers=args.workers))
    table = measured(results)
    keep_numbers(table, NAME)
    keep_figure(results, "captures", NAME)
    keep_page(page(table, args.seeds), NAME)


if __name__ == "__main__":
    main()
