"""What a device's chain says, as an immutable value: head, weight, model, who is shut out, who is paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mechanisms.vocabulary import Memory, Payment, UpdateRecord
from sim.chain.block import GENESIS, Block
from sim.chain.registry import Kept, Version
from sim.settings import BlocklistSettings

Streak = tuple[int, int]
"""(how many times in a row, when last)."""


@dataclass(frozen=True, eq=False)
class ChainState:
    """The result of applying a chain of blocks. Devices whose chains agree share one object.

    `weight` ranks chains: the stakes of the miners of its blocks (pos) or their work (pow). `payments` are those of the
    last block that devices credit themselves, `moves` those that its payout rule makes between other accounts, `memory` is
    what that rule remembers. `model` is a key of the world's model store. `versions` are those that the last block released,
    `kept` the newest, of which the last is the present one.
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
        """This state, its parent, and so on to genesis."""
        at: ChainState | None = self
        while at is not None:
            yield at
            at = at.parent


def genesis(model: int, memory: Memory, kept: tuple[Kept, ...] = ()) -> ChainState:
    """The chain before any block."""
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
    """States to leave (newest first) and to apply (oldest first) from `old` to `new` over their last common ancestor."""
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


def shut_out(
    state: ChainState,
    records: Iterable[UpdateRecord],
    workers: Iterable[int],
    when: int,
    rules: BlocklistSettings,
) -> tuple[dict[int, Streak], dict[int, Streak], frozenset[int]]:
    """Streaks of rejected updates and of absences after a block, and who is shut out now.

    An update is rejected when more validators voted against it than for it. `workers` are all workers of the round.
    """
    consecutive = rules.in_a_row == "rounds"
    rejected, absent, blocked = dict(state.rejected), dict(state.absent), set(state.blocked)
    seen = {r.worker: r.accepted for r in records}
    for worker in sorted(workers):
        hits = [(absent, worker not in seen, rules.lazy_rounds)]
        if worker in seen:
            hits.append((rejected, not seen[worker], rules.knock_out_rounds))
        for streaks, hit, limit in hits:
            if not hit:
                streaks.pop(worker, None)
                continue
            count, last = streaks.get(worker, (0, when - 1))
            count = 1 if consecutive and last != when - 1 else count + 1
            streaks[worker] = (count, when)
            if limit and count >= limit:
                blocked.add(worker)
    return rejected, absent, frozenset(blocked)


def tally(state: ChainState, records: Iterable[UpdateRecord]) -> dict[int, tuple[int, int]]:
    """How many updates of each worker the chain holds that were accepted and rejected, after a block."""
    outcomes = dict(state.outcomes)
    for r in records:
        good, bad = outcomes.get(r.worker, (0, 0))
        outcomes[r.worker] = (good + r.accepted, bad + (not r.accepted))
    return outcomes


Build = Callable[[ChainState, Block], ChainState]


class ChainBook:
    """All chain states of a run: applying a block to a state is computed once, whoever asks."""

    def __init__(self, root: ChainState) -> None:
        self.root = root
        self.next_id = root.id + 1
        self._applied: dict[tuple[int, bytes], ChainState] = {}

    def apply(self, state: ChainState, block: Block, build: Build) -> ChainState:
        """The state after `block` on top of `state`; `build` makes it when it is new."""
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
