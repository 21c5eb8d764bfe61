"""The state of a device's chain, immutable: head, weight, model, exclusions, payments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mechanisms.vocabulary import Memory, Payment, UpdateRecord
from sim.chain.block import GENESIS, Block
from sim.chain.versions import Kept, Version

Streak = tuple[int, int]
"""(how many times in a row, when last)."""


@dataclass(frozen=True, eq=False)
class ChainState:
    """The result of applying a chain of blocks. Devices whose chains agree share one object.

    `weight` ranks chains: the stakes of the miners of its blocks (pos) or their work (pow).
    `payments` are those of the last block that devices credit themselves, `moves` those that its
    payout rule makes between other accounts, `memory` is what that rule remembers. `model` is a key
    of the world's model store. `versions` are those that the last block released, `kept` the
    newest, of which the last is the present one.
    """

    id: int
    parent: ChainState | None
    height: int
    head: bytes
    weight: int
    model: int
    miner: int = -1
    round: int = 0
    size_bytes: int = 0
    payments: Mapping[int, tuple[Payment, ...]] = field(default_factory=dict)
    moves: tuple[Payment, ...] = ()
    memory: Memory = field(default_factory=dict)
    rejected: Mapping[int, Streak] = field(default_factory=dict)
    absent: Mapping[int, Streak] = field(default_factory=dict)
    blocked: frozenset[int] = frozenset()
    outcomes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()
    kept: tuple[Kept, ...] = ()

    def lineage(self) -> Iterator[ChainState]:
        """Yield this state, its parent, and so on to genesis."""
        at: ChainState | None = self
        while at is not None:
            yield at
            at = at.parent


def genesis(model: int, memory: Memory, kept: tuple[Kept, ...] = ()) -> ChainState:
    """Return the chain before any block."""
    versions = tuple(k.version for k in kept)
    return ChainState(
        id=0,
        parent=None,
        height=0,
        head=GENESIS,
        weight=0,
        model=model,
        memory=memory,
        versions=versions,
        kept=kept,
    )


def chain_rank(state: ChainState) -> tuple[int, int, bytes]:
    """Sort key of chains, best first: heaviest, longest, lowest head hash."""
    return (-state.weight, -state.height, state.head)


def branches(old: ChainState, new: ChainState) -> tuple[list[ChainState], list[ChainState]]:
    """Return the states to leave (newest first) and to apply (oldest first) from `old` to `new`.

    Both end at the last common ancestor.
    """
    if new.parent is old:
        return [], [new]
    ours = {s.id for s in old.lineage()}
    apply = []
    for s in new.lineage():
        if s.id in ours:
            shared = s.id
            break
        apply.append(s)
    leave = []
    for s in old.lineage():
        if s.id == shared:
            break
        leave.append(s)
    return leave, apply[::-1]


def tally(state: ChainState, records: Iterable[UpdateRecord]) -> dict[int, tuple[int, int]]:
    """Return by worker how many of its updates the chain accepted and rejected, after a block."""
    outcomes = dict(state.outcomes)
    for r in records:
        good, bad = outcomes.get(r.worker, (0, 0))
        outcomes[r.worker] = (good + r.accepted, bad + (not r.accepted))
    return outcomes


Build = Callable[[ChainState, Block], ChainState]


class ChainBook:
    """The chain states of a run; a block is applied to a state once, whoever holds it."""

    def __init__(self, root: ChainState) -> None:
        self.root = root
        self.next_id = root.id + 1
        self._applied: dict[tuple[int, bytes], ChainState] = {}

    def apply(self, state: ChainState, block: Block, build: Build) -> ChainState:
        """Return the state after `block` on top of `state`; `build` makes it when it is new."""
        key = (state.id, block.hash)
        if key not in self._applied:
            self._applied[key] = build(state, block)
        return self._applied[key]

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def forget(self) -> None:
        """Drop the memory of applications; states live as long as a device holds them."""
        self._applied.clear()


# --- checkpoints --------------------------------------------------------------------------------


def to_plain(s: ChainState) -> dict[str, Any]:
    """Return a state as JSON values; its parent is named by its id."""
    flat = {f.name: getattr(s, f.name) for f in dataclasses.fields(s)}
    flat["parent"] = None if s.parent is None else s.parent.id
    flat["head"] = s.head.hex()
    flat["moves"] = [dataclasses.astuple(p) for p in s.moves]
    flat["payments"] = {
        str(device): [[p.payee, p.amount, p.reason, p.payer] for p in payments]
        for device, payments in s.payments.items()
    }
    for name in ("rejected", "absent", "outcomes"):
        flat[name] = {str(device): list(pair) for device, pair in flat[name].items()}
    flat["blocked"] = sorted(s.blocked)
    flat["versions"] = [v.to_plain() for v in s.versions]
    flat["kept"] = [[k.version.to_plain(), k.model] for k in s.kept]
    return flat


def from_plain(
    flat: Mapping[str, Any], known: Mapping[int, ChainState], models: Mapping[int, int]
) -> ChainState:
    """Return what `to_plain` wrote.

    Args:
        flat: the JSON values.
        known: states by id, the parent among them.
        models: by key of a model when it was written its key now. Models of past states are not
            kept: no device needs them.
    """
    values = dict(flat)
    values["parent"] = None if flat["parent"] is None else known[flat["parent"]]
    values["head"] = bytes.fromhex(flat["head"])
    values["model"] = models.get(flat["model"], -1)
    values["moves"] = tuple(Payment(*p) for p in flat["moves"])
    values["payments"] = {
        int(device): tuple(Payment(*p) for p in payments)
        for device, payments in flat["payments"].items()
    }
    for name in ("rejected", "absent", "outcomes"):
        values[name] = {int(device): (v[0], v[1]) for device, v in flat[name].items()}
    values["blocked"] = frozenset(flat["blocked"])
    values["versions"] = tuple(Version.from_plain(v) for v in flat["versions"])
    values["kept"] = tuple(
        Kept(Version.from_plain(v), models.get(key, -1)) for v, key in flat["kept"]
    )
    return ChainState(**values)
