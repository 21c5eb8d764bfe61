"""Rows of the benchmark: tapes are played once, every rule is paid on them, the rest is played."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.audits.question import DEVIANT
from experiments.bench.board import COMMITTED, label_of, read_board
from experiments.bench.card import sections_of
from experiments.bench.paying import Account, account_of, deserved, on_tape
from experiments.bench.record import CALLED, ROW, Honest, Record, write_record
from experiments.bench.row import answer, gains_of, row_of
from experiments.bench.suite import Cell, Played, Suite, Variant, load_suite
from experiments.foreign import bare, file_hash
from experiments.kinds import all_kinds
from experiments.loader import ScenarioError, locate
from experiments.many import RunFailure, run_many
from experiments.offpolicy import Make, rule_of
from experiments.pool import in_processes
from experiments.progress import Progress, progress
from experiments.recorded import RunError
from experiments.reports.page import page
from experiments.rundir import write_file
from experiments.runresult import RunResult
from experiments.scorecard.measures import fairness, gini
from experiments.spreadsheet import csv_text
from fedstake.errors import InputError
from fedstake.folders import chosen_folder
from fedstake.interrupts import like
from fedstake.outside import shown
from mechanisms import registries as rules_of
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry
from sim.keys import SettingError, plain
from sim.scenario import SCHEMA_VERSION, Scenario

ALLOWED = ("payout.params", "payout.parts")
"""Keys that a row may set: parameters of the rule, and parts around it."""
CHUNK = 24
"""Tapes that a process pays on at a time."""

Place = tuple[Cell, Variant]
Accounts = dict[Place, Account]
BENCH = "results/bench"
"""Where rows are made unless another folder is given."""
Shares = dict[Cell, tuple[int, ...] | None]
"""By cell what each device would have had by Shapley value; none where that was not measured."""


@dataclass(frozen=True)
class Asked:
    """A rule that gets a row.

    Args:
        rule: a name, or the whole `path/to/file.py:Class`.
        payout: dotted keys that name it, its parameters and its parts.
        protocol: that it is played under.
        settings: the checked table `payout` of a scenario with it.
        given: what the user calls it, as commands take it.
    """

    rule: str
    payout: Mapping[str, Any]
    protocol: Played
    settings: Mapping[str, Any]
    given: str

    @property
    def called(self) -> str:
        """The rule's own name, with the names of its parts."""
        names = [_name(rules_of.payouts, self.rule)]
        names += [_name(rules_of.parts, part["part"]) for part in self.settings["parts"]]
        return " + ".join(names)

    @property
    def make(self) -> Make:
        return partial(rule_of, dict(self.settings))


def _name(registry: Registry, name: str) -> str:
    cls = registry.get(name)
    return cls.name or cls.__name__


def ask(rule: str, suite: Suite, changes: Mapping[str, Any] | None = None) -> Asked:
    """Return a rule to make a row for.

    Args:
        rule: name of a payout rule, or `path/to/file.py:Class`.
        suite: that it is measured in.
        changes: dotted keys of its parameters and parts.

    Raises `InputError` for a rule that the suite does not cover or cannot play.
    """
    named = {"rule": os.path.expanduser(rule)}
    locate(named, Path.cwd())
    for key in changes or {}:
        if not key.startswith(ALLOWED):
            raise InputError(
                f"--set {key}: the suite is frozen; only payout.params and payout.parts can be set"
            )
    _check_kind(named["rule"], rule)
    payout = {"payout.mechanism": named["rule"], **(changes or {})}
    locate(payout, Path.cwd())
    try:
        protocol = suite.protocol_of(payout)
        honest = suite.variants(protocol.name)[0]
        scenario = suite.scenario(protocol, suite.cells()[0], honest, payout)
    except SettingError as error:
        raise ScenarioError(rule, error.key, error.value, error.expected) from error
    asked = Asked(named["rule"], payout, protocol, scenario.to_dict()["payout"], rule)
    if not re.fullmatch(CALLED, asked.called):
        expected = "at most 80 letters, digits and signs of ASCII, names of parts among them"
        raise InputError(f"{rule}: is called {shown(asked.called)}: must be {expected}")
    return asked


