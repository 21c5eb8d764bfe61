"""What every protocol promises: the suite plays its example."""

from __future__ import annotations

import copy
import hashlib
import html
import inspect
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib.externals import loky
from pydantic import BaseModel

from experiments.conformance.common import Conformance, check_equal, refused
from experiments.figures.declared import declared_figures
from experiments.loader import ScenarioError, dumps, load_scenario, validate
from experiments.outcomes import checked, locked
from experiments.pool import die_with
from experiments.reports import report
from experiments.runner import run
from experiments.runresult import RunResult
from sim.keys import table_of
from sim.meanings import meanings
from sim.money.ledger import BURN, ISSUANCE
from sim.protocol import CORE_OUTCOMES, Protocol
from sim.recording import CORE
from sim.scenario import Scenario
from sim.world import World

SECONDS = 2.0
"""CPU seconds that an example may take, building its world included."""


class ProtocolConformance(Conformance):
    """Play the example of a protocol: what it records, keeps and pays is what it declares."""

    plugin: ClassVar[type[Protocol]]

    def made(self) -> list[Any]:
        return []

    # --- keys ---------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return the example as plain values; it names the protocol so that it is found again."""
        values = copy.deepcopy(self.plugin.example())
        values["protocol"] = spelling(self.plugin)
        return values

    def scenario(self, **changes: Any) -> Scenario:
        """Return the scenario of the example, with top-level keys changed."""
        return validate({**self.values(), **changes}, "example()")

    def test_every_key_has_a_description(self):
        silent = list(_silent(self.plugin.Scenario))
        assert not silent, f"no description under {', '.join(silent)}"

    def test_a_scenario_survives_a_round_trip(self):
        scenario = self.scenario()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "example.toml"
            file.write_text(dumps(scenario))
            again = load_scenario(file)
        assert again == scenario, "the scenario written as TOML gives another one"
        assert again.run_id() == scenario.run_id(), "the run id is another one after a round trip"

    def test_unknown_keys_are_refused(self):
        with refused(ScenarioError, "the key no_such_key"):
            self.scenario(no_such_key=1)

    # --- play ---------------------------------------------------------------------------------

    def test_an_example_is_short(self):
        began = time.process_time()
        play(self.scenario())
        seconds = time.process_time() - began
        assert seconds < SECONDS, f"example() takes {seconds:.1f} CPU seconds, at most {SECONDS}"

    def test_tables_are_as_declared(self):
        scenario = self.scenario()
        declared, recorded = self.plugin.recorded(scenario), play(scenario)
        assert recorded.keys() == declared.keys(), "other tables are recorded than declared"
        assert recorded.keys() >= CORE.keys(), "a core table is missing"
        for name, table in declared.items():
            schema = recorded[name].schema
            types = {column: schema.field(column).type for column in schema.names}
            wanted = {column: declaration.type for column, declaration in table.columns.items()}
            assert types == wanted, f"table {name} has other columns or types than declared"
        rounds = recorded["rounds"]["round"].to_pylist()
        assert rounds == [*range(1, scenario.rounds + 1)], "rounds has not one row for each round"
        people = recorded["participants"].num_rows
        assert people == scenario.rounds * scenario.devices, "participants has not a row for each"

    def test_money_is_conserved(self):
        journal = play(self.scenario())["journal"].to_pandas()
        held: Counter[tuple[str, str]] = Counter()
        for debit, credit, asset, amount in _entries(journal):
            held[asset, debit] -= amount
            held[asset, credit] += amount
            for account in (debit, credit):
                assert account in (ISSUANCE, BURN) or held[asset, account] >= 0, account
        assert not sum(held.values()), "more or less came in than went out"

    def test_utilities_are_incomes_less_costs(self):
        tables = play(self.scenario())
        people = tables["participants"].to_pandas()
        check_equal(
            people["income"].to_numpy(),
            _incomes(tables["journal"].to_pandas(), people),
            "incomes are not those of the journal",
        )
        before = people.groupby("device")["locked"].shift(fill_value=0)
        change = (people["locked"] - before).where(people["round"] > 1, people["locked"])
        expected = people["income"] + change - people["cost"] + people["benefit"]
        check_equal(
            people["utility"].to_numpy(dtype=float),
            expected.to_numpy(dtype=float),
            "utility is not income + change of locked - cost + benefit",
            atol=1e-6,
        )

    # --- the same again -----------------------------------------------------------------------

    def test_another_process_gives_the_same_bytes(self):
        scenario = self.scenario()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "example.toml"
            file.write_text(dumps(scenario))
            found = _elsewhere(file)
        assert found == digest(play(scenario)), "another process gives other tables"

    def test_a_checkpoint_at_every_boundary_changes_nothing(self):
        scenario = self.scenario()
        expected = digest(play(scenario))
        for boundary in range(1, scenario.rounds):
            found = digest(resumed(scenario, boundary))
            assert found == expected, f"resuming after round {boundary} gives other tables"

    def test_a_longer_run_begins_in_the_same_way(self):
        if not self.plugin.open_ended:
            return
        scenario = self.scenario()
        longer = scenario.replace(rounds=scenario.rounds + 1)
        before = scenario.rounds - 1
        found = [_histories(one, before) for one in (scenario, longer)]
        assert found[0] == found[1], "what happens depends on how many rounds are to come: say so"

    # --- what others make of it ---------------------------------------------------------------

    def test_outcomes_can_be_computed(self):
        tables = self.plugin.all_tables()
        declared = {n: o.to_plain() for n, o in self.plugin.all_outcomes().items()}
        checked(declared, self.plugin.__name__)
        both = self.plugin.outcomes.keys() & CORE_OUTCOMES.keys()
        assert not both, f"outcomes of every protocol are called {', '.join(both)}"
        with recorded(self.scenario()) as result, locked(result.path) as db:
            for name, outcome in self.plugin.all_outcomes().items():
                assert outcome.table in tables, f"outcome {name}: no table {outcome.table!r}"
                file = result.path / f"{outcome.table}.parquet"
                if file.is_file():
                    db.execute(f"select ({outcome.sql}) from read_parquet('{file}')").fetchall()

    def test_a_replay_can_be_planned(self):
        # Imported here: most suites need no chain.
        from chain_bridge.plan import make_plan
        from chain_bridge.recording import read

        with recorded(self.scenario()) as result:
            plan = make_plan(read(result.path))
        money = sum(plan.counts()[kind] for kind in ("mint", "burn", "transfer"))
        assert money == len(result.journal), "the plan of a replay leaves out entries"

    def test_every_figure_draws(self):
        with recorded(self.scenario()) as result:
            declared = declared_figures(result)
            assert len(declared) == len(self.plugin.charts), "a declared chart is left out"
            page = report(result).read_text(encoding="utf-8")
        failed = re.findall(r"<p class=failed>(.*?)</p>", page)
        assert not failed, html.unescape("; ".join(failed))


