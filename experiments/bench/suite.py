"""A benchmark suite: frozen worlds, deviations and seeds, and the runs that follow from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from experiments.audits.question import DEVIANT
from fedstake.outside import read_toml
from sim.keys import SettingError
from sim.scenario import SCHEMA_VERSION, Scenario, scenario_of

FOLDER = Path(__file__).parent
PRESENT = 1
"""Number of the suite in which rules are measured now."""
HONEST = "nobody deviates"
Kind = Literal["honest", "deviation", "alone", "sybils", "coalition"]
Keys = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One world under one distribution of stake and one seed; all of its variants are paired."""

    world: str
    stakes: str
    seed: int

    def __str__(self) -> str:
        return f"{self.world}, {self.stakes}, seed {self.seed}"


@dataclass(frozen=True)
class Variant:
    """What a group does in every cell.

    Args:
        name: of the variant; unique.
        kind: "honest" without a group, "alone" for an operator that sybils are compared with.
        size: of the group.
        group: keys of the group.
        baseline: name of the variant that its gain is measured over; "" for a baseline.
    """

    name: str
    kind: Kind
    size: int = 0
    group: Mapping[str, Any] | None = field(default=None, hash=False)
    baseline: str = ""

    @property
    def changes(self) -> Keys:
        """The dotted scenario keys that make it."""
        groups = []
        if self.group is not None:
            groups = [{"name": DEVIANT, "count": self.size, **self.group}]
        return {"adversaries": groups}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Played(_Part):
    """A protocol of the suite: its own keys, and whether rules can be paid on tapes of it."""

    name: str
    taped: bool
    keys: Keys


class Fees(_Part):
    """Price of each move and of a round, in millionths of the chain's native token."""

    mint: float
    transfer: float
    burn: float
    round: float

    def of(self, mints: float, transfers: float, burns: float) -> float:
        """Return the fee of a round with so many moves."""
        moves = mints * self.mint + transfers * self.transfer + burns * self.burn
        return self.round + moves


class Suite(_Part):
    """A suite, as its file holds it."""

    version: int
    first_seed: int
    seeds: int
    level: float
    tolerance: float
    identities: tuple[int, ...]
    sizes: tuple[int, ...]
    keys: Keys
    protocols: tuple[Played, ...]
    neutral: Keys
    worlds: dict[str, Keys]
    stakes: dict[str, Keys]
    deviations: dict[str, Keys]
    coalitions: dict[str, Keys]
    only: dict[str, str]
    fees: Fees

    @cached_property
    def hash(self) -> str:
        """16 digits that stand for all values, and for how scenarios are played."""
        text = json.dumps([SCHEMA_VERSION, self.model_dump(mode="json")], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def rounds(self) -> int:
        return int(self.keys["rounds"])

    def cells(self) -> list[Cell]:
        """Return the cells; each has a seed of its own, so that they are independent."""
        places = [
            (world, stakes)
            for world in self.worlds
            for stakes in self.stakes
            for _ in range(self.seeds)
        ]
        return [Cell(*place, self.first_seed + i) for i, place in enumerate(places)]

    def variants(self, protocol: str) -> list[Variant]:
        """Return what is played under a protocol, baselines before what is compared with them."""
        return list(self._variants(protocol))

    def _variants(self, protocol: str) -> Iterator[Variant]:
        yield Variant(HONEST, "honest")
        for name, group in self.deviations.items():
            if self.only.get(name, protocol) == protocol:
                yield Variant(name, "deviation", 1, group, HONEST)
        for k in self.identities:
            alone = f"one of {k} identities"
            yield Variant(alone, "alone", k, {"spares": k - 1})
            for word, how in (("split", "split"), ("copied", "duplicate")):
                name = f"{k} identities, data {word}"
                yield Variant(name, "sybils", k, {"identities": how}, alone)
        for name, group in self.coalitions.items():
            for size in self.sizes:
                called = f"{size} x {name}"
                yield Variant(called, "coalition", size, group, HONEST)

    def scenario(
        self, protocol: Played, cell: Cell, variant: Variant, payout: Mapping[str, Any]
    ) -> Scenario:
        """Return one run; `payout` are dotted keys that name the rule.

        Raises `SettingError` where the rule cannot be played under the protocol.
        """
        base = _base(protocol.name)
        changes = {
            **self.keys,
            **protocol.keys,
            **self.worlds[cell.world],
            **self.stakes[cell.stakes],
            "name": f"bench-{self.version}",
            "seed": cell.seed,
            **payout,
            **variant.changes,
        }
        return base.replace(**changes)

    def scenarios(
        self, protocol: Played, places: Sequence[tuple[Cell, Variant]], payout: Mapping[str, Any]
    ) -> list[Scenario]:
        """Return many runs of one rule; those that differ in their seed only are checked once.

        Raises what `scenario` does.
        """
        checked: dict[tuple[str, str, str], Scenario] = {}
        found = []
        for cell, variant in places:
            key = cell.world, cell.stakes, variant.name
            if key not in checked:
                checked[key] = self.scenario(protocol, cell, variant, payout)
            found.append(checked[key].model_copy(update={"seed": cell.seed}))
        return found

    def taped(self, protocol: Played, places: Sequence[tuple[Cell, Variant]]) -> list[Scenario]:
        """Return the runs whose tapes rules are paid on."""
        return self.scenarios(protocol, places, {**self.neutral, "record.tape": True})

    def protocol_of(self, payout: Mapping[str, Any]) -> Played:
        """Return the first protocol in which a rule can be played; else raise `SettingError`."""
        first: SettingError | None = None
        cell, honest = self.cells()[0], Variant(HONEST, "honest")
        for protocol in self.protocols:
            try:
                self.scenario(protocol, cell, honest, payout)
            except SettingError as error:
                first = first or error
            else:
                return protocol
        assert first is not None
        raise first


@cache
def _base(protocol: str) -> Scenario:
    return scenario_of({"protocol": protocol})


@cache
def load_suite(version: int = PRESENT) -> Suite:
    """Return a suite by its number."""
    return Suite.model_validate(read_toml(FOLDER / f"suite-{version}.toml"))
