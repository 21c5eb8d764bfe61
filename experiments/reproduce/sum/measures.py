"""Measures that are compared with expected values: one number per seed, from recorded runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from experiments.reproduce.evidence import Evidence
from experiments.reproduce.measuring import by_seed, difference
from experiments.reproduce.sum import accounts, flaws
from experiments.reproduce.sum.deposits import FORMULAS, SECONDS, deposit
from experiments.reproduce.sum.files import FILES, ITSELF, group_of
from experiments.reproduce.verdicts import Measure
from mechanisms.vocabulary import TOKEN

DAY_S = 86_400.0
IMDB, MODELS, WAITS, BASELINES = "imdb", "models", "waits", "baselines"
"""The sweeps of these names."""
PERCEPTRON = "sgd-perceptron"
PLACES = {"preset": IMDB, "unlocked": IMDB, "matched": IMDB, "short": IMDB, ITSELF: ITSELF}
"""Arms with the authors' contributors and perceptron, and the sweep of each."""
RUINED = 1.0
"""Per cent of the start below which a contributor is ruined."""


# --- balances and accuracy ------------------------------------------------------------------------


def balance(arm: str, group: str, moment: str, *, adversary: bool) -> Measure:
    """Measure the balance of good or bad contributors at a moment, in per cent of the start."""

    def percent(run: pd.DataFrame) -> float:
        who = run["adversary"].astype(bool) == adversary
        return float(run.loc[who & (run["moment"] == moment), "percent"].mean())

    return by_seed(arm, "balances", percent, group)


def days(arm: str, group: str = IMDB, moment: str = "end") -> Measure:
    """Measure when a moment was, in days."""

    def day(run: pd.DataFrame) -> float:
        return float(run.loc[run["moment"] == moment, "time_s"].max()) / DAY_S

    return by_seed(arm, "balances", day, group)


def ruin(arm: str, group: str = IMDB) -> Measure:
    """Measure the first day at whose end the bad contributor has less than 1 %; NaN: never."""

    def day(run: pd.DataFrame) -> float:
        poor = run[run["adversary"].astype(bool) & (run["percent"] < RUINED)]
        return float(poor["round"].min()) if len(poor) else np.nan

    return by_seed(arm, "participants", day, group)


def accuracies(arm: str, group: str, of: str) -> Measure:
    """Measure the lowest (`min`), highest (`max`) or last (`last`) accuracy of a run."""

    def value(run: pd.DataFrame) -> float:
        found = run.sort_values("time_s", kind="stable")["accuracy"]
        return float(found.iloc[-1] if of == "last" else getattr(found, of)())

    return by_seed(arm, "accuracies", value, group)


def baseline(data: str, model: str) -> Measure:
    """Measure the accuracy of a model that knows all samples of a generated set."""
    return _fitted(BASELINES, data, model)


def on_file(file: str, model: str) -> Measure:
    """Measure the accuracy of a model that knows all samples of a file."""
    return _fitted(group_of(file), file, model)


def _fitted(group: str, arm: str, model: str) -> Measure:
    def measure(evidence: Evidence) -> list[float]:
        found = evidence.of([arm], "accuracies", group)
        if found.empty:
            return []
        first = found[(found["model"] == model) & (found["moment"] == "start")]
        return first["accuracy"].astype(float).tolist()

    return measure


def below(accuracy: Measure, known: Measure) -> Measure:
    """Measure an accuracy less that of a model which knows all data: the same for all seeds."""

    def measure(evidence: Evidence) -> list[float]:
        whole = known(evidence)
        return [value - whole[0] for value in accuracy(evidence)] if whole else []

    return measure


# --- deposits and claims --------------------------------------------------------------------------


def bad_deposit(arm: str) -> Measure:
    """Measure the mean deposit of a bad datum, in tokens."""

    def tokens(run: pd.DataFrame) -> float:
        return float(run.loc[run["device"] == 1, "cost"].mean()) / TOKEN

    return by_seed(arm, "submissions", tokens, IMDB)


