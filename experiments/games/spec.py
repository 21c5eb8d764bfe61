"""A game as it is described in a file: a table, a matrix, or strategies in a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from experiments.games.game import Game, GameError, Role, game_of, symmetric
from experiments.games.solution import Settings
from experiments.games.table import LARGEST, NAME, Table, certain, read_csv
from experiments.loader import ScenarioError, label, toml_values
from experiments.sweeps.design import checked
from sim.keys import SettingError

Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
Amount = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Rows = Annotated[tuple[tuple[Amount, ...], ...], Field(min_length=1, max_length=100)]


class Part(BaseModel):
    """Base of the tables of a file: no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableFile(Part):
    """A payoff table in a file."""

    file: str
    """CSV file, looked for beside the game first."""


class Matrix(Part):
    """A game of two players, as matrices."""

    strategies: Names
    """Strategies of the row player; without `columns` of both players."""
    columns: tuple[str, ...] = ()
    """Strategies of the column player; empty: the game is symmetric."""
    payoffs: Rows
    """What the row player is paid, a row for each of its strategies."""
    column_payoffs: tuple[tuple[Amount, ...], ...] = ()
    """What the column player is paid, in the same form; of a symmetric game nothing."""

    def game(self) -> Game:
        """Return the game; raise `SettingError` for matrices of another form."""
        for key, names in {"strategies": self.strategies, "columns": self.columns}.items():
            for name in names:
                if not NAME.fullmatch(name) or names.count(name) > 1:
                    expected = f"must be names of letters and digits, each once; see {name!r}"
                    raise SettingError(f"matrix.{key}", list(names), expected)
        shape = (len(self.strategies), len(self.columns or self.strategies))
        both = {"payoffs": self.payoffs}
        if self.columns:
            both["column_payoffs"] = self.column_payoffs
        for key, rows in both.items():
            if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
                expected = f"must be {shape[0]} x {shape[1]} numbers, a row for each strategy"
                raise SettingError(f"matrix.{key}", [list(row) for row in rows], expected)
        if not self.columns:
            return symmetric(self.strategies, np.array(self.payoffs))
        first, second = np.array(self.payoffs), np.array(self.column_payoffs)
        roles = [Role("row", 1, self.strategies), Role("column", 1, self.columns)]

        def payoff(counts: Any) -> Any:
            row, column = int(np.argmax(counts[: shape[0]])), int(np.argmax(counts[shape[0] :]))
            paid = [first[row, column]] * shape[0] + [second[row, column]] * shape[1]
            return np.array(paid, dtype=np.float64)

        return game_of(roles, payoff)


class LearningSettings(Part):
    """Runs in which all players learn which strategy to play."""

    learner: str = "imitation"
    """How they choose (`fedstake list learners`)."""
    params: dict[str, Any] = {}
    """Parameters of the learner."""
    rounds: Annotated[int, Field(ge=4, le=100_000)] = 60
    """Of a run."""
    seeds: Annotated[int, Field(ge=2, le=1_000)] = 5
    """Runs."""