def spelling(protocol: type[Protocol]) -> str:
    """Return how a scenario names a protocol: its name, or the file that it is in and its class."""
    from sim.registries import protocols

    if protocol.name in protocols.names() and protocols.get(protocol.name) is protocol:
        return protocol.name
    return f"{inspect.getsourcefile(protocol)}:{protocol.__name__}"


def play(scenario: Scenario) -> dict[str, pa.Table]:
    """Return the tables of a scenario that is played in memory."""
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    return world.kernel.tables()


def digest(tables: dict[str, pa.Table]) -> str:
    """Return SHA-256 over the values of all tables."""
    found = hashlib.sha256()
    for name in sorted(tables):
        found.update(f"\n{name}\n{tables[name].to_pydict()!r}".encode())
    return found.hexdigest()


def _digest_of(file: Path) -> str:
    """Return the digest of all tables of a scenario in a file."""
    return digest(play(load_scenario(file)))


@cache
def _another_process() -> Executor:
    """Return a process that stays for the next protocol: it takes seconds to import PyTorch."""
    return loky.ProcessPoolExecutor(1, initializer=die_with, initargs=(os.getpid(),))


def _elsewhere(file: Path) -> str:
    """Return the digest of all tables of a scenario that another process plays."""
    try:
        return _another_process().submit(_digest_of, file).result()
    except BrokenExecutor:
        _another_process.cache_clear()
        raise


@contextmanager
def recorded(scenario: Scenario) -> Iterator[RunResult]:
    """Record a run of a scenario in a folder that is there for the block."""
    with tempfile.TemporaryDirectory() as folder:
        result = run(scenario, Path(folder) / "run")
        _ = result.journal, result.manifest  # read while the folder is there
        yield result


def resumed(scenario: Scenario, boundary: int) -> dict[str, pa.Table]:
    """Return the tables of a run that is put away after some rounds, and goes on in a new world.

    What only grows is asked for in two parts, as two checkpoints do.
    """
    first = World(scenario)
    history: dict[str, list[Any]] = {}
    marks: dict[str, int] = {}
    for played in first.run():
        if played not in (boundary // 2, boundary):
            continue
        state, arrays = first.to_state(marks)
        plain = json.loads(json.dumps(state))
        marks = plain["marks"]
        for name, rows in plain["history"].items():
            history.setdefault(name, []).extend(rows)
        if played == boundary:
            break
    first.close()
    second = World(scenario)
    copies = {name: np.array(array) for name, array in arrays.items()}
    second.restore({**plain, "history": history}, copies)
    for _ in second.run():
        pass
    second.close()
    return second.kernel.tables()


def _histories(scenario: Scenario, rounds: int) -> dict[str, Any]:
    """Return all that is recorded after some rounds."""
    world = World(scenario)
    for _ in range(rounds):
        world.step()
    state, _ = world.to_state()
    world.close()
    return json.loads(json.dumps(state["history"]))


def _silent(table: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the keys without a text that says what they mean."""
    for name, field in table.model_fields.items():
        inner = table_of(field)
        if inner is not None:
            yield from _silent(inner, f"{prefix}{name}.")
        elif not meanings(table)[name]:
            yield f"{prefix}{name}"


def _entries(journal: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    columns = ("debit", "credit", "asset", "amount")
    return zip(*(journal[column].tolist() for column in columns), strict=True)


def _incomes(journal: pd.DataFrame, people: pd.DataFrame) -> np.ndarray:
    """Return by row of `participants` what came in less what went out in the round.

    What a device paid to join is part of its first round, what it gets back at the end of its last.
    """
    last = int(people["round"].max())
    moves: Counter[tuple[int, str]] = Counter()
    numbers = journal["round"].clip(1, last).tolist()
    reasons = journal["reason"].tolist()
    for number, reason, (debit, credit, _, amount) in zip(
        numbers, reasons, _entries(journal), strict=True
    ):
        if reason != "initial":
            moves[number, debit] -= amount
            moves[number, credit] += amount
    pairs = zip(people["round"].tolist(), people["device"].tolist(), strict=True)
    return np.array([moves[number, f"device:{device}"] for number, device in pairs])
