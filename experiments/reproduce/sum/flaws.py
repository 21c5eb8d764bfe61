"""What the published deposit-refund-take gets wrong: three experiments, a number per seed each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.intervals import interval
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.measuring import Of, by_seed, difference
from experiments.reproduce.verdicts import Measure
from mechanisms.vocabulary import TOKEN

Arm = Callable[[str], Measure]
"""Makes the measure of an arm."""
GROUP = "flaws"
"""The sweep `flaws.toml`."""
GAPS = {"grief_none": "nobody", "grief_8": "8", "grief_4": "4", "grief_3": "3"}
"""Arms of the first experiment, and the griefer's seconds between two data."""
GRIEFER, OTHERS = 7, (5, 6, 7)
IDENTITIES = {"sybils_2": (6, 7), "sybils_6": (2, 3, 4, 5, 6, 7)}
"""Arms of the third experiment, and the devices of one owner."""


def _by_seed(arm: str, table: str, of: Of) -> Measure:
    return by_seed(arm, table, of, GROUP)


# --- griefing by rapid updates --------------------------------------------------------------------


def priced_out(arm: str) -> Measure:
    """Measure the share of the data which honest contributors offer that is refused."""
    return _by_seed(
        arm, "submissions", lambda run: run.loc[run["device"] != GRIEFER, "datum"].isna().mean()
    )


def paid_by_griefer(arm: str) -> Measure:
    """Measure what the griefer has lost in the end, in tokens; below 0: gained."""
    return _by_seed(arm, "balances", lambda run: _lost(run[run["device"] == GRIEFER]))


def locked_by_griefer(arm: str) -> Measure:
    """Measure the deposits of the griefer in an hour of the market, in tokens."""

    def tokens(run: pd.DataFrame) -> float:
        paid = run.loc[(run["device"] == GRIEFER) & (run["time_s"] < 3_600), "cost"]
        return float(paid.sum()) / TOKEN

    return _by_seed(arm, "submissions", tokens)


def _lost(balances: pd.DataFrame) -> float:
    """Return the tokens that all of a table have lost from the start to the end."""
    held = balances.groupby("moment", observed=True)["balance"].sum()
    return float(held["start"] - held["end"]) / TOKEN


# --- agreeable data -------------------------------------------------------------------------------


def farmed(measure: Arm) -> Measure:
    """Measure a difference that agreeable data make, paired by seed with honest data."""
    return difference(measure("agreeable"), measure("agreeable_none"))


def gained(arm: str) -> Measure:
    """Measure what devices 5 to 7 together have gained, in tokens."""
    return _by_seed(arm, "balances", lambda run: -_lost(run[run["device"].isin(OTHERS)]))


def standing(arm: str) -> Measure:
    """Measure the share of devices 5 to 7 in all data that were found good."""

    def share(run: pd.DataFrame) -> float:
        last = run[run["round"] == run["round"].max()]
        total = last["standing"].sum()
        return last.loc[last["device"].isin(OTHERS), "standing"].sum() / total if total else np.nan

    return _by_seed(arm, "participants", share)


def accuracy(arm: str) -> Measure:
    """Measure the accuracy of the last model."""
    return _by_seed(
        arm, "accuracies", lambda run: run.loc[run["moment"] == "end", "accuracy"].iloc[0]
    )


# --- sybils that take their own deposits ----------------------------------------------------------


def refunded(arm: str) -> Measure:
    """Measure the share of the first identity's deposits that is refunded, wrong as they are."""

    def measure(evidence: Evidence) -> list[float]:
        paid, back, _ = _deposits(evidence, arm)
        return (back / paid).tolist()

    return measure


def taken_back(arm: str) -> Measure:
    """Measure the share of its other deposits that its owner takes back by reports."""

    def measure(evidence: Evidence) -> list[float]:
        paid, back, taken = _deposits(evidence, arm)
        return (taken / (paid - back)).tolist()

    return measure


def _deposits(evidence: Evidence, arm: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return deposits of the first identity, and what of them it is refunded and others take.

    Base units by seed; empty where the arm was not played.
    """
    added = evidence.of([arm], "submissions", GROUP)
    if added.empty:
        nothing = pd.Series(dtype=float)
        return nothing, nothing, nothing
    first = IDENTITIES[arm][0]
    paid = added[added["device"] == first].groupby("seed")["cost"].sum().astype(float)
    claims = evidence.of([arm], "claims", GROUP)
    own = claims[claims["device"].isin(IDENTITIES[arm]) & (claims["author"] == first)]
    back, taken = (
        own[own["kind"] == kind].groupby("seed")["amount"].sum().reindex(paid.index, fill_value=0)
        for kind in ("refund", "report")
    )
    return paid, back.astype(float), taken.astype(float)


def share_of_group(arm: str) -> Measure:
    """Measure the share n / N of the owner's identities in all data that were found good."""
    devices = IDENTITIES[arm]

    def share(run: pd.DataFrame) -> float:
        last = run[run["round"] == run["round"].max()]
        total = last["standing"].sum()
        return last.loc[last["device"].isin(devices), "standing"].sum() / total if total else np.nan

    return _by_seed(arm, "participants", share)


# --- tables ---------------------------------------------------------------------------------------


def findings(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """Return the table of each experiment with its heading: means with 95 % intervals."""
    griefing: dict[str, Arm] = {
        "honest data refused": priced_out,
        "deposits in the first hour, tokens": locked_by_griefer,
        "lost by the griefer, tokens": paid_by_griefer,
    }
    rows = [
        {"seconds between its data": gap, **_row(evidence, griefing, arm)}
        for arm, gap in GAPS.items()
    ]
    farming: dict[str, Arm] = {
        "gained by the three, tokens": gained,
        "their share of good data": standing,
        "accuracy": accuracy,
    }
    names = {"agreeable": "agreeable", "agreeable_none": "honest"}
    farms = [{"the three are": name, **_row(evidence, farming, arm)} for arm, name in names.items()]
    paired = {what: shown(farmed(measure)(evidence)) for what, measure in farming.items()}
    farms.append({"the three are": "difference, paired", **paired})
    kinds: dict[str, Arm] = {
        "refunded to the first": refunded,
        "of the rest, taken back by reports": taken_back,
        "n / N at the end": share_of_group,
    }
    sybils = [
        {"identities": str(len(devices)), **_row(evidence, kinds, arm)}
        for arm, devices in IDENTITIES.items()
    ]
    return [
        ("Griefing by rapid updates", pd.DataFrame(rows)),
        ("Agreeable data", pd.DataFrame(farms)),
        ("Sybils that take their own deposits", pd.DataFrame(sybils)),
    ]


def _row(evidence: Evidence, measures: Mapping[str, Arm], arm: str) -> dict[str, str]:
    return {what: shown(measure(arm)(evidence)) for what, measure in measures.items()}


def shown(values: Sequence[float], places: int | None = None) -> str:
    """Return mean and 95 % interval in words, as "0.25 [0.21, 0.29]"; "–" without values.

    A single value has no interval. `places`: decimals; 2 by default, none from 100 on.
    """
    if not values:
        return "–"
    array = np.asarray(values, dtype=float)
    low, high = interval(array)
    if places is None:
        places = 0 if abs(array.mean()) >= 100 else 2
    mean = f"{array.mean():,.{places}f}"
    return mean if np.isnan(low) else f"{mean} [{low:,.{places}f}, {high:,.{places}f}]"
