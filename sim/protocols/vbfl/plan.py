"""The plan of a VBFL round before its clock starts: presence, chains, roles, updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sim.chain.state import ChainState, chain_rank
from sim.chain.transactions import UpdateTransaction
from sim.protocols.vbfl.game import VbflGame
from sim.protocols.vbfl.seating import Seating, seat
from sim.stages import Stages
from sim.training.local_work import LocalWork, do_local_work
from sim.training.message_size import update_bytes

VALIDATION, MINING, CHOOSING = "validation", "mining", "choosing"
"""Stages of the clock."""


@dataclass(frozen=True)
class Plan:
    """Everything that the clock does not decide.

    `ready_s` is when each online device has the chain that it plays on; `resynced` are those
    that changed chains. `updates` are the signed transactions of the workers, `update_bytes` the
    size of an update on the wire.
    """

    game: VbflGame
    clock: Stages
    online_at_start: set[int]
    ready_s: dict[int, float]
    resynced: set[int]
    seats: Seating
    work: LocalWork
    updates: dict[int, UpdateTransaction]
    update_bytes: int

    @property
    def start_s(self) -> float:
        """When the round begins."""
        return self.clock.start_s

    @property
    def miners(self) -> list[int]:
        """The miners that are online."""
        return [m for m in self.seats.miners if m in self.seats.online]

    def online(self, device: int) -> bool:
        """Return whether a device is online now."""
        return self.game.online(device, self.clock.now)

    def message_bytes(self, worker: int) -> int:
        """Return the size of the message with a worker's update, or with its digest alone."""
        if self.game.store.off_chain:
            return self.updates[worker].header_bytes
        return self.update_bytes


def make_plan(game: VbflGame) -> Plan:
    """Resynchronise chains, draw roles, train, and sign what is submitted."""
    clock = Stages(game.clock.time_s)
    size = update_bytes(game.bench.engine.layout, game.scenario.network.message_size)
    online = game.online_at(clock.start_s)
    ready_s, resynced = _resync(game, clock.start_s, sorted(online), size)
    seats = seat(game, online)
    work = _train(game, seats)
    updates = _sign_updates(game, work)
    return Plan(game, clock, online, ready_s, resynced, seats, work, updates, size)


# --- chains -------------------------------------------------------------------------------------


def _resync(
    game: VbflGame, start_s: float, online: Sequence[int], update_bytes: int
) -> tuple[dict[int, float], set[int]]:
    """Let each device adopt the heaviest chain that it can fetch (ties: longest, lowest hash).

    Returns when each is ready, and who changed chains.
    """
    ready_s = dict.fromkeys(online, start_s)
    resynced: set[int] = set()
    if game.scenario.chain.resync == "off":
        return ready_s, resynced
    holders: dict[int, list[int]] = {}
    states: dict[int, ChainState] = {}
    for device in online:
        state = game.forks.state(device)
        states[state.id] = state
        holders.setdefault(state.id, []).append(device)
    if len(states) < 2:
        return ready_s, resynced
    best_first = sorted(states.values(), key=chain_rank)
    for device in online:
        better = _better_chain(game, device, best_first, holders)
        if better is not None:
            ready_s[device] = _switch(game, device, *better, start_s, update_bytes)
            resynced.add(device)
    return ready_s, resynced


def _better_chain(
    game: VbflGame,
    device: int,
    best_first: Sequence[ChainState],
    holders: dict[int, list[int]],
) -> tuple[ChainState, int] | None:
    """Return the best chain that a device can reach if it beats its own, and the source."""
    own = game.forks.state(device)
    for state in best_first:
        if chain_rank(state) >= chain_rank(own):
            return None
        for holder in holders[state.id]:
            if game.network.reachable(holder, device):
                return state, holder
    return None


def _switch(
    game: VbflGame,
    device: int,
    state: ChainState,
    source: int,
    start_s: float,
    update_bytes: int,
) -> float:
    """Move a device to another chain; return when it has fetched it."""
    own = game.forks.state(device)
    replay = game.scenario.chain.resync == "replay"
    # Chains are fetched from the last common ancestor on; heights differ little, so count the
    # newest blocks.
    missing = max(1, state.height - own.height)
    newest = zip(state.lineage(), range(missing), strict=False)
    size = sum(s.size_bytes for s, _ in newest)
    ready_s = start_s + game.network.delay(source, device, size)
    if game.store.off_chain and replay:  # the chain carries digests: its model comes from the store
        ready_s += game.store.seconds(device, 1, update_bytes)
    if not replay:
        fresh = game.forks.book.new_id()
        state = replace(state, id=fresh, model=own.model, blocked=own.blocked)
    game.forks.adopt(device, state, start_s, replay=replay)
    return ready_s


# --- work ---------------------------------------------------------------------------------------


def _train(game: VbflGame, seats: Seating) -> LocalWork:
    """Train the workers that found a validator, and the baselines of online validators."""
    asked = game.validation.baseline_epochs
    epochs = asked if asked >= 0 else game.scenario.training.epochs
    workers = sorted(seats.validator_of)
    validators = [v for v in seats.validators if v in seats.online]
    return do_local_work(game, workers, validators, baseline_epochs=epochs)


def _sign_updates(game: VbflGame, work: LocalWork) -> dict[int, UpdateTransaction]:
    """Return the transaction of every worker, signed by itself unless it forges."""
    sent = work.sent
    size = game.bench.engine.size * 4
    signed = {}
    for w, i in work.row.items():
        signed_round = game.clock.round
        if w in sent.replayed:
            signed_round -= 1
        claims = int(sent.claimed_samples[i]), int(sent.claimed_epochs[i])
        transaction = UpdateTransaction(signed_round, w, work.digests[i], size, *claims)
        transaction = transaction.signed(game.keys)
        if w in sent.forged:
            transaction = replace(transaction, signature=bytes(64))
        signed[w] = transaction
    return signed
