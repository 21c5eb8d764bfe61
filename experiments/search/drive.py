"""Search the worst attack, the cheapest parameters, or one against the other: `fedstake search`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.confidence import Sequence as Intervals
from experiments.loader import ScenarioError, dumps
from experiments.numerals import how_many
from experiments.progress import Progress
from experiments.rundir import check_writable, write_file
from experiments.search import found as words
from experiments.search.arena import Arena
from experiments.search.attack import Attack, Hunt
from experiments.search.found import Found, Tables
from experiments.search.rule import CONFIRMED, Confirmed, RuleHunt, value_of
from experiments.search.sensitivity import GAIN, sensitivity
from experiments.search.space import GroupSpace, group_space
from experiments.search.spec import FRESH, AttackSpec, RuleSpec, SearchSpec, load_search
from experiments.spreadsheet import csv_text
from experiments.sweeps.plan import outcomes_of
from experiments.trials import Play, Trials, groups_in_play, player
from fedstake.folders import chosen_folder
from fedstake.outside import literal
from mechanisms.plugin import PluginError, nearest
from sim.data.folder import given_data
from sim.keys import chosen_fields, has_key
from sim.population.population import group_class
from sim.scenario import Scenario
from sim.settings import HONEST

ANSWER = "answer.toml"


@given_data
def search(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    progress: Progress = None,
) -> Found:
    """Search the worst attack on a scenario, or the cheapest parameters under which honesty holds.

    Interrupted at any moment, the same call goes on and ends with the same answer. Tables and, of
    an answer, the scenario `answer.toml` are written into the folder.

    Args:
        source: a TOML file, or the same as a table of plain values.
        out: folder of runs and results, by default `results/<name>`.
        workers: processes on this machine (default: all cores).
        data: folder of data files.
        progress: True shows how many runs have ended; None: only where somebody watches.

    Raises `ScenarioError` for a wrong search, before anything is played, and for a run without any
    attack that failed.
    """
    spec, file = load_search(source)

    play = player(workers=workers, data=data, progress=progress, label=spec.name)
    folder = chosen_folder(out) or Path("results") / spec.name
    found = Search(spec, file, folder, play).run()
    write(found, folder)
    return found


def write(found: Found, folder: Path) -> None:
    """Write the tables of a search as CSV, and its answer where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in found.frames.items():
        write_file(folder / f"{name}.csv", csv_text(frame))
    if found.scenario:
        write_file(folder / ANSWER, found.scenario.encode())
    else:
        (folder / ANSWER).unlink(missing_ok=True)


def _places(folder: Path) -> list[Path]:
    """Return the stages of earlier searches in a folder that have finished runs."""
    stages = sorted(folder.glob("runs-*/stage-*"))
    return [stage for stage in stages if any(stage.glob("runs/*/manifest.json"))]


