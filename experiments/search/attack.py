"""The worst attack: the group whose members gain most by deviating, within a number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from experiments.confidence import Bound
from experiments.confidence import Sequence as Intervals
from experiments.loader import ScenarioError
from experiments.search.arena import Arena, Duel
from experiments.search.space import GroupSpace, group_space
from experiments.search.study import AT_ONCE, MOST_ASKED, Study
from experiments.trials import Trials, acting


@dataclass(frozen=True)
class Attack:
    """The worst attack that a search found.

    Args:
        group: the group, as a table of `adversaries`.
        variant: dotted keys of the scenario with it.
        in_search: its mean gain under the seeds of the search: of the best of many, so too high.
        fresh: its gain under each of the fresh seeds, base units per member.
        bound: the mean of these with its interval.
        trials: attacks that were played.
    """

    group: dict[str, Any]
    variant: dict[str, Any]
    in_search: float
    fresh: tuple[float, ...]
    bound: Bound
    trials: int


@dataclass(frozen=True)
class Tried:
    """An attack that was asked for.

    Args:
        number: in the order of the search, from 1.
        group: as a table of `adversaries`.
        variant: dotted keys of the scenario with it.
        score: mean gain over the seeds of the search; None where it was refused or failed.
        why: what was wrong with it.
    """

    number: int
    group: dict[str, Any]
    variant: dict[str, Any]
    score: float | None
    why: str = ""


def worst_attack(
    trials: Trials,
    *,
    honest: Mapping[str, Any],
    group_class: type,
    base_groups: list[dict[str, Any]],
    beside: Mapping[str, Any],
    most: int,
    runs: int,
    seeds: Sequence[int],
    fresh: Sequence[int],
    sequence: Intervals,
    rng_seed: int = 0,
    name: str = "",
) -> Attack | None:
    """Search the group of devices that gains most by deviating, and score it on fresh seeds.

    Behaviours of all roles of the groups are tried, with their parameters, sizes and rounds. The
    gain of a run is the mean over the members of what each is paid more than the same device under
    the same seed when nobody deviates. What is asked follows from the results alone: interrupted at
    any moment, the same call goes on and ends with the same answer.

    Args:
        trials: plays the variants; its `measure` is what a device is paid.
        honest: dotted keys of the variant in which nobody of the group deviates.
        group_class: of the scenario's groups.
        base_groups: groups of adversaries that stay.
        beside: dotted keys to set in variants with the group, where the scenario allows them.
        most: largest group, 1 or more.
        runs: runs at most, those on fresh seeds and of the honest variant among them.
        seeds: of the search, the same for all attacks.
        fresh: seeds for the attack that is found; none of them is among `seeds`.
        sequence: how the interval is made.
        rng_seed: decides what is asked.
        name: of the group; by default one that is free.

    Returns None where no attack could be played: all were refused or failed, or `runs` are too few.

    Raises `ScenarioError` for an honest variant that cannot be played, and ValueError for seeds
    that are in both lists and for empty lists.
    """
    rounds = trials.scenario_of(honest).rounds
    taken = [str(group.get("name", "")) for group in base_groups]
    space = group_space(group_class, most=most, rounds=rounds, taken=taken)
    if name:
        space = replace(space, name=name)
    hunt = Hunt(
        Arena(trials),
        space,
        honest=honest,
        base_groups=base_groups,
        beside=beside,
        seeds=seeds,
        fresh=fresh,
        rng_seed=rng_seed,
    )
    return hunt.run(runs, sequence)


@dataclass
class Hunt:
    """The search of one attack.

    Args:
        arena: plays.
        space: the groups to choose from.
        honest: dotted keys of the variant without the group.
        base_groups: groups of adversaries that stay.
        beside: dotted keys to set with the group, where the scenario allows them.
        seeds: of the search.
        fresh: for the attack that is found.
        rng_seed: decides what is asked.

    Raises ValueError for seeds that are in both lists and for empty lists.
    """

    arena: Arena
    space: GroupSpace
    honest: Mapping[str, Any]
    base_groups: Sequence[Mapping[str, Any]]
    beside: Mapping[str, Any]
    seeds: Sequence[int]
    fresh: Sequence[int]
    rng_seed: int = 0
    tried: list[Tried] = field(default_factory=list)
    """Everything that was asked for, in order."""

    def __post_init__(self) -> None:
        check_seeds(self.seeds, self.fresh)

    def run(self, runs: int, sequence: Intervals) -> Attack | None:
        """Return the worst attack within a number of runs; None where none could be played."""
        self.search(runs)
        best = self.best
        return None if best is None else self.confirm(best, sequence)

    # --- searching ------------------------------------------------------------------------------

    def affordable(self, runs: int) -> int:
        """Return how many attacks can be played within a number of runs."""
        after = 2 * len(self.fresh)
        known = not self.arena.missing([self.honest], self.seeds)
        before = 0 if known else len(self.seeds)
        return max(0, (runs - before - after) // len(self.seeds))

    def search(self, runs: int) -> None:
        """Try attacks until the runs are spent, less those on fresh seeds."""
        left = self.affordable(runs)
        study = Study(self.rng_seed, self.space.starts())
        scores: dict[str, float | None] = {}
        most_asked = MOST_ASKED * left
        while left > 0 and study.asked < most_asked:
            asked = [study.ask(self.space.draw) for _ in range(AT_ONCE)]
            groups = [group for _, group in asked]
            known = [self._known(group) for group in groups]
            new = self._new(known, scores)[:left]
            self.arena.play([self.honest, *(duel.attack for _, duel in new)], self.seeds)
            for key, duel in new:
                gains = self.arena.gains(duel, self.seeds)
                scores[key] = None if gains is None or gains.empty else float(gains.mean())
                left -= 1
            for (trial, group), place in zip(asked, known, strict=True):
                self._tell(study, trial, group, place, scores)

    def _known(self, group: dict[str, Any] | None) -> tuple[str, Duel] | str:
        """Return the identity of an attack and its duel, or why it cannot be played."""
        if group is None:
            return ""
        variant = {**self.honest, "adversaries": [*self.base_groups, group]}
        try:
            whole = acting(variant, self.beside, self.arena.refusal)
        except ScenarioError:
            return "the scenario refuses it"
        return self.arena.key(whole), Duel(self.honest, whole, group["name"])

    def _new(
        self, known: Sequence[tuple[str, Duel] | str], scores: Mapping[str, Any]
    ) -> list[tuple[str, Duel]]:
        """Return the attacks that have not been played, each once."""
        found = {}
        for place in known:
            if not isinstance(place, str) and place[0] not in scores:
                found[place[0]] = place
        return list(found.values())

    def _tell(
        self,
        study: Study,
        trial: Any,
        group: dict[str, Any] | None,
        place: tuple[str, Duel] | str,
        scores: Mapping[str, float | None],
    ) -> None:
        """Tell the study the score of a trial, and remember attacks that are new."""
        if group is None:
            # Who deviates in nothing gains nothing.
            study.tell(trial, 0.0)
            return
        if isinstance(place, str):
            study.tell(trial, None)
            self.tried.append(Tried(len(self.tried) + 1, group, {}, None, place))
            return
        key, duel = place
        if key not in scores:
            # The runs were spent before it was played.
            study.tell(trial, None)
            return
        score = scores[key]
        study.tell(trial, score)
        if any(dict(duel.attack) == before.variant for before in self.tried):
            return
        why = "" if score is not None else self._why(duel)
        variant = dict(duel.attack)
        self.tried.append(Tried(len(self.tried) + 1, group, variant, score, why))

    def _why(self, duel: Duel) -> str:
        failed = self.arena.record(duel.attack, self.seeds).failed
        return failed or "no member took part"

    # --- the answer -----------------------------------------------------------------------------

    @property
    def played(self) -> list[Tried]:
        """The attacks that have a score, in order."""
        return [tried for tried in self.tried if tried.score is not None]

    @property
    def best(self) -> Tried | None:
        """The attack with the largest score, the first of those that are alike."""
        return max(self.played, key=_score, default=None)

    def confirm(self, best: Tried, sequence: Intervals) -> Attack:
        """Score an attack on the fresh seeds.

        Raises `ScenarioError` where a run with it fails there, or none of its members takes part.
        """
        gains = self.fresh_gains(best)
        values = tuple(gains.tolist())
        return Attack(
            dict(best.group),
            dict(best.variant),
            _score(best),
            values,
            sequence.bound(values),
            len(self.played),
        )

    def fresh_gains(self, tried: Tried) -> pd.Series:
        """Return the gains of an attack on the fresh seeds, none where runs failed."""
        duel = Duel(self.honest, tried.variant, tried.group["name"])
        self.arena.play([duel.honest, duel.attack], self.fresh)
        gains = self.arena.gains(duel, self.fresh)
        return pd.Series(dtype=float) if gains is None else gains


def _score(tried: Tried) -> float:
    assert tried.score is not None
    return tried.score


def check_seeds(seeds: Sequence[int], fresh: Sequence[int]) -> None:
    """Raise ValueError unless both lists have seeds and share none."""
    if not seeds or not fresh:
        raise ValueError("seeds and fresh: each must have one seed or more")
    both = sorted(set(seeds) & set(fresh))
    if both:
        raise ValueError(f"fresh = {both[0]}: is a seed of the search as well")