def _check_kind(rule: str, asked: str) -> None:
    """Raise `InputError` for a rule that is no payout rule."""
    try:
        rules_of.payouts.get(rule)
    except PluginError as error:
        others = [kind.one for kind in all_kinds() if rule in kind.names()]
        if others:
            raise InputError(
                f"{asked}: is a {others[0]}, and the suite covers payout rules of protocols that "
                "train (fedstake list mechanisms); fedstake audit takes rules of any kind"
            ) from None
        raise InputError(f"{asked}: {error}; the suite covers payout rules") from None


@dataclass
class Bench:
    """Makes rows of a suite; what was played is kept in a folder and not played again.

    Args:
        suite: what is played.
        folder: of the runs.
        workers: processes (default: all cores).
        data: folder of data files.
        progress: see `Progress`.
        shapley: what devices would have had by Shapley value in honest runs on tapes.
    """

    suite: Suite
    folder: Path
    workers: int | None = None
    data: str | Path | None = None
    progress: Progress = None
    shapley: Shares = field(default_factory=dict)

    def records(self, asked: Sequence[Asked]) -> list[Record]:
        """Return what each rule did; raises `RunError` where a run of one fails."""
        taped = [a for a in asked if a.protocol.taped]
        paid = dict(zip(map(id, taped), self.on_tapes(taped), strict=True))
        return [self._record(a, *paid.get(id(a), ({}, {}))) for a in asked]

    def places(self, protocol: Played) -> list[Place]:
        """Return every run of the suite under a protocol."""
        variants = self.suite.variants(protocol.name)
        return [(cell, variant) for cell in self.suite.cells() for variant in variants]

    # --- tapes --------------------------------------------------------------------------------

    def on_tapes(self, asked: Sequence[Asked]) -> list[tuple[Accounts, dict[Place, str]]]:
        """Return of each rule what it pays on tapes, and where it must be played, why."""
        found: list[tuple[Accounts, dict[Place, str]]] = [({}, {}) for _ in asked]
        if not asked:
            return found
        protocol = asked[0].protocol
        places = self.places(protocol)
        tapes = self._played("tapes", places, self.suite.taped(protocol, places))
        rules = {str(i): a.settings for i, a in enumerate(asked)}
        for place, answers in self._paid(tapes, rules):
            for name, paid in answers.items():
                accounts, reasons = found[int(name)]
                if isinstance(paid, Account):
                    accounts[place] = paid
                else:
                    reasons[place] = paid
        honest = {cell: tapes[cell, v] for cell, v in places if v.kind == "honest"}
        self.shapley |= {cell: deserved(run) for cell, run in honest.items()}
        return found

    def _paid(
        self, tapes: Mapping[Place, RunResult], rules: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[Place, dict[str, Account | str]]]:
        """Yield what each rule pays on each tape."""
        places = list(tapes)
        chunks = [places[at : at + CHUNK] for at in range(0, len(places), CHUNK)]
        tasks = [(i, [tapes[p].path for p in chunk], rules) for i, chunk in enumerate(chunks)]
        done: dict[int, list[dict[str, Account | str]]] = {}
        with progress("payments", len(tasks), asked=self.progress) as report_done:

            def keep(outcome: tuple[int, list[dict[str, Account | str]]]) -> None:
                done[outcome[0]] = outcome[1]
                report_done(len(done))

            def failed(task: Any, error: Exception) -> None:
                raise RunError(f"{self.folder}: rules cannot be paid on its tapes: {error}")

            _in_processes(_pay, tasks, self.workers, keep, failed)
        for i, chunk in enumerate(chunks):
            yield from zip(chunk, done[i], strict=True)

    # --- runs ---------------------------------------------------------------------------------

    def _played(
        self, what: str, places: Sequence[Place], scenarios: Sequence[Scenario]
    ) -> dict[Place, RunResult]:
        """Play runs, or take those that are there; raise `RunError` for the first that fails."""
        ended = 0
        folder = self.folder / what
        with progress(what, len(places), asked=self.progress) as report_done:

            def count(_: Any) -> None:
                nonlocal ended
                ended += 1
                report_done(ended)

            try:
                results = run_many(
                    scenarios, folder, workers=self.workers, data=self.data, on_done=count
                )
            except KeyboardInterrupt as error:
                raise like(
                    error,
                    f"interrupted; {ended} of {len(places)} {what} are there and kept, the same "
                    "command goes on with the others",
                ) from None
        runs: dict[Place, RunResult] = {}
        for (cell, variant), result in zip(places, results, strict=True):
            if isinstance(result, RunFailure):
                raise RunError(f"{cell}, {variant.name}: its run fails: {result.error}")
            runs[cell, variant] = result
        return runs

    def play(self, asked: Asked, places: Sequence[Place]) -> tuple[Accounts, Shares]:
        """Return what a rule did in runs of its own, and Shapley values of those without deviation.

        These are computed on their tapes.
        """
        honest = [place for place in places if place[1].kind == "honest"]
        others = [place for place in places if place[1].kind != "honest"]
        scenarios = self.suite.scenarios(
            asked.protocol, honest, {**asked.payout, "record.tape": True}
        )
        scenarios += self.suite.scenarios(asked.protocol, others, asked.payout)
        try:
            runs = self._played("played", [*honest, *others], scenarios)
        except RunError as error:
            raise RunError(f"{asked.called}: {error}") from None
        accounts = {place: account_of(run) for place, run in runs.items()}
        return accounts, {cell: deserved(runs[cell, variant]) for cell, variant in honest}

    # --- records ------------------------------------------------------------------------------

    def _record(self, asked: Asked, on_tapes: Accounts, reasons: Mapping[Place, str]) -> Record:
        """Return the record of a rule, after playing what could not be paid on tapes."""
        places = self.places(asked.protocol)
        missing = [place for place in places if place not in on_tapes]
        own, shapley = self.play(asked, missing) if missing else ({}, {})
        accounts = {**on_tapes, **own}
        why = Counter(reasons.get(place, f"protocol {asked.protocol.name}") for place in missing)
        return Record(
            suite=self.suite.version,
            suite_hash=self.suite.hash,
            schema_version=SCHEMA_VERSION,
            fedstake=version("fedstake"),
            rule=os.path.basename(asked.rule),
            called=asked.called,
            file_hash=file_hash(asked.rule),
            payout=bare(plain(dict(asked.payout))),
            protocol=asked.protocol.name,
            on_tape=len(on_tapes),
            played=len(own),
            why=dict(why),
            honest=honest_of(self.suite, accounts, {**self.shapley, **shapley}),
            gains=gains_of_accounts(self.suite, asked.protocol, accounts),
        )


