"""A game as it is recorded in its folder, from which its report is made again.

`game.json` has the game's file and how runs were spent, and lists `payoffs.csv` and, of estimated
payoffs, `samples.csv` with their hashes; it carries a hash of its own. Such a folder may come from
anybody: all is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, Field

from experiments.games.learning import read_shares
from experiments.games.solution import Solution, solve
from experiments.games.spec import GameSpec, check_honest
from experiments.games.table import Table, frame, read_csv, read_samples, samples_frame
from experiments.recorded import Listed, Natural, RunError, listing, read_sealed, verify
from experiments.rundir import check_writable, write_file
from experiments.spreadsheet import csv_text
from fedstake.outside import seal, shown
from sim.scenario import SCHEMA_VERSION

GAME, PAYOFFS, SAMPLES = "game.json", "payoffs.csv", "samples.csv"
LEARNERS = "learners.csv"


class Stage(BaseModel):
    """Runs that were played at a time: so many more seeds of each of some profiles."""

    profiles: Natural
    seeds: Natural


class Header(BaseModel):
    """The keys of `game.json`."""

    schema_version: Natural
    game: GameSpec
    stages: list[Stage] = Field(default=[], max_length=100_000)
    payoffs: Listed
    samples: Listed | None = None
    learners: Listed | None = None


@dataclass(frozen=True)
class RecordedGame:
    """A game in its folder.

    Args:
        folder: where it is recorded.
        spec: its file.
        table: its payoffs.
        stages: how runs were spent, in their order; none where payoffs were given.
        given: its solution, where that is known already.
        learners: shares of the strategies of learners by seed and round; None where none played.
    """

    folder: Path
    spec: GameSpec
    table: Table
    stages: Sequence[Stage] = ()
    given: Solution | None = field(default=None, repr=False)
    learners: pd.DataFrame | None = field(default=None, repr=False)

    @cached_property
    def solution(self) -> Solution:
        """Its solution; `GameError` where it has none."""
        if self.given is not None:
            return self.given
        solution = solve(self.table, self.spec.solve.settings())
        return solution if self.learners is None else solution.with_learners(self.learners)


def write_game(game: RecordedGame) -> None:
    """Write a game and all frames of its solution into its folder, which is made if need be."""
    check_writable(game.folder)
    game.folder.mkdir(parents=True, exist_ok=True)
    write_file(game.folder / PAYOFFS, csv_text(frame(game.table)))
    header: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "game": portable(game.spec),
        "stages": [stage.model_dump() for stage in game.stages],
        "payoffs": listing(game.folder / PAYOFFS),
    }
    (game.folder / SAMPLES).unlink(missing_ok=True)
    if game.table.samples:
        write_file(game.folder / SAMPLES, csv_text(samples_frame(game.table)))
        header["samples"] = listing(game.folder / SAMPLES)
    (game.folder / LEARNERS).unlink(missing_ok=True)
    if game.solution.learned is not None:
        write_file(game.folder / LEARNERS, csv_text(game.solution.learned.shares))
        header["learners"] = listing(game.folder / LEARNERS)
    for title, table in game.solution.frames().items():
        write_file(game.folder / f"{title}.csv", csv_text(table))
    write_file(game.folder / GAME, seal(header))


def portable(spec: GameSpec) -> dict[str, Any]:
    """Return what a game's file says, without folders of this machine."""
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for place, key in (("table", "file"), ("simulated", "scenario")):
        if place in values:
            values[place][key] = Path(values[place][key]).name
    return {"name": spec.name, **values}


def open_game(folder: str | Path) -> RecordedGame:
    """Return the game that a folder holds; `RunError` when it is damaged, wrong or incomplete."""
    path = Path(folder)
    file = path / GAME
    try:
        values = read_sealed(file, Header)
    except FileNotFoundError:
        raise RunError(f"{shown(path)}: incomplete, {GAME} is missing") from None
    if values["schema_version"] != SCHEMA_VERSION:
        version = values["schema_version"]
        raise RunError(f"{shown(file)}: of schema {version}, this version reads {SCHEMA_VERSION}")
    header = Header.model_validate(values)
    verify(path / PAYOFFS, values["payoffs"])
    table = read_csv(path / PAYOFFS)
    if header.samples is not None:
        verify(path / SAMPLES, values["samples"])
        table = read_samples(path / SAMPLES, table.game)
    check_honest(header.game, table.game, shown(file))
    learners = None
    if header.learners is not None:
        verify(path / LEARNERS, values["learners"])
        learners = read_shares(path / LEARNERS, table.game)
    return RecordedGame(path, header.game, table, header.stages, learners=learners)
