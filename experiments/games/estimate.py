"""Payoffs of strategies in a scenario, estimated by runs: more where the answer is open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.games.equilibria import equilibria
from experiments.games.game import Role, profiles_of
from experiments.games.record import Stage
from experiments.games.solution import Settings, honesty
from experiments.games.spec import GameSpec, Simulated
from experiments.games.table import Table, of_samples
from experiments.loader import ScenarioError
from experiments.results import Results
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import plan, spec_of
from experiments.trials import Play, check_played, groups_in_play, paid_by_device
from sim.scenario import Scenario
from sim.settings import HONEST

STEP = 5
"""More seeds that a profile gets at a time."""
OPEN = 0.25
"""Share of the profiles that matter which get more seeds at a time; one at least."""

Samples = dict[tuple[int, ...], list[NDArray[np.float64]]]


class Estimate:
    """The payoffs of a game, as far as they are known.

    Every stage is a sweep in a folder of its own: the same command goes on after a crash, and runs
    that are there are not played again. Which profiles get more seeds follows from the results
    alone.

    Its `base` is the scenario without the players' strategies, `groups` are those that stay beside
    the players.

    Args:
        spec: of a simulated game.
        folder: of the stages.

    Raises `ScenarioError` for strategies that the scenario cannot have.
    """

    def __init__(self, spec: GameSpec, folder: Path) -> None:
        assert spec.simulated is not None
        self.spec, self.simulated, self.folder = spec, spec.simulated, folder
        self.base = _base(spec, self.simulated)
        self.groups = groups_in_play(self.base)
        taken = sum(group.size for group in self.base.adversaries)
        players = self.base.devices - taken
        if players < 2:
            expected = f"leaves {players} players beside the groups of the scenario, at least 2"
            raise ScenarioError(spec.name, "simulated.scenario", self.simulated.scenario, expected)
        self.role = Role("player", players, tuple(self.simulated.strategies))
        self.profiles = profiles_of([self.role])
        self._samples: Samples = {}
        self._seeds = dict.fromkeys(map(tuple, self.profiles.tolist()), 0)
        self.stages: list[Stage] = []
        least = len(self.profiles) * self.simulated.seeds
        if 0 < self.simulated.runs < least:
            expected = f"0, or at least {least:,}: {len(self.profiles):,} profiles x seeds"
            raise ScenarioError(spec.name, "simulated.runs", self.simulated.runs, expected)

    # --- stages -------------------------------------------------------------------------------

    def run(self, play: Play) -> Table:
        """Return the payoffs when the budget is spent or the answer is no longer open."""
        self._stage(self._seeds, self.simulated.seeds, play)
        settings = self.spec.solve.settings()
        table = self.table()
        while self._left() > 0:
            wanted = self._wanted(table, settings)
            if not wanted:
                break
            step = max(1, min(STEP, self._left() // len(wanted)))
            self._stage(wanted[: self._left()], step, play)
            table = self.table()
        return table

    def _left(self) -> int:
        """Return the runs that may still be played."""
        return self.simulated.runs - sum(self._seeds.values())

    def _stage(self, profiles: Iterable[tuple[int, ...]], seeds: int, play: Play) -> None:
        """Play more seeds of some profiles, and take over what they paid."""
        by_first: dict[int, list[tuple[int, ...]]] = {}
        for profile in profiles:
            by_first.setdefault(self._seeds[profile], []).append(profile)
        for first, group in sorted(by_first.items()):
            self.stages.append(Stage(profiles=len(group), seeds=seeds))
            sweep = Sweep(self._sweep(group, range(first, first + seeds)), self._place())
            play(sweep)
            self._take(sweep.folder)
            for profile in group:
                self._seeds[profile] += seeds

    def _place(self) -> Path:
        return self.folder / f"stage-{len(self.stages):03d}"

    def _sweep(self, profiles: Iterable[tuple[int, ...]], seeds: Iterable[int]) -> Any:
        """Return the sweep over some profiles and seeds."""
        levels = {_label(p): {"adversaries": self._adversaries(p)} for p in profiles}
        values = {
            "name": f"{self.spec.name}-{len(self.stages):03d}",
            "scenario": self.simulated.scenario,
            "set": dict(self.simulated.set),
            "seeds": list(seeds),
            "design": [{"factors": {"profile": levels}}],
        }
        return spec_of(values, self.spec.name)

    def _adversaries(self, profile: tuple[int, ...]) -> list[dict[str, Any]]:
        """Return the groups of a scenario in which so many devices play each strategy."""
        own = [
            {**keys, "name": name, "count": count}
            for (name, keys), count in zip(self.simulated.strategies.items(), profile, strict=True)
            if keys and count
        ]
        return [*self.groups, *own]

    # --- payoffs ------------------------------------------------------------------------------

    def _take(self, folder: Path) -> None:
        """Read what devices were paid in a stage: the mean of each group in each run."""
        results, name = Results.open(folder), self.spec.name
        check_played(results, "profile", name)
        measure = self.simulated.measure
        paid = paid_by_device(results, "profile", measure, name, "simulated.measure")
        groups = [name if keys else HONEST for name, keys in self.simulated.strategies.items()]
        means = paid.pivot_table("paid", ["profile", "seed"], "group").reindex(columns=groups)
        labels = means.index.get_level_values("profile")
        for label, row in zip(labels, means.to_numpy(dtype=np.float64), strict=True):
            profile = tuple(int(part) for part in label.split("-"))
            self._samples.setdefault(profile, []).append(row)

    def table(self) -> Table:
        """Return the payoffs so far."""
        found = {profile: np.array(rows) for profile, rows in self._samples.items()}
        return of_samples([self.role], found)

    # --- where the answer is open ---------------------------------------------------------------

    def _wanted(self, table: Table, settings: Settings) -> list[tuple[int, ...]]:
        """Return the profiles that get more seeds, those that blur the answer most first.

        With an honest profile the answer is open while the verdict on it is undecided, and only
        strategies that may still gain blur it; without one until the budget is spent. A profile
        counts by how much its standard errors add to those of the gains of these strategies,
        against the honest profile or against the equilibria of the means.
        """
        game = table.game
        if settings.honest:
            judged = honesty(table, settings)
            if judged.decided:
                return []
            blur = _blur(table, game.pure(settings.honest), judged.open)
        else:
            every = np.ones(game.size, dtype=np.bool_)
            mixes = [e.mix for e in equilibria(game, starts=5)]
            blur = np.sum([_blur(table, mix, every) for mix in mixes], axis=0)
        open_ones = [i for i in np.argsort(-blur, kind="stable").tolist() if blur[i] > 0]
        most = max(1, round(OPEN * len(open_ones)))
        return [tuple(game.profiles[i].tolist()) for i in open_ones[:most]]


def _blur(
    table: Table, mix: NDArray[np.float64], strategies: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return by profile the variance that its errors add to the gains of strategies, `float64[m]`.

    The gain of t against a mix x is dev_t - sum_s x_s dev_s: the payoff of s counts in it
    [s = t] - x_s times. Of one role.
    """
    found = np.zeros(len(table.game.profiles))
    errors = np.nan_to_num(table.errors) ** 2
    others = strategies.sum() - strategies
    counted = strategies * (1 - mix) ** 2 + others * mix**2
    for row, weights in table.game.weights(mix):
        found[row] += float((weights**2 * counted) @ errors[row])
    return found


def _base(spec: GameSpec, simulated: Simulated) -> Scenario:
    """Return the scenario without the players' strategies."""
    values = {"name": spec.name, "scenario": simulated.scenario, "set": dict(simulated.set)}
    scenario = plan(spec_of(values, spec.name))[0].scenario
    names = {group.name for group in scenario.adversaries if group.size} | {HONEST}
    for name, keys in simulated.strategies.items():
        if keys and name in names:
            expected = "another name: a group of the scenario has this one"
            raise ScenarioError(spec.name, f"simulated.strategies.{name}", name, expected)
    return scenario


def _label(profile: tuple[int, ...]) -> str:
    """Return a profile as the level of a factor: 7-2-1."""
    return "-".join(map(str, profile))