def swept(arm: str) -> Measure:
    """Measure the share of all deposits that is claimed after the data ran out."""

    def measure(evidence: Evidence) -> list[float]:
        claims = evidence.of([arm], "claims", IMDB)
        if claims.empty:
            return []
        moments = evidence.of([arm], "balances", IMDB)
        out_s = moments[moments["moment"] == "ran out"].groupby("seed")["time_s"].max()
        late = claims[claims["time_s"] > claims["seed"].map(out_s)]
        paid = evidence.of([arm], "submissions", IMDB).groupby("seed")["cost"].sum()
        taken = late.groupby("seed")["amount"].sum().reindex(paid.index, fill_value=0)
        return (taken.astype(float) / paid.astype(float)).tolist()

    return measure


def learned(arm: str, group: str) -> Measure:
    """Measure the share of bad labels that is refunded: the model has learned them by then."""

    def measure(evidence: Evidence) -> list[float]:
        offers = evidence.of([arm], "submissions", group)
        if offers.empty:
            return []
        accepted = offers[offers["datum"].notna() & ~offers["right"].astype(bool)]
        added = accepted.groupby("seed").size()
        claims = evidence.of([arm], "claims", group)
        back = claims[(claims["kind"] == "refund") & ~claims["right"].astype(bool)]
        return (back.groupby("seed").size().reindex(added.index, fill_value=0) / added).tolist()

    return measure


# --- two contributors with the same wait ----------------------------------------------------------


def refused(arm: str) -> Measure:
    """Measure the share of the data of both that is refused."""
    return by_seed(arm, "submissions", lambda run: run["datum"].isna().mean(), WAITS)


def highest(arm: str) -> Measure:
    """Measure the highest deposit, in tokens."""
    return by_seed(arm, "submissions", lambda run: run["cost"].max() / TOKEN, WAITS)


def apart(arm: str) -> Measure:
    """Measure how far the end balances of both are apart, in tokens: they began with as much."""

    def tokens(run: pd.DataFrame) -> float:
        end = run.loc[run["moment"] == "end", "balance"]
        return float(end.max() - end.min()) / TOKEN

    return by_seed(arm, "balances", tokens, WAITS)


def pooled(first: Measure, second: Measure) -> Measure:
    """Measure the mean of the first over that of the second: one number for all seeds."""

    def measure(evidence: Evidence) -> list[float]:
        pair = [first(evidence), second(evidence)]
        return [float(np.mean(pair[0]) / np.mean(pair[1]))] if all(map(len, pair)) else []

    return measure


# --- all ------------------------------------------------------------------------------------------


def _readme(arm: str, known: Measure) -> dict[str, Measure]:
    """Return the measures of the README figure on one arm, by the last part of their id."""
    group = PLACES[arm]
    return {
        "good": balance(arm, group, "end", adversary=False),
        "bad": balance(arm, group, "end", adversary=True),
        "good-ran-out": balance(arm, group, "ran out", adversary=False),
        "bad-ran-out": balance(arm, group, "ran out", adversary=True),
        "lowest": accuracies(arm, group, "min"),
        "highest": accuracies(arm, group, "max"),
        "baseline": known,
        "below-baseline": below(accuracies(arm, group, "min"), known),
        "days": days(arm, group),
        "ruin": ruin(arm, group),
    }


def _phases() -> dict[str, Measure]:
    """Return what whole seconds do to the preset, and to two equal contributors."""
    on, off = "preset", "unlocked"
    both = {
        "bad-deposit": (bad_deposit(on), bad_deposit(off)),
        "ruin": (ruin(on), ruin(off)),
        "accuracy": (accuracies(on, IMDB, "last"), accuracies(off, IMDB, "last")),
    }
    for who, moment in product(("good", "bad"), ("ran out", "end")):
        adversary = who == "bad"
        pair = [balance(arm, IMDB, moment, adversary=adversary) for arm in (on, off)]
        both[f"{who}-{moment.replace(' ', '-')}"] = (pair[0], pair[1])
    found = {f"phase-{name}": difference(*pair) for name, pair in both.items()}
    found["phase-bad-deposit-ratio"] = pooled(*both["bad-deposit"])
    for name, measure in (("refused", refused), ("highest", highest), ("apart", apart)):
        for arm in ("whole_seconds", "real_seconds", "different_waits"):
            found[f"waits-{arm.replace('_', '-')}-{name}"] = measure(arm)
    found["waits-spread"] = pooled(apart("whole_seconds"), apart("different_waits"))
    return found


