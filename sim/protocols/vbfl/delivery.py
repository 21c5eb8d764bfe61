"""Delivery of updates and votes, from the workers over the validators to the miners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sim.chain.transactions import VoteTransaction
from sim.protocols.vbfl.ballots import Ballot, Pair
from sim.protocols.vbfl.plan import VALIDATION, Plan
from sim.stages import Process


class Delivery:
    """What is on the wire between workers, validators and miners.

    `arrivals[i, j]` is when the vote of ballot i is with miner j, infinite where it never is.
    `fetched` are the pairs (device, worker) of updates that a device has. `compute_s` and
    `storage_cost` are what the work cost each device.
    """

    def __init__(self, plan: Plan, ballots: dict[Pair, Ballot]) -> None:
        self.plan, self.ballots = plan, ballots
        self.cells = list(ballots.values())
        self.miner_index = {m: j for j, m in enumerate(plan.miners)}
        self.arrivals = np.full((len(self.cells), len(plan.miners)), np.inf)
        self.fetched: set[Pair] = set()
        self.compute_s: dict[int, float] = {}
        self.storage_cost: dict[int, float] = {}
        self._miner_ids = np.array(plan.miners, dtype=np.int64)
        self._cell_of = {pair: i for i, pair in enumerate(ballots)}
        self._busy_until: dict[int, float] = {}
        self._ends_s = plan.start_s + plan.game.scenario.deadlines.validator_s

    def start(self) -> None:
        """Schedule the work of all workers, and the baselines of all validators."""
        plan, clock = self.plan, self.plan.clock
        # Open until every worker has been started, so that a stage without anything to do still
        # closes.
        clock.at(VALIDATION, clock.now, lambda: None)
        for w in plan.work.workers:
            clock.start(VALIDATION, self._work(w))
        for v in plan.work.validators:
            samples = len(plan.game.bench.samples(v))
            epochs = plan.work.baseline_epochs
            self.compute_s[v] = plan.game.network.training_s(v, samples, epochs)
            self._busy_until[v] = plan.ready_s[v] + self.compute_s[v]

    # --- workers ------------------------------------------------------------------------------

    def _work(self, w: int) -> Process:
        """Train, then send the update to the associated validator, which sends it on."""
        plan, clock, game = self.plan, self.plan.clock, self.plan.game
        epochs = int(plan.work.trained_epochs[plan.work.row[w]])
        train_s = game.network.training_s(w, len(game.bench.samples(w)), epochs)
        self.compute_s[w] = train_s
        committee = plan.seats.committee[w]

        yield from self._reached(plan.ready_s[w] + train_s, committee, w)
        if self._too_late(plan.ready_s[w] + train_s) or not plan.online(w):
            return
        clock.act()
        game.sent[w] += 1
        if game.store.off_chain:
            self.storage_cost[w] = game.store.cost(plan.update_bytes)
            stored_s = clock.now + game.store.seconds(w, 1, plan.update_bytes)
            yield from self._reached(stored_s, committee, w)
            if self._too_late(stored_s) or not plan.online(w):
                return
            clock.act()
        arrival_s = clock.now + game.network.delay(w, committee[0], plan.message_bytes(w))
        yield from self._reached(arrival_s, committee, w)
        if self._too_late(arrival_s) or not plan.online(committee[0]):
            return
        self._receive_update(committee[0], w)
        self._send_on(w, committee)

    def _reached(self, time_s: float, committee: Sequence[int], w: int) -> Process:
        """Wait until a time.

        Validators wait for what is missing, but not longer than their deadline: then it is missed.
        """
        yield self.plan.clock.until(min(time_s, self._ends_s))
        if self._too_late(time_s):
            self._miss(committee, w)

    def _too_late(self, time_s: float) -> bool:
        return time_s > self._ends_s

    def _miss(self, validators: Sequence[int], w: int) -> None:
        for v in validators:
            self.ballots[v, w].status = "late"

    def _send_on(self, w: int, committee: Sequence[int]) -> None:
        """Let the first validator send an update on to the others of the worker's committee."""
        network = self.plan.game.network
        first, *others = committee
        for v in others:
            arrival_s = self.plan.clock.now + network.delay(first, v, self.plan.message_bytes(w))
            self._by_deadline(arrival_s, v, w, self._receive_update)

    def _by_deadline(self, time_s: float, v: int, w: int, action: Callable[..., None]) -> None:
        """Call `action(v, w)` at a time, or miss the update at the validators' deadline."""
        clock = self.plan.clock
        if self._too_late(time_s):
            clock.at(VALIDATION, self._ends_s, self._miss, (v,), w)
        else:
            clock.at(VALIDATION, time_s, action, v, w)

    # --- validators ---------------------------------------------------------------------------

    def _receive_update(self, v: int, w: int) -> None:
        """Check an update's transaction; then judge it, or fetch it from the store first."""
        plan, game, ballot = self.plan, self.plan.game, self.ballots[v, w]
        if not plan.online(v):
            return
        if plan.updates[w].round != game.clock.round:
            self._refuse(ballot, "replayed")
            return
        checks = game.scenario.chain.check_signatures
        if checks and not plan.updates[w].authentic(game.keys):
            self._refuse(ballot, "forged")
            return
        # The second transaction comes along with the first; one worker has one update.
        if w in plan.work.sent.duplicated:
            game.incidents.note(plan.clock.now, w, v, "duplicate")
        if not game.store.off_chain:
            self._evaluate(v, w)
        elif ballot.vote is None:
            ballot.status = "unavailable"
        else:
            fetched_s = plan.clock.now + game.store.seconds(v, 1, plan.update_bytes)
            self._by_deadline(fetched_s, v, w, self._evaluate)

    def _evaluate(self, v: int, w: int) -> None:
        """Begin to judge an update, as soon as those before it are done."""
        plan, clock, game = self.plan, self.plan.clock, self.plan.game
        if not plan.online(v):
            return
        self.fetched.add((v, w))
        begin = max(clock.now, self._busy_until[v])
        samples = 0
        if game.validation.individual:
            samples = len(game.bench.split.validation[v][1])
        evaluation_s = game.network.evaluation_s(v, samples)
        self.compute_s[v] += evaluation_s
        done = begin + evaluation_s
        if game.scenario.network.validator_queue == "fifo":
            self._busy_until[v] = done
        clock.at(VALIDATION, done, self._cast, v, w)

    def _refuse(self, ballot: Ballot, kind: str) -> None:
        ballot.status = kind
        now = self.plan.clock.now
        self.plan.game.incidents.note(now, ballot.worker, ballot.validator, kind)

    def _cast(self, v: int, w: int) -> None:
        """Sign the vote and send it, with the update it is about, to the associated miner."""
        plan, clock, game = self.plan, self.plan.clock, self.plan.game
        ballot = self.ballots[v, w]
        if ballot.vote is None or not plan.online(v):
            return
        clock.act()
        ballot.time_s = clock.now
        transaction = VoteTransaction(
            game.clock.round, v, w, plan.updates[w].id, ballot.vote, ballot.score
        ).signed(game.keys)
        ballot.transaction = transaction
        miner = plan.seats.miner_of.get(v)
        if miner is not None:
            size = plan.message_bytes(w) + transaction.size_bytes
            arrival_s = clock.now + game.network.delay(v, miner, size)
            clock.at(VALIDATION, arrival_s, self._receive_vote, miner, v, w, size)

    # --- miners -------------------------------------------------------------------------------

    def _receive_vote(self, miner: int, v: int, w: int, size: int) -> None:
        """Let the associated miner send a vote on to all others.

        Nothing waits for single deliveries, so times are enough.
        """
        if not self.plan.online(miner):
            return
        self.plan.clock.act()
        self.ballots[v, w].status = "unused"
        self.arrivals[self._cell_of[v, w]] = self.arrivals_at_miners(miner, size)

    def arrivals_at_miners(self, sender: int, size: int) -> NDArray[np.float64]:
        """Return when a message sent now reaches each miner, `float64[miners]`; inf: never."""
        game = self.plan.game
        delays = game.network.delays(sender, self._miner_ids, size)
        arrivals = self.plan.clock.now + delays
        if game.availability.on_clock:
            pairs = zip(self._miner_ids.tolist(), arrivals, strict=True)
            there = [at < np.inf and game.online(m, at) for m, at in pairs]
            arrivals[~np.array(there)] = np.inf
        return arrivals
