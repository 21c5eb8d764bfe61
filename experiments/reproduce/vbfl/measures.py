"""What each expected value is compared with: one number per seed, from recorded runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from experiments.reproduce.evidence import Evidence
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
"""Rounds in which, the reference says, no threshold tells honest from malicious updates."""
WORKERS = 12


def accuracy(arm: str, at: int = 0, group: str = "arms") -> Measure:
    """Test accuracy of the most-held global model in a round (0: the last); nothing when there are fewer rounds."""

    def measure(evidence: Evidence) -> list[float]:
        table = evidence.rounds(arm, group)
        if table.empty:
            return []
        return table[table["round"] == (at or table["round"].max())]["accuracy"].tolist()

    return measure


def gap(at: int = 0, group: str = "arms") -> Measure:
    """Accuracy of VBFL over that of VFL, both attacked, paired by seed."""

    def measure(evidence: Evidence) -> list[float]:
        pair = [accuracy(arm, at, group)(evidence) for arm in (VBFL, VFL_ATTACKED)]
        return [ours / theirs for ours, theirs in zip(*pair, strict=True)]

    return measure


def best(arm: str) -> Measure:
    """Highest accuracy of the most-held model in any round."""
    return _by_seed(arm, lambda run: run["accuracy"].max())


def rejected(arm: str, who: str, group: str = "arms") -> Measure:
    """Share of the updates of `who` (honest, adversary) in winning blocks that were rejected."""
    return _by_seed(
        arm, lambda run: _share(run[f"rejected_{who}"].sum(), run[f"accepted_{who}"].sum()), group
    )


def _share(part: float, rest: float) -> float:
    return float(part / (part + rest)) if part + rest else float("nan")


def _by_seed(arm: str, of: Callable[[pd.DataFrame], float], group: str = "arms") -> Measure:
    def measure(evidence: Evidence) -> list[float]:
        table = evidence.rounds(arm, group)
        return [float(of(run)) for _, run in table.groupby("seed")] if len(table) else []

    return measure


def people(evidence: Evidence, arm: str) -> pd.DataFrame:
    """Table `participants` of one arm; empty when it was not played."""
    return evidence.table("arms", "participants", where=f"arm = '{arm}'")


def honest_shut_out_first(evidence: Evidence) -> list[float]:
    """1 where the first device that was shut out is honest, 0 where it is malicious; nothing where nobody was."""
    table = people(evidence, VBFL)
    if table.empty:
        return []
    out = table[table["blocked"].astype(bool)]
    first = out[out["round"] == out.groupby("seed")["round"].transform("min")]
    return [float(not group["adversary"].any()) for _, group in first.groupby("seed")]


def early_errors(evidence: Evidence) -> list[float]:
    """Mean of the two error rates that the best single threshold on vad makes in the first rounds; 0.5 is a coin."""
    votes = evidence.table("arms", "votes", where=f"arm = '{OPEN_ATTACKED}' and round <= {EARLY}")
    return [least_error(run) for _, run in votes.groupby("seed")] if len(votes) else []


def least_error(votes: pd.DataFrame) -> float:
    """Smallest mean of (share of honest above, share of malicious not above) over all thresholds on vad; NaN without both."""
    told = votes.dropna(subset=["vad"])
    bad = told["worker_adversary"].astype(bool)
    honest, malicious = (np.sort(told.loc[who, "vad"].to_numpy(dtype=float)) for who in (~bad, bad))
    if not len(honest) or not len(malicious):
        return float("nan")
    at = np.concatenate([honest, malicious])
    above = 1 - np.searchsorted(honest, at, side="right") / len(honest)
    below = np.searchsorted(malicious, at, side="right") / len(malicious)
    return float(((above + below) / 2).min())


def worker_reward(evidence: Evidence) -> list[float]:
    """Income of accepted workers per sample and epoch, in unforked rounds, where it is most often."""
    table = _paid(evidence)
    workers = (
        table[(table["role"] == "worker") & table["accepted"].fillna(False).astype(bool)]
        if len(table)
        else table
    )
    per_unit = (
        workers.assign(unit=workers["income"] / (workers["samples"] * workers["epochs"]))
        if len(workers)
        else workers
    )
    return (
        [float(run["unit"].mode().iloc[0]) for _, run in per_unit.groupby("seed")]
        if len(per_unit)
        else []
    )


def validator_reward(evidence: Evidence) -> list[float]:
    """Most frequent income of a validator in an unforked round, base units."""
    table = _paid(evidence)
    return _most_frequent(table[table["role"] == "validator"]) if len(table) else []


def miner_reward(evidence: Evidence) -> list[float]:
    """Most frequent income of the winning miner in an unforked round, base units."""
    table = _paid(evidence)
    return _most_frequent(table[table["device"] == table["winner"]]) if len(table) else []


def _most_frequent(table: pd.DataFrame) -> list[float]:
    return [float(run["income"].mode().iloc[0]) for _, run in table.groupby("seed")]


def _paid(evidence: Evidence) -> pd.DataFrame:
    """Participants of the arm in which nobody is rejected, in rounds that did not fork, with the winner of the round."""
    table = people(evidence, OPEN)
    if table.empty:
        return table
    rounds = evidence.rounds(OPEN)
    rounds = rounds[~rounds["forked"].astype(bool)][["seed", "round", "winner"]]
    return table.merge(rounds, on=["seed", "round"])


def top_stake_wins(evidence: Evidence) -> list[float]:
    """Share of unforked rounds, proof of stake, whose block came from the miner with most stake."""
    shares = []
    for arm in POS:
        rounds = evidence.rounds(arm)
        if rounds.empty:
            continue
        blocks = evidence.table(
            "arms", "blocks", columns=["round", "stake"], where=f"arm = '{arm}'"
        )
        top = blocks.groupby(["seed", "round"])["stake"].max().rename("top").reset_index()
        joined = rounds[~rounds["forked"].astype(bool)].merge(top, on=["seed", "round"])
        shares += [
            float((run["winner_stake"] == run["top"]).mean()) for _, run in joined.groupby("seed")
        ]
    return shares


def first_round_forks(evidence: Evidence) -> list[float]:
    """1 for every proof-of-stake run whose first round forked, else 0."""
    tables = [evidence.rounds(arm) for arm in POS]
    return [float(fork) for t in tables if len(t) for fork in t[t["round"] == 1]["forked"]]


def forks(*arms: str) -> Measure:
    """Share of rounds that forked, per run."""

    def measure(evidence: Evidence) -> list[float]:
        return [
            share
            for arm in arms
            for share in _by_seed(arm, lambda run: run["forked"].mean())(evidence)
        ]

    return measure


def malicious_blocks(arm: str, share: bool) -> Measure:
    """Rounds whose block most devices took from a malicious miner: their number or share, per run."""

    def measure(evidence: Evidence) -> list[float]:
        table = mined(evidence, (arm,))
        if table.empty:
            return []
        by_run = table.groupby("seed")["malicious"]
        return (by_run.mean() if share else by_run.sum()).astype(float).tolist()

    return measure


def mined(evidence: Evidence, arms: tuple[str, ...]) -> pd.DataFrame:
    """One row per round of some arms: seed, round, forked, winner (null: no valid block), malicious (its miner)."""
    found = []
    for arm in arms:
        rounds = evidence.rounds(arm)
        if rounds.empty:
            continue
        bad = (
            people(evidence, arm)
            .groupby(["seed", "device"])["adversary"]
            .first()
            .rename("malicious")
            .reset_index()
        )
        joined = rounds[["seed", "arm", "round", "forked", "winner"]].merge(
            bad, left_on=["seed", "winner"], right_on=["seed", "device"], how="left"
        )
        found.append(joined.assign(malicious=joined["malicious"].eq(True)).drop(columns="device"))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def stake(adversary: bool) -> Measure:
    """Mean balance of a group's devices at the end, as a share of what an honest device earns when nothing is rejected.

    That is 12/20 of the rounds as worker, each paid for samples x epochs.
    """

    def measure(evidence: Evidence) -> list[float]:
        table = people(evidence, VBFL)
        if table.empty:
            return []
        rounds = table["round"].max()
        training = evidence.results["arms"].scenarios()[int(table["cell"].iloc[0])]["training"]
        full = (
            WORKERS
            / table["device"].nunique()
            * rounds
            * table["samples"].mean()
            * training["epochs"]
        )
        last = table[(table["round"] == rounds) & (table["adversary"] == adversary)]
        return [float(run["balance"].mean() / full) for _, run in last.groupby("seed")]

    return measure


def simulated_time(evidence: Evidence) -> list[float]:
    """Simulated seconds until the end of the last round, of all runs of figure 6."""
    arms = (VBFL, POW_1, POW_2)
    return [end for arm in arms for end in _by_seed(arm, lambda run: run["end_s"].max())(evidence)]


def block_bytes(evidence: Evidence) -> list[float]:
    """Median size of blocks that hold 12 updates and all 60 votes, bytes on the simulated wire, per run."""
    blocks = evidence.table("arms", "blocks", where=f"arm = '{OPEN}' and votes = 60")
    return (
        [float(run["size_bytes"].median()) for _, run in blocks.groupby("seed")]
        if len(blocks)
        else []
    )


def best_at_share(count: int) -> Measure:
    """Highest accuracy of any device in any round with so many malicious devices (figure 10)."""

    def measure(evidence: Evidence) -> list[float]:
        table = evidence.table("malicious-share", "rounds", columns=["accuracy_max"])
        some = table[table["adversaries.0.count"] == count] if len(table) else table
        return (
            [float(run["accuracy_max"].max()) for _, run in some.groupby("seed")]
            if len(some)
            else []
        )

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