def _models() -> dict[str, Measure]:
    """Return by model what good and bad have, and how the model fares."""
    found: dict[str, Measure] = {}
    arms = {PERCEPTRON: ("preset", IMDB)}
    arms |= {name: (name, MODELS) for name in ("naive-bayes", "nearest-centroid", "perceptron")}
    for model, (arm, group) in arms.items():
        last = accuracies(arm, group, "last")
        found[f"{model}-good"] = balance(arm, group, "end", adversary=False)
        found[f"{model}-bad"] = balance(arm, group, "end", adversary=True)
        found[f"{model}-learned"] = learned(arm, group)
        found[f"{model}-below-baseline"] = below(last, baseline("imdb-like", model))
    found["short-learned"] = learned("short", IMDB)
    return {**found, "swept-short": swept("short"), "swept-preset": swept("preset")}


def _accounts() -> dict[str, Measure]:
    """Return what three data, and a thousand, are worth under each kind of accounts."""
    found: dict[str, Measure] = {}
    for arm in ("shipped_grouped", "shipped", "shipped_reset", "shipped_grouped_reset"):
        name = arm.replace("_", "-")
        found |= _three(name, arm)
    found |= _three("repaired-once", "grouped_once") | _three("repaired", "grouped")
    good, bad = (accounts.GOOD, accounts.SLOWER, accounts.SLOWEST), (accounts.BAD, accounts.WORSE)
    found["market-repaired-good"] = accounts.returns("repaired", *good)
    for arm in ("shipped", "shipped_all", "repaired"):
        found[f"market-{arm.replace('_', '-')}-bad"] = accounts.returns(arm, *bad)
    for arm in ("shipped_grouped", "grouped_once", "grouped", "repaired"):
        found[f"market-{arm.replace('_', '-')}-losers"] = accounts.losers(arm)
    return {**found, "market-shipped-all-fastest": accounts.returns("shipped_all", accounts.GOOD)}


def _three(name: str, arm: str) -> dict[str, Measure]:
    return {
        f"three-{name}-good": accounts.holds(arm, 0),
        f"three-{name}-bad": accounts.holds(arm, 1),
        f"three-{name}-owner": accounts.owner_keeps(arm),
    }


def _flaws() -> dict[str, Measure]:
    """Return what the published design gets wrong."""
    griefed = flaws.priced_out("grief_3")
    six, part = flaws.taken_back("sybils_6"), flaws.share_of_group("sybils_6")
    return {
        "griefing-refused": griefed,
        "griefing-more-refused": difference(griefed, flaws.priced_out("grief_none")),
        "griefing-4-refused": flaws.priced_out("grief_4"),
        "griefing-lost": flaws.paid_by_griefer("grief_3"),
        "agreeable-gained": flaws.gained("agreeable"),
        "agreeable-against-honest": flaws.farmed(flaws.gained),
        "agreeable-share": flaws.farmed(flaws.standing),
        "sybils-refunded": flaws.refunded("sybils_6"),
        "sybils-taken-back-2": flaws.taken_back("sybils_2"),
        "sybils-taken-back-6": six,
        "sybils-more-identities": difference(six, flaws.taken_back("sybils_2")),
        "sybils-against-part": difference(six, part),
        "sybils-part": part,
    }


def _named(prefix: str, measures: Mapping[str, Measure]) -> dict[str, Measure]:
    return {f"{prefix}-{name}": measure for name, measure in measures.items()}


MEASURES: dict[str, Measure] = {
    **_named("readme", _readme("preset", baseline("imdb-like", PERCEPTRON))),
    **_named("matched", _readme("matched", baseline("imdb-matched", PERCEPTRON))),
    **_named("itself", _readme(ITSELF, on_file("imdb.npz", PERCEPTRON))),
    "short-good": balance("short", IMDB, "end", adversary=False),
    "short-bad": balance("short", IMDB, "end", adversary=True),
    **{
        f"baseline-{file.removesuffix('.npz')}-{model}": on_file(file, model)
        for file, models in FILES.items()
        for model in models
    },
    **{
        f"deposit-{formula}-{seconds}": deposit(formula, seconds)
        for formula, seconds in product(FORMULAS, SECONDS)
    },
    **_accounts(),
    **_phases(),
    **_models(),
    **_flaws(),
}
