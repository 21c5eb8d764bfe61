"""Every attack on a data market against every market rule.

    python docs/market_attacks.py [--seeds 5] [--workers N]

Plays `docs/market-attacks/attacks.toml` once per seed, on samples drawn with that seed, and
`experiments/reproduce/sum/flaws.toml`. Writes `docs/reference/market-attacks.md` and its numbers
beside the other reference results.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sweep_pages import HERE, complete, keep_numbers, keep_page, options, shown

from experiments.intervals import interval
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.sum import flaws
from fedstake import Results, sweep

NAME = "market-attacks"
ATTACKS = HERE / NAME / "attacks.toml"
FLAWS = Path(flaws.__file__).with_name("flaws.toml")
CELL = ["rule", "attack"]
NOBODY, BASELINE = "nobody", "free"
AGAINST = {"cheating-provider": "honest provider"}
"""Which honest play an attack is compared with, where that is not `NOBODY`."""


def played(seeds: int, folder: Path, workers: int | None) -> pd.DataFrame:
    """Return a row per rule, attack and seed. Samples are drawn anew with each seed."""
    tables = []
    for seed in range(seeds):
        results = sweep(
            ATTACKS,
            folder / f"attacks-{seed}",
            seeds=[seed],
            set={"data.params.seed": seed},
            workers=workers,
        )
        complete(results)
        tables.append(measured(results).assign(seed=seed))
        print(f"seed {seed}: done", flush=True)
    table = pd.concat(tables, ignore_index=True)
    found = table.set_index(["rule", "attack", "seed"])
    against = table["attack"].map(AGAINST).fillna(NOBODY)
    places = [*zip(table["rule"], against, table["seed"], strict=True)]
    table["gain"] = table["attackers"] - found["attackers"].loc[places].to_numpy()
    trained = found.sort_index().loc[BASELINE, NOBODY]["accuracy"]
    table["against baseline"] = table["accuracy"] - trained.loc[table["seed"]].to_numpy()
    return table


def measured(results: Results) -> pd.DataFrame:
    """Return what each run came to; balances are in per cent of the start, means of a group."""
    end = results.table("balances", columns=["adversary", "percent"], where="moment = 'end'")
    percent = end.groupby([*CELL, "adversary"])["percent"].mean().unstack()
    accuracy = results.table("accuracies", columns=["accuracy"], where="moment = 'end'")
    offers = results.table("submissions", columns=["datum"], where="device < 5")
    refused = offers["datum"].isna().groupby([offers[name] for name in CELL]).mean()
    frame = pd.DataFrame(
        {
            "honest": percent[False],
            "attackers": percent[True],
            "accuracy": accuracy.set_index(CELL)["accuracy"],
            "priced out": refused,
        }
    )
    return frame.reset_index()


# --- the page -------------------------------------------------------------------------------------

INTRODUCTION = """# Attacks on data markets

Made by `python docs/market_attacks.py`: {seeds} seeds, each with 440 generated samples of two
classes (20 features, means 2.5 standard deviations apart) that are offered one by one to a
perceptron which knows 60 more. Eight contributors with 250 tokens each add a datum an hour and
offer 50 tokens at most on average; devices 5, 6 and 7 attack. Deposits can be claimed after a day,
and taken by anybody after nine, as published.
[All numbers](../../results/reference/market-attacks.csv). Means with 95 % intervals (Student).

- **Honest, attackers**: balance at the end, in per cent of the start. Griefers begin with 500
  tokens; where device 5 provides the test set, the three begin with 1,250 and it pays the bounty of
  a prediction market, 1,000 tokens. Points are no money: nobody gains or loses any.
- **Gain** is what attackers have more than the same three have who are honest, in percentage points
  of the start, paired by seed; a cheating provider against an honest one. Bold: the rule **fails**,
  the whole interval is above zero.
