"""Further tables of the report: baselines, models, accounts, and what the design gets wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.sum import accounts, flaws
from experiments.reproduce.sum.files import FILES
from experiments.reproduce.sum.flaws import shown
from experiments.reproduce.sum.measures import (
    IMDB,
    MEASURES,
    MODELS,
    PERCEPTRON,
    PLACES,
    accuracies,
    bad_deposit,
    balance,
    baseline,
    days,
    learned,
    ruin,
    swept,
)

GENERATED = {"fitness.npz": "fitness-like", "imdb.npz": "imdb-like"}
"""Generated data of the shape of a file."""
ARMS = {
    "preset": "preset, as published",
    "unlocked": "preset, real seconds, nobody leaves for good",
    "matched": "preset, data with the published baseline",
    "short": "4,000 data, 100 known at the start",
    "itself": "preset, imdb.npz",
}
"""Arms of the README figure in words."""


def findings(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """Return the tables with their headings: means with 95 % intervals over seeds."""
    return [
        ("The README figure, arm by arm", readme(evidence)),
        ("The preset with each model", models(evidence)),
        ("Baselines by data set: file and generated stand-in", baselines(evidence)),
        ("A thousand data in the prediction market", accounts.table(evidence)),
        *((heading, played(table)) for heading, table in flaws.findings(evidence)),
    ]


def played(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in which something was measured; no rows without any."""
    return table[(table.iloc[:, 1:] != "–").any(axis=1)]


def readme(evidence: Evidence) -> pd.DataFrame:
    """Return balances at both moments, accuracy and days per arm."""
    rows = []
    for arm, name in ARMS.items():
        group = PLACES[arm]
        end = balance(arm, group, "end", adversary=False)(evidence)
        if not end:
            continue
        row = {"arm": name, "seeds": str(len(end))}
        for who, adversary in (("good", False), ("bad", True)):
            for moment in ("ran out", "end"):
                measured = balance(arm, group, moment, adversary=adversary)(evidence)
                row[f"{who}, {moment}, %"] = shown(measured)
        rows.append(row | _course(evidence, arm, group))
    return pd.DataFrame(rows)


def _course(evidence: Evidence, arm: str, group: str) -> dict[str, str]:
    return {
        "accuracy at the end": _accuracy(accuracies(arm, group, "last")(evidence)),
        "data ran out, day": shown(days(arm, group, "ran out")(evidence)),
        "bad is ruined, day": shown(_known(ruin(arm, group)(evidence))),
        "mean deposit of bad, tokens": shown(bad_deposit(arm)(evidence)),
        "deposits swept after the data ran out": shown(swept(arm)(evidence)),
    }


def models(evidence: Evidence) -> pd.DataFrame:
    """Return per model what good and bad have, and how often a wrong label is refunded."""
    rows = []
    for model, (arm, group) in {
        PERCEPTRON: ("preset", IMDB),
        "perceptron": ("perceptron", MODELS),
        "naive-bayes": ("naive-bayes", MODELS),
        "nearest-centroid": ("nearest-centroid", MODELS),
    }.items():
        good = balance(arm, group, "end", adversary=False)(evidence)
        if not good:
            continue
        rows.append(
            {
                "model": model,
                "good, end, %": shown(good),
                "bad, end, %": shown(balance(arm, group, "end", adversary=True)(evidence)),
                "accuracy at the end": _accuracy(accuracies(arm, group, "last")(evidence)),
                "knowing all data": _accuracy(baseline("imdb-like", model)(evidence)),
                "bad labels refunded": shown(learned(arm, group)(evidence)),
            }
        )
    return pd.DataFrame(rows)


def baselines(evidence: Evidence) -> pd.DataFrame:
    """Return a row per data set and model: measured on the file, and on its stand-in."""
    rows = []
    for file, names in FILES.items():
        for model in names:
            name = f"baseline-{file.removesuffix('.npz')}-{model}"
            stand_in = GENERATED.get(file, "")
            rows.append(
                {
                    "file": file,
                    "model": model,
                    "on the file": _accuracy(MEASURES[name](evidence)) or "not at hand",
                    "stand-in": stand_in or "none",
                    "on the stand-in": _accuracy(baseline(stand_in, model)(evidence)) or "–",
                }
            )
    found = pd.DataFrame(rows)
    measured = found["on the file"].ne("not at hand") | found["on the stand-in"].ne("–")
    return found if measured.any() else pd.DataFrame()


def _accuracy(values: Sequence[float]) -> str:
    return shown(values, places=3) if values else ""


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if value == value]
