"""Off-policy comparison: what each payout rule would have paid for the blocks of one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.recorded import RunError, sound
from experiments.runresult import RunResult, open_run
from mechanisms import registries as rules_of
from mechanisms.combined import Combined
from mechanisms.failures import described, told
from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry, reading, require_trust
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment
from sim.learning import models
from sim.learning.engine import LearningEngine
from sim.money.ledger import BURN, ISSUANCE
from sim.money.payments import checked
from sim.protocol import Tape
from sim.registries import protocols
from sim.training.tape import read_block

Make = Callable[[], PayoutRule]
COLUMNS = ("mechanism", "device", "group", "adversary", "income", "cpu_s", "error")


def compare_payouts(
    run: RunResult | str | Path,
    rules: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    trust: bool = False,
) -> pd.DataFrame:
    """Return what each payout rule would have paid to whom in a run with `record.tape = true`.

    Off-policy: roles, behaviour, votes, models and the stakes that rules are shown are those of the
    recorded run. The run's own rule gets exactly the incomes of the run's journal (not with
    `chain.resync = "chain-only"`, where balances do not follow chains). For any other rule this is
    its answer to the same events. Had it been in force, devices with other stakes might have been
    drawn, have mined and have deviated otherwise, so a rule that decides who may play or that moves
    the stakes is only approximated. As in a run, newly issued units go to devices whose own chain
    holds the block, and pools pay on the chain that most devices hold at the end. Bribes are not
    the rule's and are left out.

    Returns a row per mechanism and device: `mechanism`, `device`, `group`, `adversary`, `income`
    (base units, all in minus all out), `cpu_s` (CPU seconds of the mechanism; the first that asks
    pays for measuring a coalition of updates, which all share) and `error`. A rule that cannot run
    has one row, with its error and no income; so has a rule that lets nobody join with the run's
    balances or fewer than the roles need, with which no run could have been played. Raises
    `RunError` without a tape.

    Args:
        run: a recorded run, or its folder.
        rules: names of payout rules, or their parameters by name. Default: all that are shipped and
            installed, and the run's own with its parts. The run's own rule keeps the parameters of
            the run where none are given.
        trust: import plug-in files that the run names, its own rule or model; without it they are
            refused. Files that `rules` names are imported.
    """
    if isinstance(rules, str):
        raise TypeError(f"rules = {rules!r}: give a list of names")
    asked = rules if rules is None or isinstance(rules, Mapping) else list(rules)
    recorded = run if isinstance(run, RunResult) else open_run(run)
    with reading(trust=trust, own=asked or ()), sound(recorded.path, "the comparison"):
        return _played(recorded, _wanted(recorded, asked))


def _played(run: RunResult, wanted: Mapping[str, Make]) -> pd.DataFrame:
    """Return the table of `compare_payouts` for rules that are made by these factories."""
    tape = TapedRun(run)
    needed = _seats(run)
    replays = [Replay(name, make, tape.balances, needed) for name, make in wanted.items()]
    for block in tape.blocks():
        for replay in replays:
            replay.play(block)
    for replay in replays:
        replay.close()
    who = tape.people()
    rows: list[tuple[Any, ...]] = []
    for r in replays:
        rows += [
            (r.name, *person, income, r.cpu_s, None)
            for person, income in zip(who, r.incomes(), strict=False)
        ]
        if r.error:
            rows.append((r.name, None, None, None, None, r.cpu_s, r.error))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"device": "Int64", "adversary": "boolean", "income": "Int64"})


def _seats(run: RunResult) -> int:
    """Return how many devices the roles of a run need; 1 where nobody knows before it is played."""
    roles = run.settings.get("roles")
    if not isinstance(roles, Mapping):
        return 1
    try:
        return sum(rules_of.roles.create(roles["rule"], roles["params"]).minimum())
    except PluginError:  # a file, which is not imported
        return 1


def by_mechanism(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per mechanism of a table of `compare_payouts`.

    Its columns: mean incomes of honest devices and of adversaries, what all devices got less what
    they paid (`spent`), CPU seconds, and the error of a rule that could not run.
    """
    each = table.groupby("mechanism", sort=False)
    bad = table["adversary"].fillna(False).astype(bool)
    mine = {"honest": table[~bad], "adversary": table[bad]}
    means = {name: part.groupby("mechanism")["income"].mean() for name, part in mine.items()}
    return pd.DataFrame(
        {
            "honest": means["honest"],
            "adversary": means["adversary"],
            "spent": each["income"].sum(min_count=1),
            "cpu_s": each["cpu_s"].first(),
            "error": each["error"].first(),
        },
        index=pd.Index(table["mechanism"].unique(), name="mechanism"),
    ).reset_index()