- **Accuracy against baseline** is that of the last model on hidden samples, less that of the same
  model under rule `free` when nobody attacks, paired by seed. Baseline: {baseline}.
  Under a prediction market the model learns all data when the market ends.
- **Priced out** is the share of the data offered by honest contributors that the rule refused.
- "the same, clock of each" is `deposit-refund-take` with the price counted from the last datum of
  the same contributor, not of anybody. `As shipped` is the prediction market with the accounts of
  the published simulator.

A market rule judges data by its model, so what turns the model (`label-flip`) turns the rule. Where
no gain is found, the interval says how sure that is: other parameters may gain where these do not.
"""


def page(table: pd.DataFrame, seeds: int, experiments: Evidence) -> str:
    baseline = table[(table["rule"] == BASELINE) & (table["attack"] == NOBODY)]["accuracy"]
    lines = INTRODUCTION.format(seeds=seeds, baseline=shown(baseline, 3)).splitlines()
    for attack in table["attack"].unique():
        lines += ["", f"## {attack[0].upper()}{attack[1:]}", ""]
        lines.append(
            "| rule | honest | attackers | gain | accuracy against baseline | priced out |"
        )
        lines.append("|---|---|---|---|---|---|")
        for rule in table["rule"].unique():
            cell = table[(table["rule"] == rule) & (table["attack"] == attack)]
            lines.append(
                f"| {rule} | {shown(cell['honest'], 1)} | {shown(cell['attackers'], 1)} "
                f"| {gain(cell['gain'])} | {shown(cell['against baseline'], 3)} "
                f"| {shown(100 * cell['priced out'], 0)} % |"
            )
    lines += ["", *_experiments(experiments)]
    return "\n".join(lines) + "\n"


def _experiments(evidence: Evidence) -> list[str]:
    """Return the sections on what the published design gets wrong."""
    lines = [
        "# What the published design gets wrong",
        "",
        "`experiments/reproduce/sum/flaws.toml`, all under `deposit-refund-take` with contributors "
        "who hold 1,000 tokens. Means with 95 % intervals over seeds.",
    ]
    for heading, table in flaws.findings(evidence):
        lines += ["", f"## {heading}", "", NOTES[heading], ""]
        lines.append(f"| {' | '.join(table.columns)} |")
        lines.append("|---|" + "---:|" * (len(table.columns) - 1))
        lines += [f"| {' | '.join(row)} |" for row in table.to_numpy()]
    return lines


NOTES = {
    "Griefing by rapid updates": (
        "One griefer with 100,000 tokens adds data that the model predicts already, for six hours; "
        "deposits come back after one. Honest contributors offer 50 tokens, with a standard "
        "deviation of 10. Within three seconds of a datum the price is 60, and seconds are whole "
        "ones: a datum every 4 seconds keeps everybody else at 60 and costs the griefer 30."
    ),
    "Agreeable data": (
        "Devices 5 to 7 label each sample as the model predicts it, against the same three being "
        "honest; device 4 adds wrong labels."
    ),
    "Sybils that take their own deposits": (
        "The first of an owner's identities adds wrong labels. What the model has learned when "
        "they can be claimed is refunded to it; of the rest the other identities, which report it, "
        "take their shares n / N, which grow with what is refunded."
    ),
}


def gain(values: pd.Series) -> str:
    """Return mean and half of the interval, bold when all of it is above zero."""
    low, high = interval(values.to_numpy())
    text = f"{values.mean():+.1f} ± {(high - low) / 2:.1f}"
    return f"**{text}**" if np.round(low, 6) > 0 else text


def main() -> None:
    args = options(__doc__, f"results/{NAME}")
    folder = Path(args.out)
    found = complete(sweep(FLAWS, folder / "flaws", seeds=args.seeds, workers=args.workers))
    table = played(args.seeds, folder, args.workers)
    keep_numbers(table, NAME)
    keep_page(page(table, args.seeds, Evidence({flaws.GROUP: found})), NAME)


if __name__ == "__main__":
    main()
