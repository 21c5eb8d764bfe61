"""Who holds which chain, which chain counts, and what moves when chains part and meet again.

Money forks with the chain in two ways. What a block newly issues to a device travels inside the
chain state (`payments`): the device is credited when it adopts the state, and the credit is taken
back when it leaves it. What a rule moves between other accounts (`moves`) is executed once, by
`settle`, on the chain that counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.chain.state import (
    ChainBook,
    ChainState,
    branches,
    chain_rank,
    from_plain,
    to_plain,
)
from sim.money.payments import Payer, reversed_payment
from sim.money.treasury import Treasury
from sim.recording import History


@dataclass
class Holding:
    """What a device holds: the state of its chain, and models by their key in the store.

    `previous_model` is the chain's model before the present one. `live_model` stands in for the
    chain's model where the published code's alias is in force (`chain.live_model_alias`).
    """

    state: ChainState
    previous_model: int
    live_model: int | None = None

    @property
    def model(self) -> int:
        """Key of the device's global model."""
        return self.state.model if self.live_model is None else self.live_model


class Forks:
    """The chain of every device.

    Without a server the canonical chain is the one that most devices hold.
    """

    def __init__(self, root: ChainState, devices: int, treasury: Treasury | Payer) -> None:
        self.book = ChainBook(root)
        self.settled = root
        self.penalised: Counter[int] = Counter()
        """Base units that each device lost of its deposits in the present round."""
        self._held = [Holding(root, root.model) for _ in range(devices)]
        self._treasury = treasury

    def __getitem__(self, device: int) -> Holding:
        return self._held[device]

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._held)

    def state(self, device: int) -> ChainState:
        """Return the state of a device's own chain."""
        return self._held[device].state

    def canonical(self) -> ChainState:
        """Return the chain that most devices hold (ties: heaviest, then lowest head hash)."""
        chains = Counter(holding.state.head for holding in self._held)
        # Under `resync = "chain-only"` devices on one chain may hold different models: take the
        # most common of those.
        states = Counter(holding.state.id for holding in self._held)
        held = {holding.state.id: holding.state for holding in self._held}
        return min(
            held.values(), key=lambda s: (-chains[s.head], *chain_rank(s), -states[s.id], s.id)
        )

    def adopt(self, device: int, new: ChainState, time_s: float, *, replay: bool = True) -> None:
        """Move a device to another chain state, and its balance with it.

        Payments of the old chain alone are taken back, those of the new one alone are credited.

        `replay=False` changes the chain alone.
        """
        holding = self._held[device]
        old, holding.state = holding.state, new
        if new.model != old.model:
            holding.live_model = None
            holding.previous_model = old.model
        if not replay:
            return
        leave, apply = branches(old, new)
        undone = [reversed_payment(p) for s in leave for p in s.payments.get(device, ())]
        earned = [p for s in apply for p in s.payments.get(device, ())]
        self._treasury.post(earned + undone, time_s=time_s)

    def begin_round(self) -> None:
        """Forget the penalties of the round before."""
        self.penalised.clear()

    def settle(self) -> None:
        """Execute the moves of canonical blocks, and reverse those of blocks that no longer are."""
        canonical = self.canonical()
        leave, apply = branches(self.settled, canonical)
        self.settled = canonical
        for state in leave:
            self._treasury.post([reversed_payment(p) for p in reversed(state.moves)])
        for state in apply:
            self._treasury.post(state.moves)
            for p in state.moves:
                if p.holder is not None:
                    self.penalised[p.holder] += p.amount

    def models_in_use(self) -> set[int]:
        """Return the keys of all models that somebody may need again."""
        canonical = self.canonical()
        keys = {canonical.model}
        for holding in self._held:
            keys |= {holding.state.model, holding.model, holding.previous_model}
        # Most devices share a state: look at each one once.
        chains = {canonical.id: canonical}
        for holding in self._held:
            chains[holding.state.id] = holding.state
        for state in chains.values():
            keys.update(kept.model for kept in state.kept)
        return keys

    # --- checkpoints --------------------------------------------------------------------------

    def _heads(self) -> Sequence[ChainState]:
        """Return the states that must be found again."""
        return [*(holding.state for holding in self._held), self.settled]

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary; the chains themselves are in `history`."""
        return {
            "next_state": self.book.next_id,
            "heads": [holding.state.id for holding in self._held],
            "live_models": [holding.live_model for holding in self._held],
            "previous_models": [holding.previous_model for holding in self._held],
            "settled": self.settled.id,
        }

    def history(self, after: int) -> History:
        """Return the states of all chains that are held, from the number `after` on.

        A state never changes, and has a higher number than its parent: below the mark nothing is
        new.
        """
        states: dict[int, ChainState] = {}
        for head in self._heads():
            for state in head.lineage():
                if state.id < after or state.id in states:
                    break
                states[state.id] = state
        rows = [to_plain(states[number]) for number in sorted(states)]
        return History(rows, self.book.next_id)

    def restore(
        self,
        state: Mapping[str, Any],
        chains: Iterable[Mapping[str, Any]],
        keys: Mapping[int, int],
    ) -> dict[int, ChainState]:
        """Continue from `to_state` and all rows of `history`; return the states by id.

        `keys` are the keys of models now by those of then.
        """
        by_id: dict[int, ChainState] = {}
        for values in chains:
            restored = from_plain(values, by_id, keys)
            by_id[restored.id] = restored
        self.book = ChainBook(by_id[0])
        self.book.next_id = state["next_state"]
        parts = (state["heads"], state["live_models"], state["previous_models"])
        for holding, head, live, previous in zip(self._held, *parts, strict=True):
            holding.state, holding.previous_model = by_id[head], keys[previous]
            holding.live_model = None if live is None else keys[live]
        self.settled = by_id[state["settled"]]
        return by_id


class ServerChain(Forks):
    """The single chain of a server or contract; it is always canonical."""

    def __init__(self, root: ChainState, devices: int, treasury: Treasury | Payer) -> None:
        super().__init__(root, devices, treasury)
        self.head = root

    def canonical(self) -> ChainState:
        """Return what the server holds."""
        return self.head

    def _heads(self) -> Sequence[ChainState]:
        return [*super()._heads(), self.head]

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return super().to_state() | {"server": self.head.id}

    def restore(
        self,
        state: Mapping[str, Any],
        chains: Iterable[Mapping[str, Any]],
        keys: Mapping[int, int],
    ) -> dict[int, ChainState]:
        """Continue from `to_state` and all rows of `history`."""
        by_id = super().restore(state, chains, keys)
        self.head = by_id[state["server"]]
        return by_id
