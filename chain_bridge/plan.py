"""From a recorded run to the ordered list of actions on a chain.

Knows no chain and no protocol: money comes from the journal, everything else from the notes that
the run's manifest declares.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandas as pd

from chain_bridge.devices import NO_DEVICE, device_of
from chain_bridge.errors import PlanError
from chain_bridge.notes import Approval, Declared, Licences, Note, Value, Versions
from chain_bridge.recording import BURN, ISSUANCE, Recording

Kind = Literal[
    "mint",
    "burn",
    "transfer",
    "note",
    "collection",
    "version",
    "metadata",
    "licences",
    "licence",
    "attribute",
    "propose",
    "approve",
    "fund",
    "create",
]
MONEY = ("mint", "burn", "transfer")
MOST_TEXT = 4096  # bytes of a note
MOST_DATA = 128  # bytes of a version's digests: what the Uniques pallet takes
MOST_VALUE = 64  # bytes of an attribute's value
MOST_SEATS = 2**15  # numbers that members of a committee may have: above are accounts of the run


class Action(NamedTuple):
    """One thing to do on the chain.

    `amount`: base units of the run for money, native units of the chain for `fund`. `device`: the
    one that the fee is attributed to (-1: none). `data`: text of a note or of an approved note,
    digests of a model version, an attribute as "name=value". `members`: the committee of an
    approval. `number`: the journal entry, the item of a version or licence, or how many have
    approved.
    """

    round: int
    kind: Kind
    reason: str
    debit: str = ""
    credit: str = ""
    amount: int = 0
    device: int = NO_DEVICE
    data: bytes = b""
    members: tuple[int, ...] = ()
    number: int = 0

    def text(self) -> str:
        """Return the text of a note, or the hexadecimal digests of a model version."""
        return self.data.hex() if self.kind == "metadata" else self.data.decode()

    def line(self) -> bytes:
        """Return the canonical bytes that a batch's digest is made of."""
        return repr(tuple(self)).encode()


@dataclass(frozen=True)
class Plan:
    """All actions of a run in order.

    Rounds ascend. Within a round notes come first, in the order of their declarations, then money
    in the journal's order, then model versions and approvals.
    """

    run: Recording
    actions: tuple[Action, ...]
    asset: str

    @cached_property
    def accounts(self) -> tuple[str, ...]:
        """Return every account that ever holds anything, in order of first appearance."""
        names: dict[str, None] = {}
        for a in self.actions:
            if a.kind in MONEY:
                names |= {n: None for n in (a.debit, a.credit) if n not in (ISSUANCE, BURN)}
        return tuple(names)

    def counts(self) -> Counter[str]:
        """Return the number of actions of each kind."""
        return Counter(a.kind for a in self.actions)


def make_plan(run: Recording) -> Plan:
    """Return the plan of a run; `PlanError` when its journal or its notes cannot be replayed."""
    assets = sorted({str(a) for a in run.journal["asset"].unique()})
    if len(assets) > 1:
        raise PlanError(
            f"{run.path / 'journal.parquet'}: assets {', '.join(assets)}; a replay moves one"
        )
    before, money, after = _notes(run), _money(run), _results(run)
    rounds = sorted({*before, *money, *after})
    actions = tuple(a for r in rounds for a in (*before[r], *money[r], *after[r]))
    return Plan(run, actions, assets[0] if assets else "")


# --- money ----------------------------------------------------------------------------------------


def _money(run: Recording) -> dict[int, list[Action]]:
    """Return the actions of the journal by round; checked again, because it comes from a file."""
    held: dict[str, int] = defaultdict(int)
    actions: dict[int, list[Action]] = defaultdict(list)
    last = 0
    entries = rows(run.journal, "round", "debit", "credit", "asset", "amount", "reason")
    for number, (r, debit, credit, asset, amount, reason) in enumerate(entries):
        entry = f"{run.path / 'journal.parquet'}: entry {number} (round {r}, {reason})"
        if amount <= 0 or debit in (credit, BURN) or credit == ISSUANCE:
            raise PlanError(f"{entry} moves {amount} from {debit} to {credit}")
        if debit == ISSUANCE and credit == BURN:
            raise PlanError(f"{entry} burns what it issues")
        if r < last:
            raise PlanError(f"{entry} comes after round {last}")
        last = r
        held[debit] -= amount
        held[credit] += amount
        if debit != ISSUANCE and held[debit] < 0:
            raise PlanError(f"{entry}: {debit} would hold {held[debit]} {asset}")
        kind, device = _money_kind(debit, credit), _device(debit, credit)
        actions[r].append(
            Action(r, kind, reason, debit, credit, amount, device=device, number=number)
        )
    return actions


