"""From a recorded run to the ordered list of what is to happen on a chain. Knows no chain."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandas as pd

from chain_bridge.errors import PlanError
from chain_bridge.recording import BURN, ISSUANCE, Recording

Kind = Literal[
    "mint",
    "burn",
    "transfer",
    "note",
    "collection",
    "version",
    "metadata",
    "propose",
    "approve",
    "fund",
    "create",
]
MONEY = ("mint", "burn", "transfer")


class Action(NamedTuple):
    """One thing to do. `amount`: base units of the run for money, native units of the chain for `fund`.

    `device`: whom its fee is told of (-1: nobody). `data`: text of a note or an approved call; `members` of an approval.
    """

    round: int
    kind: Kind
    reason: str
    debit: str = ""
    credit: str = ""
    amount: int = 0
    device: int = -1
    data: bytes = b""
    members: tuple[int, ...] = ()
    number: int = 0

    def text(self) -> str:
        """What a note says; of a model version the hexadecimal hashes."""
        return self.data.hex() if self.kind == "metadata" else self.data.decode()

    def line(self) -> bytes:
        """A canonical form, for digests."""
        return repr(tuple(self)).encode()


@dataclass(frozen=True)
class Plan:
    """All actions of a run in order: rounds ascend, and within a round roles, commitments, reveals and votes come before money,
    and money keeps the journal's order.
    """

    run: Recording
    actions: tuple[Action, ...]
    asset: str

    @cached_property
    def accounts(self) -> tuple[str, ...]:
        """Every account that ever holds anything, in order of first appearance."""
        names: dict[str, None] = {}
        for a in self.actions:
            if a.kind in MONEY:
                names |= {n: None for n in (a.debit, a.credit) if n not in (ISSUANCE, BURN)}
        return tuple(names)

    def counts(self) -> Counter[str]:
        """How many actions of each kind."""
        return Counter(a.kind for a in self.actions)


def make_plan(run: Recording) -> Plan:
    """The plan of a run; `PlanError` when its journal cannot be replayed."""
    assets = sorted({str(a) for a in run.journal["asset"].unique()})
    if len(assets) > 1:
        raise PlanError(
            f"{run.path / 'journal.parquet'}: assets {', '.join(assets)}; a replay moves one"
        )
    money, notes, late = _money(run), _notes(run), _registry(run)
    rounds = sorted({*money, *notes, *late})
    actions = tuple(a for r in rounds for a in (*notes[r], *money[r], *late[r]))
    return Plan(run, actions, assets[0] if assets else "")


# --- money ------------------------------------------------------------------------------------------------------------


def _money(run: Recording) -> dict[int, list[Action]]:
    """The journal, entry by entry; checked again, because it comes from a file."""
    held: dict[str, int] = defaultdict(int)
    found: dict[int, list[Action]] = defaultdict(list)
    last = 0
    entries = rows(run.journal, "round", "debit", "credit", "asset", "amount", "reason")
    for number, (r, debit, credit, asset, amount, reason) in enumerate(entries):
        told = f"{run.path / 'journal.parquet'}: entry {number} (round {r}, {reason})"
        if amount <= 0 or debit in (credit, BURN) or credit == ISSUANCE:
            raise PlanError(f"{told} moves {amount} from {debit} to {credit}")
        if r < last:
            raise PlanError(f"{told} comes after round {last}")
        last = r
        held[debit] -= amount
        held[credit] += amount
        if debit != ISSUANCE and held[debit] < 0:
            raise PlanError(f"{told}: {debit} would hold {held[debit]} {asset}")
        kind: Kind = "mint" if debit == ISSUANCE else "burn" if credit == BURN else "transfer"
        if debit == ISSUANCE and credit == BURN:
            raise PlanError(f"{told} burns what it issues")
        found[r].append(
            Action(r, kind, reason, debit, credit, amount, _device(debit, credit), number=number)
        )
    return found


def _device(debit: str, credit: str) -> int:
    """Whom a move is about: the device that is paid or that pays; the payee where both are."""
    for name in (credit, debit):
        if name.startswith("device:"):
            return int(name.removeprefix("device:"))
    return -1


# --- notes: what the chain orders and timestamps but does not judge ---------------------------------------------------


def note(what: str, round: int, **values: Any) -> bytes:
    """A note's text: compact JSON with sorted keys."""
    return json.dumps(
        {"fedstake": what, "round": round} | values, sort_keys=True, separators=(",", ":")
    ).encode()