class Simulated(Part):
    """Strategies that devices play in a scenario."""

    scenario: str
    """Preset or TOML file of the scenario; its groups of adversaries stay beside the players."""
    set: dict[str, Any] = {}
    """Dotted scenario keys and their values in all runs."""
    strategies: Annotated[dict[str, dict[str, Any]], Field(max_length=12)]
    """By name the keys of a group that plays it; an empty table plays as everybody else."""
    measure: str = "utility"
    """Column of table `participants` that is summed over the rounds: the payoff of a device."""
    seeds: Annotated[int, Field(ge=2, le=10_000)] = 5
    """Seeds that every profile has at first, the same for all."""
    runs: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Runs at most; those that the first seeds leave are spent where the answer is open."""
    learning: LearningSettings | None = None
    """Let players learn, too, and compare where they end with the solution."""

    @model_validator(mode="after")
    def _one_plain(self) -> Simulated:
        plain = [name for name, keys in self.strategies.items() if not keys]
        if len(self.strategies) < 2 or len(plain) != 1:
            expected = (
                "must be 2 strategies or more, exactly one of them with an empty table: what "
                "everybody else plays"
            )
            raise SettingError("strategies", list(self.strategies), expected)
        return self


class SolveSettings(Part):
    """How the game is solved."""

    method: Literal["own", "gambit"] = "own"
    """Who searches for equilibria. `gambit`: two to four players, each by itself; needs the extra
    `games`."""
    honest: tuple[str, ...] = ()
    """The strategies, one of each role, whose profile is to hold; empty: none."""
    starts: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Random starts of the search for equilibria."""
    population: Annotated[int, Field(ge=2, le=10_000)] = 50
    """Individuals of the finite population."""
    intensity: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 10.0
    """Intensity of selection, in 1 / the spread of payoffs."""
    resamples: Annotated[int, Field(ge=20, le=100_000)] = 200
    """Resamples of the bootstrap."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of intervals."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Gain, as a share of the spread of payoffs, below which honesty holds."""

    def settings(self) -> Settings:
        return Settings(**self.model_dump())


class GameSpec(Part):
    """A game: exactly one of `table`, `matrix` and `simulated`, and how it is solved."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = "game"
    """Label, and name of the default folder."""
    table: TableFile | None = None
    """A payoff table in a file."""
    matrix: Matrix | None = None
    """Matrices of two players."""
    simulated: Simulated | None = None
    """Strategies in a scenario, whose payoffs are estimated by runs."""
    solve: SolveSettings = SolveSettings()
    """How it is solved."""

    @model_validator(mode="after")
    def _one_source(self) -> GameSpec:
        given = [k for k in ("table", "matrix", "simulated") if getattr(self, k) is not None]
        if len(given) != 1:
            expected = "must have exactly one of [table], [matrix] and [simulated]"
            raise SettingError("", given, expected)
        if self.matrix is not None:
            self.matrix.game()
        if self.simulated is not None:
            # Before anything is played.
            for name in self.solve.honest:
                if name not in self.simulated.strategies:
                    expected = f"must be one of {', '.join(self.simulated.strategies)}"
                    raise SettingError("solve.honest", name, expected)
        return self


def load_game(source: str | Path) -> GameSpec:
    """Read a game from a TOML file, or a payoff table from a CSV file.

    Raises `ScenarioError` for a wrong file.
    """
    path = Path(source)
    if path.suffix.lower() == ".csv":
        return GameSpec(name=label(path), table=TableFile(file=str(path)))
    values = toml_values(path, str(source), "no such file; a game is a TOML or CSV file")
    values.setdefault("name", label(path))
    for place, key in (("table", "file"), ("simulated", "scenario")):
        part = values.get(place)
        named = part.get(key) if isinstance(part, Mapping) else None
        if isinstance(named, str) and (path.parent / named).is_file():
            values[place] = {**values[place], key: str((path.parent / named).resolve())}
    return checked(GameSpec, values, str(source))


def check_honest(spec: GameSpec, game: Game, source: str) -> None:
    """Raise `ScenarioError` unless the honest profile names one strategy of each role."""
    for name in spec.solve.honest:
        if name not in game.names:
            expected = f"must be one of {', '.join(game.names)}"
            raise ScenarioError(source, "solve.honest", name, expected)
    try:
        if spec.solve.honest:
            game.pure(spec.solve.honest)
    except GameError as error:
        raise ScenarioError(source, "solve.honest", list(spec.solve.honest), str(error)) from None


def known_table(spec: GameSpec) -> Table | None:
    """Return the payoffs that a file gives; None where they are to be estimated."""
    if spec.table is not None:
        return read_csv(spec.table.file)
    if spec.matrix is not None:
        return certain(spec.matrix.game())
    return None


__all__ = ["GameError", "GameSpec", "check_honest", "known_table", "load_game"]
