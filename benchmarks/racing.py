"""Runs that decide whether honesty holds: more where the answer is open, against equal shares.

    python benchmarks/racing.py [--repetitions 40] [--deviations 6] [--players 2]

Payoffs are drawn from normal distributions in the place of runs: what honesty earns, and what each
deviation gains against it, drawn anew in every repetition. Half of the repetitions have one
deviation that pays. Both ways stop by the same rule of `experiments.games.solution.honesty` and
have the same intervals; equal allocation gives every profile one more round of seeds at a time.
The last line is one JSON object: `ratio` is runs of equal allocation over runs by the rule, over
the repetitions that both decide within the budget, with a 95 % bootstrap interval; `wrong` the
share of decided repetitions with the wrong answer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from experiments.games import estimate
from experiments.games.solution import honesty
from experiments.games.spec import GameSpec

NOISE = 1.0
"""Standard deviation of a payoff from seed to seed."""


class Stub(estimate.Estimate):
    """An estimate whose payoffs are drawn, not played."""

    def __init__(self, spec: GameSpec, truth: Mapping[tuple[int, ...], Any], seed: int) -> None:
        super().__init__(spec, estimate.Path())
        self._truth, self._rng = truth, np.random.default_rng(seed)

    def _stage(self, profiles: Any, seeds: int, play: Any) -> None:
        for profile in [*profiles]:
            mean = self._truth[profile]
            drawn = mean + NOISE * self._rng.standard_normal((seeds, len(mean)))
            self._samples.setdefault(profile, []).extend(drawn)
            self._seeds[profile] += seeds

    @property
    def spent(self) -> int:
        return sum(self._seeds.values())


class Equal(Stub):
    """The same with equal shares: every profile that the gains rest on gets more seeds."""

    def _wanted(self, table: Any, settings: Any) -> list[tuple[int, ...]]:
        if honesty(table, settings).decided:
            return []
        return [p for p in self._seeds if self._open[p]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        honest = self.role.players
        self._open = {profile: profile[0] >= honest - 1 for profile in self._seeds}


def spec_of(deviations: int, runs: int) -> GameSpec:
    """Return the game of honesty and so many deviations."""
    strategies: dict[str, Any] = {"honest": {}}
    strategies |= {f"deviation-{i + 1}": {"worker": "lazy"} for i in range(deviations)}
    simulated = {"scenario": "vbfl", "strategies": strategies, "seeds": 5, "runs": runs}
    values = {
        "name": "racing",
        "simulated": simulated,
        "solve": {"honest": ["honest"], "resamples": 50},
    }
    return GameSpec.model_validate(values)


def truth_of(
    spec: estimate.Estimate, pays: bool, rng: np.random.Generator
) -> dict[tuple[int, ...], NDArray[np.float64]]:
    """Return the mean payoffs of each profile: losses of 0.5 to 3, or one gain of 0.5 to 1.5."""
    size = spec.profiles.shape[1]
    gains = np.concatenate([[0.0], -rng.uniform(0.5, 3.0, size - 1)])
    if pays:
        gains[1] = rng.uniform(0.5, 1.5)
    return {tuple(row): 5.0 + gains for row in spec.profiles.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument("--deviations", type=int, default=6)
    parser.add_argument("--players", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3_000)
    args = parser.parse_args()
    spec = spec_of(args.deviations, args.runs)
    found: dict[str, list[int]] = {"rule": [], "equal": []}
    decided: dict[str, list[bool]] = {"rule": [], "equal": []}
    wrong: dict[str, list[bool]] = {"rule": [], "equal": []}
    with patch.object(estimate, "_base", lambda *_: _Scenario(args.players)):
        for repetition in range(args.repetitions):
            pays = bool(repetition % 2)
            for name, kind in (("rule", Stub), ("equal", Equal)):
                stub = kind(spec, {}, repetition)
                stub._truth = truth_of(stub, pays, np.random.default_rng(repetition))
                judged = honesty(stub.run(lambda _: None), spec.solve.settings())
                found[name].append(stub.spent)
                decided[name].append(judged.decided)
                wrong[name].append(judged.decided and judged.holds == pays)
    both = np.array(decided["rule"]) & np.array(decided["equal"])
    runs = {name: np.array(spent)[both] for name, spent in found.items()}
    again = np.random.default_rng(0).integers(both.sum(), size=(2_000, both.sum()))
    ratios = runs["equal"][again].sum(axis=1) / runs["rule"][again].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    result: dict[str, Any] = {
        "repetitions": args.repetitions,
        "deviations": args.deviations,
        "players": args.players,
        "profiles": len(stub.profiles),
        "decided_by_both": int(both.sum()),
        "ratio": round(float(runs["equal"].sum() / runs["rule"].sum()), 3),
        "ratio_low": round(float(low), 3),
        "ratio_high": round(float(high), 3),
    }
    for name in found:
        result[f"{name}_runs"] = round(float(runs[name].mean()), 1)
        result[f"{name}_decided"] = round(float(np.mean(decided[name])), 3)
        result[f"{name}_wrong"] = round(sum(wrong[name]) / max(1, sum(decided[name])), 4)
    print(json.dumps(result))


class _Scenario:
    """What an estimate reads of a scenario: devices, and groups that are none of the players."""

    adversaries: tuple[Any, ...] = ()

    def __init__(self, devices: int) -> None:
        self.devices = devices

    def to_dict(self) -> dict[str, Any]:
        return {"adversaries": []}


if __name__ == "__main__":
    main()
