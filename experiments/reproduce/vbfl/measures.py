"""Measures that are compared with expected values: one number per seed, from recorded runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.measuring import Of, by_seed, ratio
from experiments.reproduce.vbfl.arms import (
    LYING,
    MATCHED,
    OPEN,
    OPEN_ATTACKED,
    POS,
    POW_1,
    POW_2,
    VBFL,
    VFL_ATTACKED,
)
from experiments.reproduce.verdicts import Measure

EARLY = 4
"""Rounds in which no threshold separates honest from malicious updates, by the reference."""
WORKERS = 12


def accuracy(arm: str, at: int = 0, group: str = "arms") -> Measure:
    """Measure the test accuracy of the most-held global model in round `at` (0: the last).

    Empty when there are fewer rounds.
    """

    def measure(evidence: Evidence) -> list[float]:
        table = evidence.rounds(arm, group)
        if table.empty:
            return []
        return table[table["round"] == (at or table["round"].max())]["accuracy"].tolist()

    return measure


def gap(at: int = 0, group: str = "arms") -> Measure:
    """Measure the accuracy of VBFL over that of VFL, both attacked, paired by seed."""
    return ratio(accuracy(VBFL, at, group), accuracy(VFL_ATTACKED, at, group))


def best(arm: str) -> Measure:
    """Measure the highest accuracy of the most-held model in any round."""
    return _by_seed(arm, lambda run: run["accuracy"].max())


def rejected(arm: str, who: str, group: str = "arms") -> Measure:
    """Measure the rejected share of updates of `who` (honest, adversary) in winning blocks."""
    return _by_seed(
        arm, lambda run: _share(run[f"rejected_{who}"].sum(), run[f"accepted_{who}"].sum()), group
    )


def _share(part: float, rest: float) -> float:
    return float(part / (part + rest)) if part + rest else float("nan")


def _by_seed(arm: str, of: Of, group: str = "arms") -> Measure:
    """Measure a number of the rounds of each seed."""
    return by_seed(arm, "rounds", of, group)


def people(evidence: Evidence, arm: str) -> pd.DataFrame:
    """Return table `participants` of one arm; empty when it was not played."""
    return evidence.table("arms", "participants", where=f"arm = '{arm}'")


def honest_shut_out_first(evidence: Evidence) -> list[float]:
    """Return 1 for a seed whose first shut-out device is honest, 0 where it is malicious.

    Nothing for a seed without a shut-out device.
    """
    table = people(evidence, VBFL)
    if table.empty:
        return []
    out = table[table["blocked"].astype(bool)]
    first = out[out["round"] == out.groupby("seed")["round"].transform("min")]
    return [float(not group["adversary"].any()) for _, group in first.groupby("seed")]


def early_errors(evidence: Evidence) -> list[float]:
    """Return the mean error rate of the best threshold on vad in the first rounds.

    0.5 is that of a coin.
    """
    votes = evidence.table("arms", "votes", where=f"arm = '{OPEN_ATTACKED}' and round <= {EARLY}")
    return [least_error(run) for _, run in votes.groupby("seed")] if len(votes) else []


def least_error(votes: pd.DataFrame) -> float:
    """Return the least mean of two error rates over all thresholds on vad.

    The rates are the share of honest votes above and that of malicious votes not above. NaN without
    votes on both.
    """
    known = votes.dropna(subset=["vad"])
    bad = known["worker_adversary"].astype(bool)
    honest = np.sort(known.loc[~bad, "vad"].to_numpy(dtype=float))
    malicious = np.sort(known.loc[bad, "vad"].to_numpy(dtype=float))
    if not len(honest) or not len(malicious):
        return float("nan")
    at = np.concatenate([honest, malicious])
    above = 1 - np.searchsorted(honest, at, side="right") / len(honest)
    below = np.searchsorted(malicious, at, side="right") / len(malicious)
    return float(((above + below) / 2).min())


def worker_reward(evidence: Evidence) -> list[float]:
    """Return the most frequent income of accepted workers per sample and epoch, unforked rounds."""
    table = _paid(evidence)
    if table.empty:
        return []
    accepted = table["accepted"].fillna(False).astype(bool)
    workers = table[(table["role"] == "worker") & accepted]
    unit = workers["income"] / (workers["samples"] * workers["epochs"])
    return _most_frequent(workers.assign(unit=unit), "unit")


def validator_reward(evidence: Evidence) -> list[float]:
    """Return the most frequent income of a validator in an unforked round, base units."""
    table = _paid(evidence)
    return _most_frequent(table[table["role"] == "validator"]) if len(table) else []


def miner_reward(evidence: Evidence) -> list[float]:
    """Return the most frequent income of the winning miner in an unforked round, base units."""
    table = _paid(evidence)
    return _most_frequent(table[table["device"] == table["winner"]]) if len(table) else []


def _most_frequent(table: pd.DataFrame, column: str = "income") -> list[float]:
    return [float(run[column].mode().iloc[0]) for _, run in table.groupby("seed")]


def _paid(evidence: Evidence) -> pd.DataFrame:
    """Return participants of unforked rounds, with the winner of the round.

    Of the arm in which no update is rejected.
    """
    table = people(evidence, OPEN)
    if table.empty:
        return table
    rounds = evidence.rounds(OPEN)
    rounds = rounds[~rounds["forked"].astype(bool)][["seed", "round", "winner"]]
    return table.merge(rounds, on=["seed", "round"])


def top_stake_wins(evidence: Evidence) -> list[float]:
    """Return the share of unforked proof-of-stake rounds that the miner with most stake won."""
    shares = []
    for arm in POS:
        rounds = evidence.rounds(arm)
        if rounds.empty:
            continue
        columns = ["round", "stake"]
        blocks = evidence.table("arms", "blocks", columns=columns, where=f"arm = '{arm}'")
        top = blocks.groupby(["seed", "round"])["stake"].max().rename("top").reset_index()
        joined = rounds[~rounds["forked"].astype(bool)].merge(top, on=["seed", "round"])
        for _, run in joined.groupby("seed"):
            shares.append(float((run["winner_stake"] == run["top"]).mean()))
    return shares


def first_round_forks(evidence: Evidence) -> list[float]:
    """Return 1 for every proof-of-stake run whose first round forked, else 0."""
    forked: list[float] = []
    for arm in POS:
        rounds = evidence.rounds(arm)
        if len(rounds):
            forked += rounds[rounds["round"] == 1]["forked"].astype(float).tolist()
    return forked


def forks(*arms: str) -> Measure:
    """Measure the share of rounds that forked, per run."""

    def measure(evidence: Evidence) -> list[float]:
        shares: list[float] = []
        for arm in arms:
            shares += _by_seed(arm, lambda run: run["forked"].mean())(evidence)
        return shares

    return measure


def malicious_blocks(arm: str, share: bool) -> Measure:
    """Measure the number or share of rounds won by a malicious miner on most devices, per run."""

    def measure(evidence: Evidence) -> list[float]:
        table = mined(evidence, (arm,))
        if table.empty:
            return []
        by_run = table.groupby("seed")["malicious"]
        return (by_run.mean() if share else by_run.sum()).astype(float).tolist()

    return measure


def mined(evidence: Evidence, arms: tuple[str, ...]) -> pd.DataFrame:
    """Return a row per round of some arms: seed, round, forked, winner and malicious.

    `winner` is null without a valid block; `malicious` says whether its miner is.
    """
    found = []
    for arm in arms:
        rounds = evidence.rounds(arm)
        if rounds.empty:
            continue
        devices = people(evidence, arm).groupby(["seed", "device"])
        bad = devices["adversary"].first().rename("malicious").reset_index()
        joined = rounds[["seed", "arm", "round", "forked", "winner"]].merge(
            bad, left_on=["seed", "winner"], right_on=["seed", "device"], how="left"
        )
        found.append(joined.assign(malicious=joined["malicious"].eq(True)).drop(columns="device"))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def stake(adversary: bool) -> Measure:
    """Measure the mean final balance of honest or malicious devices.

    As a share of what an honest device earns when nothing is rejected: 12/20 of the rounds as
    worker, each paid for samples x epochs.
    """

    def measure(evidence: Evidence) -> list[float]:
        table = people(evidence, VBFL)
        if table.empty:
            return []
        rounds = table["round"].max()
        training = evidence.results["arms"].scenarios()[int(table["cell"].iloc[0])]["training"]
        as_worker = WORKERS / table["device"].nunique() * rounds
        full = as_worker * table["samples"].mean() * training["epochs"]
        last = table[(table["round"] == rounds) & (table["adversary"] == adversary)]
        return [float(run["balance"].mean() / full) for _, run in last.groupby("seed")]

    return measure


def simulated_time(evidence: Evidence) -> list[float]:
    """Return the simulated seconds until the end of the last round, of all runs of figure 6."""
    ends: list[float] = []
    for arm in (VBFL, POW_1, POW_2):
        ends += _by_seed(arm, lambda run: run["end_s"].max())(evidence)
    return ends


def block_bytes(evidence: Evidence) -> list[float]:
    """Return per run the median bytes, as simulated, of blocks with 12 updates and 60 votes."""
    blocks = evidence.table("arms", "blocks", where=f"arm = '{OPEN}' and votes = 60")
    if blocks.empty:
        return []
    return [float(run["size_bytes"].median()) for _, run in blocks.groupby("seed")]


def best_at_share(count: int) -> Measure:
    """Measure the highest accuracy of any device with `count` malicious devices (figure 10)."""

    def measure(evidence: Evidence) -> list[float]:
        table = evidence.table("malicious-share", "rounds", columns=["accuracy_max"])
        if table.empty:
            return []
        some = table[table["adversaries.0.count"] == count]
        return [float(run["accuracy_max"].max()) for _, run in some.groupby("seed")]

    return measure


MEASURES: dict[str, Measure] = {
    "vbfl-attacked": accuracy(VBFL),
    "vfl-attacked": accuracy(VFL_ATTACKED),
    "gap": gap(),
    "gap-2nn-round-10": gap(10),
    "gap-cnn-round-10": gap(10, "cnn"),
    "vbfl-clean-round-5": accuracy(OPEN, 5),
    "vbfl-clean-round-10": accuracy(OPEN, 10),
    "vbfl-clean-round-20": accuracy(OPEN, 20),
    "vbfl-clean-round-100": accuracy(OPEN, 100),
    "lying-validators-best": best(LYING),
    "matched-attacked": accuracy(MATCHED),
    "share-8-of-20": best_at_share(8),
    "honest-rejected": rejected(VBFL, "honest"),
    "honest-rejected-matched": rejected(MATCHED, "honest"),
    "malicious-rejected": rejected(VBFL, "adversary"),
    "malicious-rejected-matched": rejected(MATCHED, "adversary"),
    "honest-shut-out-first": honest_shut_out_first,
    "early-errors": early_errors,
    "worker-reward": worker_reward,
    "validator-reward": validator_reward,
    "miner-reward": miner_reward,
    "top-stake-wins": top_stake_wins,
    "pos-round-1-forks": first_round_forks,
    "pos-forks": forks(*POS),
    "pow-1-forks": forks(POW_1),
    "pow-2-malicious-blocks": malicious_blocks(POW_2, share=True),
    "pos-malicious-blocks": malicious_blocks(VBFL, share=False),
    "stake-honest": stake(adversary=False),
    "stake-malicious": stake(adversary=True),
    "src-time": simulated_time,
    "block-time": _by_seed(OPEN, lambda run: run["block_time_s"].mean()),
    "block-bytes-2nn": block_bytes,
    "block-bytes-cnn": block_bytes,
}