def compare_rules(
    run: RunResult, rules: Sequence[str] | None = None, *, trust: bool = False
) -> pd.DataFrame:
    """Compare rules on the tape of a run, in the way that the run's protocol declares.

    `trust` as for `compare_payouts`. Raises `RunError` for a run whose protocol is not installed or
    records no tape, and `PluginError`, which names it, for an unknown rule.
    """
    with reading(trust=trust, own=rules or ()):
        tape = _tape_of(run)
        registry = Registry.kinds()[tape.kind]
        for name in rules or ():
            _check_rule(registry, name)
        module, _, function = tape.reader.partition(":")
        return getattr(import_module(module), function)(run, rules)


def _check_rule(registry: Registry, name: str) -> None:
    """Raise `PluginError`, which names the option, for a rule that is not there."""
    try:
        registry.get(name)
    except PluginError as error:
        raise PluginError(f"--rule {name}: {error}", "", name) from None


def _tape_of(run: RunResult) -> Tape:
    """Return how a run's protocol compares rules; only an installed protocol is asked."""
    name = str(run.manifest.get("protocol"))
    if name not in protocols.names():
        raise RunError(
            f"{run.path}: played by protocol {name!r}, which is not installed; "
            f"there are {', '.join(protocols.names())}"
        )
    tape: Tape | None = protocols.get(name).tape  # type: ignore[attr-defined]
    if tape is None:
        raise RunError(f"{run.path}: protocol {name!r} records no tape to compare rules on")
    return tape


def _wanted(
    run: RunResult, rules: Sequence[str] | Mapping[str, Mapping[str, Any]] | None
) -> dict[str, Make]:
    """Map the name of each rule to a factory for it."""
    payout = run.settings["payout"]
    own = {payout["mechanism"]: payout["params"]}
    create, wanted = rules_of.payouts.create, dict[str, Make]()
    if isinstance(rules, Mapping):
        for name, params in rules.items():
            wanted[name] = partial(create, name, dict(params))
        return wanted
    if rules is None:
        _require_trust(run)
    names = [*rules_of.payouts.names(), *own] if rules is None else rules
    for name in names:
        wanted[name] = partial(create, name, dict(own.get(name, {})))
    if rules is None and payout["parts"]:
        whole = " + ".join([payout["mechanism"], *(p["part"] for p in payout["parts"])])
        wanted[whole] = partial(rule_of, payout)
    return wanted


def _require_trust(run: RunResult) -> None:
    """Raise `RunError` when the run's own rule or a part is a file that must not be imported."""
    payout = run.settings["payout"]
    try:
        for name in (payout["mechanism"], *(part["part"] for part in payout["parts"])):
            require_trust(name)
    except PluginError as error:
        raise RunError(f"{run.path}: {error}; --rule NAME compares a shipped rule") from None


def rule_of(payout: Mapping[str, Any]) -> PayoutRule:
    """Return the payout rule of a checked table `payout`, with its parts around it."""
    rule: PayoutRule = rules_of.payouts.create(payout["mechanism"], dict(payout["params"]))
    parts = [rules_of.parts.create(p["part"], dict(p["params"])) for p in payout["parts"]]
    return Combined(rule, parts) if parts else rule