@dataclass
class Search:
    """A search that is checked, ready to be played.

    Args:
        spec: what is searched.
        file: what errors call it.
        folder: of runs and results.
        play: plays the missing runs of a sweep.

    Raises `ScenarioError` for a wrong search.
    """

    spec: SearchSpec
    file: str
    folder: Path
    play: Play
    tables: Tables = field(default_factory=Tables)

    def __post_init__(self) -> None:
        spec = self.spec
        check_writable(self.folder)
        told = json.dumps(spec.model_dump(mode="json", exclude={"name"}), sort_keys=True)
        digest = hashlib.blake2b(told.encode(), digest_size=4).hexdigest()
        place = self.folder / f"runs-{digest}"
        # A search that was changed takes over the runs of the one before.
        others = [stage for stage in _places(self.folder) if stage.parent != place]
        self.trials = Trials(
            spec.name, spec.scenario, spec.set, place, self.play, spec.measure, others
        )
        try:
            self.scenario = self.trials.scenario_of({})
        except ScenarioError as error:
            raise self._wrong(error.key, error.value, error.expected) from None
        self.kind = group_class(self.scenario)
        self.base = groups_in_play(self.scenario)
        self.sequence = Intervals(1 - spec.level, least=spec.least)
        minimise = spec.attack.minimise if spec.attack else ""
        self.arena = Arena(self.trials, minimise)
        Checks(self).run()

    def _wrong(self, key: str, value: Any, expected: str) -> ScenarioError:
        return ScenarioError(self.file, key, value, expected)

    # --- searching ------------------------------------------------------------------------------

    def run(self) -> Found:
        """Play the search and return what was found."""
        if self.spec.double is not None:
            return self._double()
        return self._attack() if self.spec.attack is not None else self._rule()

    @property
    def of(self) -> str:
        """What the score of an attack is, in words."""
        minimise = self.arena.outcome
        return f"loss of {minimise}" if minimise else f"gain of {self.spec.measure} per member"

    def fresh(self, block: int) -> range:
        """Return fresh seeds; those of one block are used once."""
        first = FRESH + block * self.spec.fresh
        return range(first, first + self.spec.fresh)

    def space(self, taken: Sequence[str] = ()) -> GroupSpace:
        """Return the groups to choose from; raise `PluginError` for an unknown behaviour."""
        assert self.spec.attack is not None
        attack = self.spec.attack
        names = [str(group["name"]) for group in self.base]
        return group_space(
            self.kind,
            most=attack.size[1],
            rounds=self.scenario.rounds if attack.timing else 1,
            taken=[*names, *taken],
            least=attack.size[0],
            behaviours=attack.behaviours or None,
            given=attack.ranges,
            keys=attack.keys,
        )

    def hunt(self, values: Mapping[str, Any], block: int, taken: Sequence[str] = ()) -> Hunt:
        """Return the search of the worst attack under some parameters of the rule."""
        assert self.spec.attack is not None
        return Hunt(
            self.arena,
            self.space(taken),
            honest={**values, "adversaries": self.base},
            base_groups=self.base,
            beside=self.spec.attack.beside,
            seeds=range(self.spec.seeds),
            fresh=self.fresh(block),
            rng_seed=self.spec.seed + block,
        )

    def rule_hunt(self, deviations: Mapping[str, Mapping[str, Any]], block: int) -> RuleHunt:
        """Return the search of the cheapest parameters against some deviations."""
        rule = self._rule_spec
        return RuleHunt(
            self.arena,
            rule.keys,
            rule.cost,
            deviations,
            self.base,
            range(self.spec.seeds),
            self.fresh(block),
            rule.epsilon,
            self.sequence,
            self.spec.seed + block,
        )

    @property
    def _rule_spec(self) -> RuleSpec:
        assert self.spec.rule is not None
        return self.spec.rule

    def _attack(self) -> Found:
        hunt = self.hunt({}, 0)
        found = hunt.run(self.spec.runs, self.sequence)
        self.tables.attack("attack", hunt.tried, found)
        if found is None:
            lines = [f"No attack could be played: {_first_why(hunt)}."]
            return self._found(lines, "", {}, self.of)
        lines = words.attack_lines(found, self.of)
        return self._found(lines, words.group_toml(found.group), found.variant, self.of)

    def _rule(self) -> Found:
        hunt = self.rule_hunt(self._rule_spec.deviations, 0)
        pairs = self._search_rule("parameters", hunt, self.spec.runs)
        lines, values = self._rule_lines(hunt, pairs)
        frames = self._sensitivity(hunt)
        toml = words.keys_toml(values) if values else ""
        return self._found(lines, toml, values, f"cost ({self._cost_words()})", frames)

    def _search_rule(self, name: str, hunt: RuleHunt, runs: int) -> list[Confirmed]:
        pairs = hunt.search(runs)
        self.tables.rule(name, hunt.tried, hunt.epsilon)
        self.tables.confirmed(name, pairs)
        return pairs

    def _sensitivity(self, hunt: RuleHunt) -> dict[str, pd.DataFrame]:
        asked = self.spec.sensitivity
        if asked is None:
            return {}
        return {"sensitivity": sensitivity(hunt, asked, self.spec.seed, self.spec.level)}

    def _cost_words(self) -> str:
        parts = [
            name if weight == 1 else f"{weight:g} x {name}"
            for name, weight in self._rule_spec.cost.items()
        ]
        return " + ".join(parts)

    def _rule_lines(
        self, hunt: RuleHunt, pairs: Sequence[Confirmed]
    ) -> tuple[list[str], dict[str, Any]]:
        """Return the sentences about parameters, and the parameters where some hold."""
        epsilon = words.amount(hunt.epsilon)
        tried = f"{how_many(len(hunt.tried), 'point')} tried, {len(hunt.holding)} held"
        last = pairs[-1] if pairs else None
        if last is not None and last.holds:
            assert last.fresh.cost is not None
            assert last.point.cost is not None
            bound = last.fresh.gains.get(last.fresh.worst)
            gain = f"; {last.fresh.worst} gains {words.between(bound)}" if bound else ""
            lines = [
                f"Honesty holds at a cost of {words.amount(last.fresh.cost)} "
                f"({self._cost_words()}){gain} on {how_many(len(hunt.fresh), 'fresh seed')}: "
                f"no deviation gains more than {epsilon}.",
                f"In the search the cost was {words.amount(last.point.cost)} and the gain "
                f"{words.amount(last.point.mean)}; {tried}; others that failed on fresh seeds: "
                f"{len(pairs) - 1}.",
            ]
            return lines, last.point.values
        near = hunt.nearest
        if last is not None and last.fresh.gains:
            first = (
                f"No parameters are shown to hold: {how_many(len(pairs), 'point')} that held in "
                f"the search did not on fresh seeds; the last, where {last.fresh.worst} gains "
                f"{words.between(last.fresh.gains[last.fresh.worst])}."
            )
        elif near is None:
            first = f"No parameters could be played: {_first_why(hunt)}."
        else:
            shown = ", ".join(f"{key} = {value}" for key, value in near.values.items())
            first = (
                f"No parameters in the ranges are shown to hold (gain of at most {epsilon}). "
                f"Nearest: {shown}, where {near.worst} gains "
                f"{words.between(near.gains[near.worst])} in the search."
            )
        return [first, f"{tried}."], {}

    def _double(self) -> Found:
        """Search an attack and the parameters that withstand all attacks so far, in turn."""
        assert self.spec.double is not None
        rule, turns = self._rule_spec, self.spec.double.rounds
        share = self.spec.runs // (2 * turns)
        # The error of the intervals is shared by the turns.
        sequence = replace(self.sequence, alpha=self.sequence.alpha / turns)
        known: dict[str, Mapping[str, Any]] = dict(rule.deviations)
        values: dict[str, Any] = {}
        verdict, held = "", False
        hunt = self.rule_hunt(known, 0)
        if known:
            pairs = self._search_rule("parameters 0", hunt, share)
            verdict, values = self._withstanding(hunt, pairs)
        found: Attack | None = None
        for turn in range(1, turns + 1):
            if verdict:
                break
            attackers = self.hunt(values, 2 * turn - 1, list(known))
            found = attackers.run(share, sequence)
            self.tables.attack(f"attack {turn}", attackers.tried, found)
            if found is None:
                verdict = f"No attack could be played in turn {turn}: {_first_why(attackers)}."
            elif found.bound.high <= rule.epsilon:
                held = True
                verdict = (
                    f"Honesty holds: the worst attack of turn {turn} gains "
                    f"{words.between(found.bound)} on fresh seeds, not more than "
                    f"{words.amount(rule.epsilon)}."
                )
            elif turn < turns:
                known[found.group["name"]] = found.group
                hunt = self.rule_hunt(known, 2 * turn)
                pairs = self._search_rule(f"parameters {turn}", hunt, share)
                verdict, values = self._withstanding(hunt, pairs)
        if not verdict:
            assert found is not None
            verdict = (
                f"The budget is spent and the question is open: the worst attack of turn {turns} "
                f"gains {words.between(found.bound)} on fresh seeds, "
                f"{words.what_group(found.group)}."
            )
        lines = [verdict]
        if found is not None:
            lines += words.attack_lines(found, self.of)
        toml, variant = "", {**values, "adversaries": self.base}
        if held:
            toml = words.keys_toml(values) or "# the scenario as it is\n"
        elif found is not None:
            # What is known is an attack that pays under the last parameters.
            toml, variant = words.group_toml(found.group), found.variant
        frames = self._sensitivity(hunt)
        return self._found(lines, toml, variant, self.of, frames, answered=held)

    def _withstanding(
        self, hunt: RuleHunt, pairs: Sequence[Confirmed]
    ) -> tuple[str, dict[str, Any]]:
        """Return the parameters that withstand all attacks so far, or why there are none."""
        lines, values = self._rule_lines(hunt, pairs)
        return ("" if values else lines[0]), values

    def _found(
        self,
        lines: Sequence[str],
        toml: str,
        variant: Mapping[str, Any],
        of: str,
        frames: Mapping[str, pd.DataFrame] | None = None,
        *,
        answered: bool = True,
    ) -> Found:
        told = [*lines, words.sure(self.sequence, self.arena.runs, self.spec.level)]
        scenario = ""
        if toml:
            comments = "".join(f"# {literal(line)}\n" for line in told)
            scenario = f"{comments}\n{dumps(self.trials.scenario_of(variant))}"
        all_frames = {**self.tables.frames(self.spec.fresh), **(frames or {})}
        return Found(
            self.spec.name,
            tuple(told),
            toml,
            scenario,
            all_frames,
            of,
            self.arena.runs,
            answered and bool(toml),
        )