def digest(lines: Iterable[str]) -> str:
    """SHA-256 over lines joined by line feeds."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _notes(run: Recording) -> dict[int, list[Action]]:
    found: dict[int, list[Action]] = defaultdict(list)
    votes = by_round(run.votes)
    winners = run.blocks[run.blocks["status"] == "adopted"] if len(run.blocks) else run.blocks
    most = {
        r: t.sort_values(["adopters", "hash"], ascending=[False, True]).iloc[0]
        for r, t in by_round(winners).items()
    }
    for number, table in by_round(run.participants).items():
        found[number].append(
            Action(
                number,
                "note",
                "roles",
                data=note("roles", number, sha256=digest(role_lines(table))),
            )
        )
        for reason, column in (("commitment", "commitment"), ("reveal", "opening")):
            if column in table:
                given = table[table[column].notna()].sort_values("device")
                found[number] += [
                    Action(
                        number,
                        "note",
                        reason,
                        device=d,
                        data=note(reason, number, device=d, value=v),
                    )
                    for d, v in rows(given, "device", column)
                ]
        if number in votes:
            told = note("votes", number, sha256=digest(vote_lines(votes[number])))
            found[number].append(Action(number, "note", "votes", data=told))
        if number in most:
            block = most[number]
            told = note("block", number, hash=str(block["hash"]), miner=int(block["miner"]))
            found[number].append(
                Action(number, "note", "block", device=int(block["miner"]), data=told)
            )
    return found


def by_round(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """A table cut into its rounds."""
    return {int(str(r)): t for r, t in table.groupby("round")} if len(table) else {}


def rows(table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Plain Python values of some columns, row by row; None where there is none."""
    return zip(
        *(table[c].astype(object).where(table[c].notna(), None) for c in columns), strict=True
    )


def role_lines(participants: Any) -> list[str]:
    """`device,role` of every device with a role, by device."""
    told = participants[participants["role"].notna()].sort_values("device")
    return [f"{d},{role}" for d, role in zip(told["device"], told["role"], strict=True)]


def vote_lines(votes: Any) -> list[str]:
    """`validator,worker,vote` of every vote that counted, by validator and worker; votes are 1 and 0."""
    told = votes[votes["status"] == "counted"].sort_values(["validator", "worker"])
    return [
        f"{v},{w},{int(x)}"
        for v, w, x in zip(told["validator"], told["worker"], told["vote"], strict=True)
    ]


# --- registry and approvals -------------------------------------------------------------------------------------------


def _registry(run: Recording) -> dict[int, list[Action]]:
    """Model versions where the run keeps a registry; approvals where a committee voted on a round's result."""
    found: dict[int, list[Action]] = defaultdict(list)
    kept = (
        rows(run.versions, "round", "weights", "parent", "author", "status")
        if len(run.versions)
        else ()
    )
    for number, (r, weights, parent, by, status) in enumerate(kept):
        data = bytes.fromhex(weights) + bytes.fromhex(parent)
        author = -1 if by is None or math.isnan(by) else int(by)
        if not number:
            found[min(r, 0)].insert(0, Action(min(r, 0), "collection", "registry"))
        found[r].append(Action(r, "version", f"version.{status}", device=author, number=number))
        found[r].append(
            Action(r, "metadata", f"version.{status}", device=author, data=data, number=number)
        )
    if run.protocol != "coordinator":
        return found
    for number, table in by_round(run.votes).items():
        members = tuple(sorted(int(d) for d in table["validator"].unique()))
        if len(members) < 2:
            continue
        seats = members[: len(members) // 2 + 1]
        mine = run.participants[run.participants["round"] == number]
        accepted = sorted(
            int(d) for d in mine.loc[mine["accepted"].fillna(False).astype(bool), "device"]
        )
        text = note(
            "result", number, accepted=digest(map(str, accepted)), votes=digest(vote_lines(table))
        )
        found[number].append(
            Action(number, "propose", "approval", device=seats[0], data=text, members=members)
        )
        found[number] += [
            Action(number, "approve", "approval", device=s, data=text, members=members, number=i)
            for i, s in enumerate(seats[1:], start=2)
        ]
    return found
