"""Further tables of the report: the vote with its repair, and the gap by round and network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.vbfl.arms import (
    LYING,
    MATCHED,
    OPEN,
    OPEN_ATTACKED,
    STYLE,
    VBFL,
    VFL,
    VFL_ATTACKED,
)
from experiments.reproduce.vbfl.measures import accuracy, gap, people, rejected

ARMS = (VFL, VFL_ATTACKED, OPEN, OPEN_ATTACKED, VBFL, LYING, MATCHED)
NETWORKS = {"arms": "the size's own", "cnn": "mnist_cnn, reduced data"}


def findings(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """Return the tables with their headings."""
    return [
        ("The vote and its repair", vote(evidence)),
        ("The gap by network and round", gaps(evidence)),
    ]


def vote(evidence: Evidence) -> pd.DataFrame:
    """Return per arm final accuracy, rejected updates and shut-out devices, means over seeds."""
    rows = []
    for arm in ARMS:
        last = accuracy(arm)(evidence)
        if not last:
            continue
        row = {
            "arm": STYLE[arm][0],
            "accuracy": f"{np.mean(last):.3f}",
            "range": f"{min(last):.3f} to {max(last):.3f}",
            "honest rejected": "–",
            "malicious rejected": "–",
            "honest shut out": "–",
            "malicious shut out": "–",
        }
        if arm not in (VFL, VFL_ATTACKED):
            row["honest rejected"] = _percent(rejected(arm, "honest")(evidence))
            row["malicious rejected"] = _percent(rejected(arm, "adversary")(evidence))
            row["honest shut out"], row["malicious shut out"] = _shut_out(evidence, arm)
        rows.append(row)
    return pd.DataFrame(rows)


def _percent(shares: Sequence[float]) -> str:
    return "–" if np.isnan(shares).all() else f"{np.nanmean(shares):.1%}"


def _shut_out(evidence: Evidence, arm: str) -> list[str]:
    """Return the mean number of honest and of malicious devices that are shut out at the end."""
    table = people(evidence, arm)
    last = table[table["round"] == table["round"].max()]
    texts = []
    for bad in (False, True):
        side = last[last["adversary"] == bad]
        out = side.groupby("seed")["blocked"].agg(["sum", "size"]).mean()
        texts.append(f"{out['sum']:.1f} of {out['size']:.0f}" if len(side) else "–")
    return texts


def gaps(evidence: Evidence) -> pd.DataFrame:
    """Return accuracy of VBFL over VFL, both with 3 of 20 malicious devices, means over seeds."""
    rows = []
    for group, network in NETWORKS.items():
        for at in (5, 10, 20, 50, 100):
            ratio = gap(at, group)(evidence)
            if not ratio:
                continue
            ours, theirs, repair = (
                np.mean(accuracy(arm, at, group)(evidence)) for arm in (VBFL, VFL_ATTACKED, MATCHED)
            )
            rows.append(
                {
                    "network": network,
                    "round": at,
                    "VBFL 3/20": f"{ours:.3f}",
                    "VFL 3/20": f"{theirs:.3f}",
                    "gap": f"{np.mean(ratio):.2f}",
                    "repair 3/20": f"{repair:.3f}",
                    "gap with the repair": f"{repair / theirs:.2f}",
                    "runs": len(ratio),
                }
            )
    return pd.DataFrame(rows)
