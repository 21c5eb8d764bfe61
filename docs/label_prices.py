"""Accuracy bought per unit against the number of lazy annotators, for each labelling rule.

    python docs/label_prices.py [--seeds 5] [--workers N]

Plays `docs/label-prices/prices.toml` and writes `docs/reference/label-prices.md`, its numbers and
its figure beside the other reference results.
"""

from __future__ import annotations

import pandas as pd
from sweep_pages import HERE, complete, keep_figure, keep_numbers, keep_page, options, shown

from fedstake import sweep

NAME = "label-prices"
PLAN = HERE / NAME / "prices.toml"
LAZY = "adversaries.0.count"
ANNOTATORS = 20

INTRODUCTION = """# What labels cost: accuracy per unit, rule by rule

Made by `python docs/label_prices.py`: {seeds} seeds. A creator that knows 50 labels of
scikit-learn's digits buys more in 15 rounds, 4 tasks of 20 questions in each (4 of them gold
questions), 5 of 20 annotators to a task, 100 base units for a question. Honest annotators perceive
the label of an easy item with probability 0.85 +- 0.1, looking costs them 20 base units a question;
lazy ones guess, which costs nothing. A nearest-centroid model learns what is bought.
[All numbers](../../results/reference/label-prices.csv). Means with 95 % intervals (Student).
"""
SECTIONS = {
    "gain_per_unit": (
        "Accuracy gained, percentage points per 1,000 base units paid",
        3,
        "The price of a good label. A rule that pays less for the same labels is ahead: compare it "
        "with what honest annotators earn, below.",
    ),
    "accuracy": ("Accuracy of the model at the end", 3, "On the hidden test set."),
    "label_accuracy": ("Share of the labels bought that are right", 3, ""),
    "honest_utility": (
        "Utility of an honest annotator, base units",
        0,
        "Income less effort in the whole run. Below 0 it would rather stay away.",
    ),
    "adversary_utility": (
        "Utility of a lazy annotator, base units",
        0,
        "It has no effort. Where it is above that of an honest one, being lazy pays.",
    ),
}


def page(table: pd.DataFrame, seeds: int) -> str:
    """Return the page."""
    lines = INTRODUCTION.format(seeds=seeds).splitlines()
    lines += ["", "![Accuracy bought per unit](../../results/reference/label-prices.png)"]
    counts = sorted(table[LAZY].unique())
    for outcome, (title, places, note) in SECTIONS.items():
        lines += ["", f"## {title}", "", *([note, ""] if note else [])]
        shares = " | ".join(f"{100 * int(n) // ANNOTATORS} % lazy" for n in counts)
        lines += [f"| rule | {shares} |", "|---|" + "---:|" * len(counts)]
        for rule in table["rule"].unique():
            own = table[table["rule"] == rule]
            cells = [shown(own[own[LAZY] == n][outcome], places) for n in counts]
            lines.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = options(__doc__, f"results/{NAME}")
    results = complete(sweep(PLAN, args.out, seeds=args.seeds, workers=args.workers))
    table = results.outcomes()[["rule", LAZY, "seed", *SECTIONS]].copy()
    keep_numbers(table, NAME)
    keep_figure(results, "labels-per-unit", NAME)
    keep_page(page(table, args.seeds), NAME)


if __name__ == "__main__":
    main()
