"""The authors' good and bad contributor with every on-line model: balances and accuracy.

    python docs/market_models.py [--seeds 5] [--workers N]

Plays `docs/market-models/texts.toml` and `workouts.toml` once per seed, on samples drawn with that
seed. Writes `docs/reference/market-models.md` and its numbers beside the other reference results.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sweep_pages import HERE, complete, keep_numbers, keep_page, options, shown

from fedstake import Results, sweep

NAME = "market-models"
SETS = {
    "texts": "Texts: 4,000 and 1,000 to test with, presence of 1,000 words, 320 known at the start",
    "workouts": "Workouts: 3,500 and 1,500 to test with, 9 binary features, 280 known at the start",
}
CELL = ["model", "seed"]


def played(name: str, seeds: int, folder: Path, workers: int | None) -> pd.DataFrame:
    """Return a row per model and seed of one set. Samples are drawn anew with each seed."""
    tables = []
    for seed in range(seeds):
        results = sweep(
            HERE / NAME / f"{name}.toml",
            folder / f"{name}-{seed}",
            seeds=[seed],
            set={"data.params.seed": seed},
            workers=workers,
        )
        complete(results)
        tables.append(measured(results))
        print(f"{name}, seed {seed}: done", flush=True)
    return pd.concat(tables, ignore_index=True).assign(samples=name)


def measured(results: Results) -> pd.DataFrame:
    """Return what each run came to: balances in per cent of the start, accuracies, days."""
    balances = results.table("balances", columns=["moment", "time_s", "adversary", "percent"])
    who = balances["adversary"].map({False: "good", True: "bad"})
    columns = who + ", " + balances["moment"].astype(str)
    percent = balances.assign(column=columns).pivot_table(
        index=CELL, columns="column", values="percent"
    )
    accuracies = results.table("accuracies", columns=["moment", "time_s", "accuracy"])
    accuracies = accuracies[accuracies["moment"] != "published"]
    accuracy = accuracies.pivot_table(
        index=CELL, columns="moment", values="accuracy", observed=True
    )
    ran_out = accuracies[accuracies["moment"] == "ran out"].set_index(CELL)["time_s"] / 86_400
    frame = percent.drop(columns=["good, start", "bad, start"])
    frame["accuracy, start"], frame["accuracy, end"] = accuracy["start"], accuracy["end"]
    runs = results.runs().set_index(CELL)["run_id"]
    frame["baseline"] = [
        results.run(runs[cell]).manifest["baseline_accuracy"] for cell in frame.index
    ]
    frame["gap"] = frame["accuracy, end"] - frame["baseline"]
    frame["days"] = ran_out
    return frame.reset_index()


# --- the page -------------------------------------------------------------------------------------

INTRODUCTION = """# On-line models in a data market

Made by `python docs/market_models.py`: {seeds} seeds, each with generated samples of its own. The
authors' preset (`sum-imdb`, `as_published`): one good contributor, a datum every 10 minutes, and
one that turns every label round, one an hour; deposits are refunded after a day and taken by
anybody after nine. Means with 95 % intervals (Student).
[All numbers](../../results/reference/market-models.csv).

- **Good, bad**: balances in per cent of the start, when the data ran out and at the end, when
  whoever comes first has taken what was left.
- **Accuracy** is that on hidden samples: of the initial model, and of the last one.
- **Against its own baseline**: the last model less the same model trained on all samples with their
  true labels, in percentage points, paired by seed.
"""
COLUMNS = (
    ("good, ran out", "good, % when data ran out", 1, 1),
    ("bad, ran out", "bad, %", 1, 1),
    ("good, end", "good, % at the end", 1, 1),
    ("bad, end", "bad, %", 1, 1),
    ("accuracy, start", "accuracy at the start, %", 100, 1),
    ("accuracy, end", "at the end, %", 100, 1),
    ("gap", "against its own baseline", 100, 1),
)
"""Column, heading, factor and decimal places."""


def page(table: pd.DataFrame, seeds: int) -> str:
    lines = INTRODUCTION.format(seeds=seeds).splitlines()
    headings = ["model", *(heading for _, heading, _, _ in COLUMNS)]
    for name, title in SETS.items():
        lines += ["", f"## {title}", "", f"| {' | '.join(headings)} |"]
        lines.append("|---|" + "---:|" * len(COLUMNS))
        for model, cell in table[table["samples"] == name].groupby("model", sort=False):
            values = [shown(factor * cell[column], places) for column, _, factor, places in COLUMNS]
            lines.append(f"| {' | '.join([str(model), *values])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    args = options(__doc__, f"results/{NAME}")
    folder = Path(args.out)
    tables = [played(name, args.seeds, folder, args.workers) for name in SETS]
    table = pd.concat(tables, ignore_index=True)
    keep_numbers(table, NAME)
    text = page(table, args.seeds)
    keep_page(text, NAME)
    print(text)


if __name__ == "__main__":
    main()