def _money_kind(debit: str, credit: str) -> Kind:
    if debit == ISSUANCE:
        return "mint"
    return "burn" if credit == BURN else "transfer"


def _device(debit: str, credit: str) -> int:
    """Return the device that is paid, else the one that pays, else `NO_DEVICE`."""
    paid = device_of(credit)
    return device_of(debit) if paid == NO_DEVICE else paid


# --- notes: what the chain orders and timestamps but does not judge -------------------------------


def note(reason: str, round: int, /, **values: Any) -> bytes:
    """Return the text of a note: compact JSON with sorted keys."""
    content = {"fedstake": reason, "round": round} | values
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MOST_TEXT:
        raise ValueError(f"a note of {len(text):,} bytes; must be at most {MOST_TEXT:,}")
    return text


def digest(lines: Iterable[str]) -> str:
    """Return SHA-256 over lines joined by line feeds."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _notes(run: Recording) -> dict[int, list[Action]]:
    """Return the actions of all declared notes, by round."""
    actions: dict[int, list[Action]] = defaultdict(list)
    for declared in run.notes:
        if isinstance(declared, Note):
            with _values_that_fit(run, declared):
                for r, table in by_round(run.tables[declared.table]).items():
                    actions[r] += _note_actions(declared, r, table)
    return actions


@contextlib.contextmanager
def _values_that_fit(run: Recording, declared: Declared) -> Iterator[None]:
    """Turn errors of values that do not fit a declaration into a `PlanError` with the table."""
    try:
        yield
    except PlanError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        file = run.path / f"{declared.table}.parquet"
        raise PlanError(f"{file}: unfit for the declared {declared.type} ({error})") from error


def _note_actions(declared: Note, r: int, table: pd.DataFrame) -> Iterator[Action]:
    """Yield the notes of one round, whose rows `table` holds."""
    if declared.per == "round":
        text = note(declared.reason, r, sha256=note_digest(declared, table))
        yield Action(r, "note", declared.reason, data=text)
        return
    chosen = qualifying(declared, table)
    if declared.per == "first":
        chosen = chosen.head(1)
    devices = _devices(chosen, declared.device)
    records = _scalars(chosen, *declared.columns.values())
    for values, device in zip(records, devices, strict=True):
        text = note(declared.reason, r, **dict(zip(declared.columns, values, strict=True)))
        yield Action(r, "note", declared.reason, device=device, data=text)


def note_digest(declared: Note, table: pd.DataFrame) -> str:
    """Return the digest of a round's qualifying rows; of no lines where there are none."""
    chosen = qualifying(declared, table)
    return digest(",".join(map(_word, values)) for values in _scalars(chosen, *declared.line()))