def _first_why(hunt: Hunt | RuleHunt) -> str:
    whys = [one.why for one in hunt.tried if one.why]
    return whys[0] if whys else "nothing could be asked within the runs"


# --- checks -------------------------------------------------------------------------------------


@dataclass
class Checks:
    """Refuse a search that cannot be played, before anything is."""

    search: Search

    def run(self) -> None:
        """Raise `ScenarioError` for the first thing that is wrong."""
        spec = self.search.spec
        if spec.attack is not None:
            self._attack(spec.attack)
        if spec.rule is not None:
            self._rule(spec.rule)
        if spec.sensitivity is not None and spec.sensitivity.of != GAIN:
            self._outcome("sensitivity.of", spec.sensitivity.of)
        self._runs()

    def _refuse(self, key: str, value: Any, expected: str) -> ScenarioError:
        return ScenarioError(self.search.file, key, value, expected)

    @property
    def scenario(self) -> Scenario:
        """The scenario as the file has it."""
        return self.search.scenario

    def _outcome(self, key: str, name: str) -> None:
        known = sorted(outcomes_of(self.scenario))
        if name not in known:
            raise self._refuse(key, name, f"must be an outcome; {nearest(name, known)}")

    def _attack(self, attack: AttackSpec) -> None:
        free = self.scenario.devices - sum(group.size for group in self.scenario.adversaries)
        if attack.size[1] > free:
            expected = f"at most {free}: the devices that are in no group"
            raise self._refuse("attack.size", list(attack.size), expected)
        if attack.minimise:
            self._outcome("attack.minimise", attack.minimise)
        kind = self.search.kind
        roles = [name for name, mark in chosen_fields(kind).items() if mark.role]
        for role in attack.behaviours:
            if role not in roles:
                expected = f"no role of a group; {nearest(role, roles)}"
                raise self._refuse(f"attack.behaviours.{role}", None, expected)
        for key in attack.keys:
            self._group_key("attack.keys", key)
        try:
            space = self.search.space()
        except PluginError as error:
            raise self._refuse("attack.behaviours", error.value, str(error)) from None
        for key in attack.ranges:
            self._range(key, space)
        names = [option.name for options in space.roles.values() for option in options]
        deviating = [name for name in names if name != HONEST]
        if not deviating and not attack.keys and not attack.ranges:
            raise self._refuse("attack.behaviours", None, "leaves nothing that deviates")
        self._dotted("attack.beside", attack.beside)

    def _group_key(self, place: str, key: str) -> None:
        known = [name for name in self.search.kind.model_fields if name != "name"]
        if key not in known:
            expected = f"no key of a group; {nearest(key, known)}"
            raise self._refuse(f"{place}.{key}", None, expected)

    def _range(self, key: str, space: GroupSpace) -> None:
        """Refuse a range of a parameter that no behaviour of the search has."""
        name, _, parameter = key.rpartition(".")
        if not name:
            self._group_key("attack.ranges", key)
            return
        options = [option for options in space.roles.values() for option in options]
        found = [option for option in options if option.name == name]
        if not found:
            known = [option.name for option in options]
            expected = f"no behaviour of this search; {nearest(name, known)}"
            raise self._refuse(f"attack.ranges.{key}", None, expected)
        known = []
        for role, choices in space.roles.items():
            if found[0] in choices:
                plugin = space.marks[role].registry.get(name)
                known += [str(p["name"]) for p in plugin.metadata()["params"]]
        if parameter not in known:
            expected = f"no parameter of {name}; {nearest(parameter, known)}"
            raise self._refuse(f"attack.ranges.{key}", None, expected)

    def _dotted(self, place: str, settings: Mapping[str, Any]) -> None:
        """Refuse keys that the scenario does not have at all."""
        for key, value in settings.items():
            if not has_key(type(self.scenario), key.split(".")):
                raise self._refuse(f"{place}.{key}", value, "no key of this scenario")

    def _rule(self, rule: RuleSpec) -> None:
        for key in rule.keys:
            for value in _ends(rule, key):
                self._variant(f"rule.keys.{key}", value, {**_middle(rule), key: value})
        outcomes = outcomes_of(self.scenario)
        for name in rule.cost:
            if name not in outcomes and not self._is_number(name, rule):
                known = [*sorted(outcomes), *rule.keys]
                expected = f"must be an outcome or a scenario key; {nearest(name, known)}"
                raise self._refuse("rule.minimise", name, expected)
        for name, keys in rule.deviations.items():
            for key in keys:
                self._group_key(f"rule.deviations.{name}", key)
            hunt = self.search.rule_hunt({name: keys}, 0)
            variant = hunt.duels(_middle(rule))[name].attack
            self._variant(f"rule.deviations.{name}", None, variant)

    def _is_number(self, key: str, rule: RuleSpec) -> bool:
        try:
            value_of(self.search.trials.scenario_of(_middle(rule)), key)
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        except ScenarioError:
            return key in rule.keys
        return True

    def _variant(self, key: str, value: Any, variant: Mapping[str, Any]) -> None:
        """Refuse what the scenario refuses."""
        try:
            self.search.trials.scenario_of(variant)
        except ScenarioError as error:
            told = error.expected
            if not key.endswith(error.key):
                told = f"{error.key} = {error.value!r}: {told}"
            raise self._refuse(key, value, told) from None

    def _runs(self) -> None:
        """Refuse fewer runs than a single trial needs, and seeds too few for any interval."""
        spec = self.search.spec
        turns = spec.double.rounds if spec.double is not None else 1
        least = 0
        if spec.attack is not None:
            least = 2 * spec.seeds + 2 * spec.fresh
            self._seeds("fresh", turns)
        if spec.rule is not None:
            # Every turn but the last adds an attack.
            deviations = len(spec.rule.deviations) + turns - 1
            least = max(least, (1 + deviations) * (spec.seeds + CONFIRMED * spec.fresh))
            self._seeds("seeds", max(1, deviations))
            self._seeds("fresh", max(1, deviations) * CONFIRMED)
        if spec.double is not None:
            least *= 2 * turns
        if spec.runs < least:
            expected = f"at least {least:,}, for a single trial and the fresh seeds"
            raise self._refuse("runs", spec.runs, expected)

    def _seeds(self, key: str, shares: int) -> None:
        """Refuse seeds whose intervals are infinite; their error is shared by so many of them."""
        sequence = replace(self.search.sequence, alpha=self.search.sequence.alpha / shares)
        least = 2
        while not math.isfinite(sequence.bound(np.arange(least)).high):
            least += 1
        if getattr(self.search.spec, key) < least:
            expected = f"at least {least}: with fewer the intervals are infinite"
            raise self._refuse(key, getattr(self.search.spec, key), expected)


def _ends(rule: RuleSpec, key: str) -> Iterator[Any]:
    """Yield the ends of a range, or all choices."""
    given = rule.keys[key]
    if given.choices:
        yield from given.choices
    else:
        yield given.at(0.0)
        yield given.at(1.0)


def _middle(rule: RuleSpec) -> dict[str, Any]:
    """Return the middle of all ranges."""
    return {key: given.at(0.5) for key, given in rule.keys.items()}