@dataclass(frozen=True)
class Benched:
    """A rule that was measured.

    Args:
        record: what it did, cell by cell.
        suite: that it was measured in.
    """

    record: Record
    suite: Suite

    @property
    def row(self) -> dict[str, Any]:
        """Its row, as a leaderboard has it."""
        return row_of(self.record, self.suite)

    @property
    def answer(self) -> str:
        """What the row says, in one sentence."""
        return answer(self.row, self.suite)

    def frame(self) -> pd.DataFrame:
        """Return its row as a frame."""
        return pd.DataFrame([self.row])

    def gains(self) -> pd.DataFrame:
        """Return what every variant gains, with interval and verdict."""
        return gains_of(self.record, self.suite)

    def leaderboard(self) -> pd.DataFrame:
        """Return the leaderboard that comes with the repository, with this row in it."""
        return read_board(COMMITTED, self.suite).with_rows([self.record], self.suite).rows


def bench(
    rule: str,
    out: str | Path = BENCH,
    *,
    set: Mapping[str, Any] | None = None,
    workers: int | None = None,
    data: str | Path | None = None,
    progress: Progress = None,
) -> Benched:
    """Measure a payout rule in the frozen suite, and write its row, gains and card.

    The same call goes on after a crash; runs that are there are not played again.

    Args:
        rule: name of a payout rule, or `path/to/file.py:Class`.
        out: folder of runs and rows; further rules are paid on the same tapes.
        set: dotted keys of the rule's parameters, or of parts around it.
        workers: processes (default: all cores).
        data: folder of data files.
        progress: see `sweep`.

    Raises `InputError` for a rule that the suite does not cover, `RunError` where a run fails.
    """
    suite, folder = load_suite(), chosen_folder(out, changes=True) or Path(BENCH)
    asked = ask(rule, suite, set)
    made = Bench(suite, folder, workers, data, progress).records([asked])
    benched = Benched(made[0], suite)
    write_benched(benched, asked, folder)
    return benched


def bench_all(
    out: str | Path = BENCH,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    progress: Progress = None,
) -> list[Benched]:
    """Measure all shipped payout rules; arguments as for `bench`."""
    suite, folder = load_suite(), chosen_folder(out) or Path(BENCH)
    shipped = [name for name in rules_of.payouts.names() if rules_of.payouts.is_shipped(name)]
    asked = [ask(name, suite) for name in shipped]
    records = Bench(suite, folder, workers, data, progress).records(asked)
    found = [Benched(record, suite) for record in records]
    for benched, each in zip(found, asked, strict=True):
        write_benched(benched, each, folder)
    return found