def qualifying(declared: Note, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that a note is made from, in the note's order.

    Rows without a value come after all others, whichever way the order goes.
    """
    fits = _equal(table, declared.equal)
    for column in declared.present:
        fits &= table[column].notna()
    chosen = table[fits]
    if declared.order:
        columns, ascending = declared.sorting()
        chosen = chosen.sort_values(columns, ascending=ascending, kind="stable", na_position="last")
    return chosen


def _equal(table: pd.DataFrame, wanted: Mapping[str, Value]) -> pd.Series:
    """Return which rows have these values in these columns."""
    fits = pd.Series(True, index=table.index)
    for column, value in wanted.items():
        fits &= (table[column] == value).fillna(False).astype(bool)
    return fits


def by_round(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return a table cut into its rounds."""
    return {int(str(r)): t for r, t in table.groupby("round")} if len(table) else {}


def rows(table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield plain Python values of some columns, row by row; None where there is none."""
    return zip(
        *(table[c].astype(object).where(table[c].notna(), None) for c in columns), strict=True
    )


def _scalars(table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows whose values can be written in a note: texts, numbers and truth values."""
    for values in rows(table, *columns):
        for value in values:
            if value is not None and not isinstance(value, str | int | float):
                raise TypeError(f"a value is of type {type(value).__name__}")
        yield values


def _word(value: Any) -> str:
    """Return a value as a line has it: truth values are 1 and 0, nothing where there is none."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _devices(table: pd.DataFrame, column: str) -> list[int]:
    """Return the device of each row; -1 where there is none."""
    if not column:
        return [-1] * len(table)
    return [-1 if device is None else int(device) for (device,) in rows(table, column)]


# --- results: model versions and approvals, after the money of their round ------------------------


def _results(run: Recording) -> dict[int, list[Action]]:
    """Return the actions of declared versions and approvals, by round."""
    actions: dict[int, list[Action]] = defaultdict(list)
    for declared in run.notes:
        if isinstance(declared, Note):
            continue
        with _values_that_fit(run, declared):
            if isinstance(declared, Versions):
                made = _versions(declared, run)
            elif isinstance(declared, Licences):
                made = _licences(declared, run)
            else:
                made = _approvals(declared, run)
            for action in made:
                actions[action.round].append(action)
    return actions


def _versions(declared: Versions, run: Recording) -> Iterator[Action]:
    """Yield the collection before the first version, and two actions for each version."""
    table = run.tables.get(declared.table)
    if table is None or table.empty:
        return
    authors = _devices(table, declared.author)
    records = rows(table, "round", declared.status, *declared.data)
    for number, (author, (r, status, *digests)) in enumerate(zip(authors, records, strict=True)):
        if not number:
            yield Action(min(r, 0), "collection", "registry")
        data, reason = b"".join(map(bytes.fromhex, digests)), f"version.{status}"
        if len(data) > MOST_DATA:
            raise ValueError(f"digests of {len(data):,} bytes; must be at most {MOST_DATA}")
        yield Action(r, "version", reason, device=author, number=number)
        yield Action(r, "metadata", reason, device=author, data=data, number=number)


def _licences(declared: Licences, run: Recording) -> Iterator[Action]:
    """Yield the collection before the first licence, and for each the item of its buyer."""
    table = run.tables.get(declared.table)
    if table is None:
        return
    sold = table[_equal(table, declared.equal)]
    buyers = _devices(sold, declared.buyer)
    records = _scalars(sold, "round", *declared.attributes.values())
    for number, (buyer, (r, *values)) in enumerate(zip(buyers, records, strict=True)):
        if not 0 <= buyer < MOST_SEATS:
            raise ValueError(f"buyer {buyer}; must be 0 to {MOST_SEATS - 1}")
        if not number:
            yield Action(min(r, 0), "licences", "licences")
        yield Action(r, "licence", "licence", device=buyer, number=number)
        for name, value in zip(declared.attributes, values, strict=True):
            text = _word(value)
            if len(text.encode()) > MOST_VALUE:
                raise ValueError(f"{name} of {len(text.encode())} bytes; at most {MOST_VALUE}")
            data = f"{name}={text}".encode()
            yield Action(r, "attribute", "licence", device=buyer, data=data, number=number)


def _approvals(declared: Approval, run: Recording) -> Iterator[Action]:
    """Yield, for each round with a committee, the proposal of its result and the approvals."""
    tables = {name: by_round(run.tables[d.table]) for name, d in declared.digests.items()}
    for r, table in by_round(run.tables[declared.table]).items():
        members = tuple(sorted(set(_devices(table, declared.members)) - {-1}))
        if len(members) < 2:
            continue
        if not 0 <= members[0] <= members[-1] < MOST_SEATS:
            raise PlanError(
                f"{run.path / (declared.table + '.parquet')}: round {r}: members {members[0]} to "
                f"{members[-1]} of column {declared.members}; must be 0 to {MOST_SEATS - 1}"
            )
        digests = {}
        for name, part in declared.digests.items():
            nothing = run.tables[part.table].head(0)
            digests[name] = note_digest(part, tables[name].get(r, nothing))
        text = note(declared.reason, r, **digests)
        seats = members[: len(members) // 2 + 1]
        yield Action(r, "propose", "approval", device=seats[0], data=text, members=members)
        for count, seat in enumerate(seats[1:], start=2):
            yield Action(
                r, "approve", "approval", device=seat, data=text, members=members, number=count
            )