@dataclass(frozen=True)
class TapedBlock:
    """One taped block.

    `row` and `previous` are its row and its predecessor's, `holders` the devices whose chain holds
    it at the end, `canonical` whether the canonical chain does.
    """

    row: int
    previous: int | None
    canonical: bool
    holders: frozenset[int]
    seen: BlockObservation
    shown: dict[frozenset[str], BlockObservation]

    def pays(self, payment: Payment) -> bool:
        """Return whether a payment is made in the end: to whoever holds the block, or by it."""
        return payment.payee in self.holders if payment.per_device else self.canonical

    def shown_to(self, observes: frozenset[str]) -> BlockObservation:
        """Return what rules that observe these see; made once for all of them."""
        if observes not in self.shown:
            self.shown[observes] = self.seen.shown_to(observes)
        return self.shown[observes]


class TapedRun:
    """The tape of a run, read in order."""

    def __init__(self, run: RunResult) -> None:
        self.run = run
        if not run.settings["record"].get("tape"):
            raise RunError(
                f"{run.path}: this run has no tape; record one with --set record.tape=true"
            )
        self._opening = self._open("opening").read()
        self.balances: list[int] = self._value("balances")

    def blocks(self) -> Iterator[TapedBlock]:
        """Yield every block that counts, with all that a rule could observe of it."""
        file = self._open("tape")
        first = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for i in range(table.num_rows):
                # A block that no chain holds at the end was never paid for.
                if table["canonical"][i].as_py() or table["holders"][i].as_py():
                    yield self._block(table, i, first + i)
            first += table.num_rows

    def _block(self, table: pa.Table, i: int, row: int) -> TapedBlock:
        """Return the block in line `i` of a part of the tape, row `row` of the whole."""
        seen = read_block(table, i, self.run.manifest["parameters"])
        if self._value("y"):
            seen = replace(seen, utility=_Utility(self, seen))
        return TapedBlock(
            row=row,
            previous=table["previous"][i].as_py(),
            canonical=table["canonical"][i].as_py(),
            holders=frozenset(table["holders"][i].as_py()),
            seen=seen,
            shown={},
        )

    def people(self) -> list[tuple[int, str, bool]]:
        """Return number, group and whether it is an adversary of every device.

        These are in the first rows of `participants`.
        """
        columns = ("device", "group", "adversary")
        table = self._open("participants").read_row_group(0, columns)
        rows = table.slice(0, len(self.balances)).to_pydict()
        return list(zip(*(rows[c] for c in columns), strict=True))

    @cached_property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples on which utility is measured."""
        x = np.frombuffer(self._opening["x"][0].as_buffer(), dtype=np.float32)
        return x.reshape(-1, *self._value("shape")), np.array(self._value("y"), dtype=np.int64)

    @cached_property
    def engine(self) -> LearningEngine:
        """Measures models of the run; nothing is trained."""
        model, training = self.run.settings["model"], self.run.settings["training"]
        source, classes = models.create(model["name"], model["params"]), self._value("classes")
        return LearningEngine(
            lambda: source.build(tuple(self._value("shape")), classes),
            *self.held_out,
            learning_rate=training["learning_rate"],
            batch_size=training["batch_size"],
            seed=0,
            classes=classes,
        )

    def _value(self, column: str) -> Any:
        return self._opening[column][0].as_py()

    def _open(self, table: str) -> pq.ParquetFile:
        path = self.run.file(table)
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{path}: damaged or missing ({str(error).splitlines()[0]})") from error


class _Utility:
    """Utility of a block; the engine is built when the first rule asks: others need no model."""

    def __init__(self, tape: TapedRun, seen: BlockObservation) -> None:
        self._tape, self._seen = tape, seen

    def __call__(self, members: np.ndarray) -> np.ndarray:
        return self._values(members)

    @cached_property
    def _values(self) -> Any:
        return self._tape.engine.coalitions(
            self._seen.updates, self._seen.start, *self._tape.held_out
        )


class _UnplayableError(Exception):
    """The recorded run could not have been played with this rule; the message says why."""


class Replay:
    """One rule from its opening to its close, with its own memory and its own books."""

    def __init__(self, name: str, make: Make, balances: list[int], needed: int) -> None:
        """`needed`: how many devices the roles of the run need."""
        self.name, self.cpu_s, self.error, self._needed = name, 0.0, "", needed
        self._before: dict[int | str, int] = {}
        self._before.update(enumerate(balances))
        self._devices = len(balances)
        self._after: dict[int, Memory] = {}
        self._last: int | None = None
        self._reported = False
        self._attempt(self._open, make)

    def play(self, block: TapedBlock) -> None:
        """Settle a block on top of the one before it."""
        self._attempt(self._settle, block)

    def close(self) -> None:
        """Let the rule give back what it holds at the end of the canonical chain."""
        self._attempt(self._close)

    def incomes(self) -> list[int]:
        """Return what each device got less what it paid; nothing for a rule that failed."""
        if self.error:
            return []
        return [self._held[device] - before for device, before in self._before.items()]

    def _attempt(self, step: Any, *args: Any) -> None:
        if self.error:
            return
        began = time.process_time()
        try:
            with told():
                step(*args)
        except _UnplayableError as error:
            self.error = str(error)
        except Exception as error:  # a rule may raise anything; the others go on
            self.error = described(error)
        self.cpu_s += time.process_time() - began

    def _open(self, make: Make) -> None:
        self._rule = checked(make(), self._devices)
        self._held = dict(self._before)
        self._held.update(self._rule.accounts())
        opening = self._rule.open(
            OpeningObservation(
                devices=tuple(range(self._devices)), balances=tuple(self._before.values())
            )
        )
        self._post(opening.payments)
        self._memory: Memory = opening.memory or {}
        members = self._rule.members(self._memory)
        playing = self._devices if members is None else len(members)
        if 0 < playing < self._needed:
            raise _UnplayableError(
                f"lets {playing} devices join, the roles need {self._needed}; a run with this rule "
                "is refused"
            )
        if not playing:
            held = max(self._before.values())
            raise _UnplayableError(
                f"nobody could have joined: no device can pay what it takes, they hold {held:,} "
                "base units at most (payout.initial_balance); a run with this rule is refused"
            )

    def _require(self, block: TapedBlock) -> None:
        """Raise `_UnplayableError` when the tape lacks something that the rule observes."""
        observes, seen = self._rule.observes, block.seen
        if "utility" in observes and seen.utility is None:
            raise _UnplayableError("needs held-out samples, which the run has none of")
        if "conduct" in observes and seen.conduct is None:
            raise _UnplayableError("needs what only the contract of a coordinated round knows")
        if "wallets" in observes:
            raise _UnplayableError("needs the claims of wallets, which are on no tape")
        if "reports" not in observes or self._reported:
            return
        self._reported = any(record.reports for record in seen.records)
        voted = any(record.positive or record.negative for record in seen.records)
        if voted and not self._reported:
            raise _UnplayableError(
                "needs reports of validators, which the run's own rule did not ask for"
            )

    def _settle(self, block: TapedBlock) -> None:
        self._require(block)
        observes = self._rule.observes
        memory = self._memory if block.previous is None else self._after[block.previous]
        settlement = self._rule.settle(replace(self._shown(block, observes), memory=memory))
        self._after[block.row] = memory if settlement.memory is None else settlement.memory
        if block.canonical:
            self._last = block.row
        self._post([p for p in settlement.payments if block.pays(p)])

    def _shown(self, block: TapedBlock, observes: frozenset[str]) -> BlockObservation:
        """Return what the rule sees of a block, its memory aside."""
        return block.shown_to(observes)

    def _close(self) -> None:
        closing = self._rule.close(self._memory if self._last is None else self._after[self._last])
        self._post(closing.payments)

    def _post(self, payments: Sequence[Payment]) -> None:
        """Execute payments as the ledger does: as one batch, and no account goes below zero."""
        held, payers = self._held, set()
        for p in payments:
            if p.payer != ISSUANCE:
                held[p.payer] -= p.amount
                payers.add(p.payer)
            if p.payee != BURN:
                held[p.payee] += p.amount
        for payer in payers:
            if held[payer] < 0:
                raise ValueError(
                    f"{payer!r} lacks {-held[payer]} base units that {self._rule!r} lets it pay"
                )