def folder_of(record: Record, out: Path) -> Path:
    """Return the folder of a rule's row: one by path has its file's name in it."""
    return out / re.sub(r"[^\w.+-]+", "-", label_of(record)).strip("-")


def write_benched(benched: Benched, asked: Asked, out: Path) -> None:
    """Write the record of a rule, its row and gains as CSV, and its card."""
    place = folder_of(benched.record, out)
    place.mkdir(parents=True, exist_ok=True)
    gains = benched.gains()
    write_record(benched.record, place / ROW)
    write_file(place / "row.csv", csv_text(benched.frame()))
    write_file(place / "gains.csv", csv_text(gains))
    rule: Any = rules_of.payouts.get(asked.rule)
    parts = sections_of(rule, benched.row, gains, benched.suite, asked.settings, asked.given)
    subtitle = f"payout rule · suite {benched.suite.version} · protocol {asked.protocol.name}"
    write_file(place / "card.html", page(benched.record.called, subtitle, parts))


def _in_processes(
    work: Callable[..., Any],
    tasks: Sequence[Any],
    workers: int | None,
    keep: Callable[[Any], None],
    failed: Callable[[Any, Exception], None],
) -> None:
    """Run tasks in processes, or here with one worker."""
    if workers != 1:
        in_processes(work, tasks, workers or os.cpu_count() or 1, keep, failed)
        return
    for task in tasks:
        try:
            outcome = work(*task)
        except Exception as error:
            failed(task, error)
            continue
        keep(outcome)


def _pay(
    number: int, paths: Sequence[Path], rules: Mapping[str, Mapping[str, Any]]
) -> tuple[int, list[dict[str, Account | str]]]:
    """Return what rules pay on some tapes; runs in a process of its own."""
    makes = {name: partial(rule_of, dict(settings)) for name, settings in rules.items()}
    return number, [on_tape(RunResult(path), makes) for path in paths]


# --- measures -----------------------------------------------------------------------------------


def honest_of(suite: Suite, accounts: Accounts, shapley: Shares) -> Honest:
    """Return the measures of runs in which nobody deviates."""
    columns: dict[str, list[Any]] = {name: [] for name in Honest.model_fields}
    found = {cell: account for (cell, v), account in accounts.items() if v.kind == "honest"}
    for cell in suite.cells():
        for name, value in honest_cell(found[cell], shapley.get(cell)).items():
            columns[name].append(value)
    return Honest.model_validate(columns)


def honest_cell(account: Account, shapley: Sequence[int] | None) -> dict[str, float | None]:
    """Return the measures of one run in which nobody deviates."""
    income, payoff = np.array(account.income, dtype=float), np.array(account.utility)
    distance = np.nan
    if shapley is not None:
        distance = fairness(income, shapley)["l1"] / 2
    return {
        "accuracy": account.accuracy,
        "income": float(income.mean()),
        "payoff": float(payoff.mean()),
        "size": float(np.abs(payoff).mean()),
        "losing": float((payoff < 0).mean()),
        "worst": float(payoff.min()),
        "spent": float(income.sum() / account.rounds),
        "gini": _known(gini(income) if income.min() >= 0 else np.nan),
        "shapley": _known(distance),
        **{name: account.moves.get(name, 0) / account.rounds for name in ("mint", "transfer")},
        "burn": account.moves.get("burn", 0) / account.rounds,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def gains_of_accounts(
    suite: Suite, protocol: Played, accounts: Accounts
) -> dict[str, tuple[float, ...]]:
    """Return by variant its gain in each cell, base units per run."""
    variants = {v.name: v for v in suite.variants(protocol.name)}
    gains: dict[str, tuple[float, ...]] = {}
    for v in variants.values():
        if v.baseline:
            before = variants[v.baseline]
            gains[v.name] = tuple(
                gain(v, accounts[cell, before], accounts[cell, v]) for cell in suite.cells()
            )
    return gains


def gain(variant: Variant, before: Account, after: Account) -> float:
    """Return what a member gains over itself, or identities together over their operator as one."""
    members = after.members(DEVIANT)
    had, has = np.array(before.utility), np.array(after.utility)
    if variant.kind == "sybils":
        return float(has[members].sum() - had[before.members(DEVIANT)].sum())
    return float((has[members] - had[members]).mean())
