"""The VBFL round: workers train, validators vote, miners assemble blocks, one block wins and is processed.

Chen et al., arXiv:2101.03300. Numerics are computed first (`local_work`); the clock then decides what arrives in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mechanisms.consensus import Candidate, mining_time_s, rank_by_stake
from mechanisms.vocabulary import ValidationObservation
from sim.chain.block import Block, BlockBody
from sim.chain.state import ChainState, chain_rank
from sim.chain.transactions import UpdateTransaction, VoteTransaction
from sim.learning.engine import row_digest
from sim.rounds import bribes
from sim.rounds.clock import Process, RoundClock
from sim.rounds.local_work import LocalWork, do_local_work
from sim.rounds.message_size import update_bytes
from sim.rounds.mining import decide
from sim.rounds.processing import BlockProcessor
from sim.rounds.seating import seat
from sim.rounds.voting import vote

if TYPE_CHECKING:
    from sim.world import World

VALIDATION, MINING, CHOOSING = "validation", "mining", "choosing"


@dataclass
class Ballot:
    """One (validator, update) pair: what the rule said, what is cast, and what became of it.

    No verdict and no vote: the validator cannot find the update in the store.
    """

    validator: int
    worker: int
    baseline_accuracy: float
    update_accuracy: float
    verdict: bool | None
    vote: bool | None
    status: str = "lost"
    time_s: float | None = None
    score: float | None = None
    transaction: VoteTransaction | None = None


class VbflRound:
    """One round. Everything here dies with it; what lasts is in the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.round = world.round_index
        self.scenario = world.scenario
        self.update_bytes = update_bytes(world.engine.layout, self.scenario.network.message_size)
        self.clock = RoundClock(world.time_s)
        self.start_s = world.time_s
        self.ready_s: dict[int, float] = {}
        self.compute_s: dict[int, float] = {}
        self.storage_cost: dict[int, float] = {}
        self.fetched: set[tuple[int, int]] = set()
        self.adopted_s = self.start_s
        self.resynced: set[int] = set()
        self.busy_until: dict[int, float] = {}
        self.published: list[tuple[Block, NDArray[np.float64]]] = []
        self.withheld: list[Block] = []
        self.won: dict[int, Block] = {}
        self.appended: dict[int, Block] = {}
        self._bodies: dict[tuple[bytes, frozenset[int]], BlockBody] = {}
        self._authentic: dict[bytes, bool] = {}

    def play(self) -> None:
        """The whole round."""
        self.online_at_start = {
            p.device for p in self.world.participants if self.world.online(p.device, self.start_s)
        }
        self._resync()
        self.seats = seat(self.world, self.online_at_start)
        self.work = self._train()
        self.chain = BlockProcessor(self.world, self.work, self.seats.workers, self.block_bytes)
        self.updates = self._sign_updates()
        self.ballots = self._judge()
        self._run_clock()
        self._keep_live_models()
        # A block that is adopted ends the round: what comes too late for it does not make it longer.
        self.world.finish_round(self.adopted_s if self.appended else self.clock.last_s)

    # --- before the clock starts --------------------------------------------------------------------------------

    def _resync(self) -> None:
        """Each device adopts the heaviest chain it can fetch from a device that is there (ties: longest, lowest hash)."""
        world, how = self.world, self.scenario.chain.resync
        for device in self.online_at_start:
            self.ready_s[device] = self.start_s
        if how == "off":
            return
        holders: dict[int, list[int]] = {}
        states: dict[int, ChainState] = {}
        for device in sorted(self.online_at_start):
            state = world.participants[device].state
            states[state.id] = state
            holders.setdefault(state.id, []).append(device)
        if len(states) < 2:
            return
        best_first = sorted(states.values(), key=chain_rank)
        for device in sorted(self.online_at_start):
            mine = world.participants[device].state
            for state in best_first:
                if chain_rank(state) >= chain_rank(mine):
                    break
                source = next(
                    (d for d in holders[state.id] if world.network.reachable(d, device)), None
                )
                if source is not None:
                    self._switch(device, state, source, replay=how == "replay")
                    break

    def _switch(self, device: int, state: ChainState, source: int, *, replay: bool) -> None:
        world = self.world
        mine = world.participants[device].state
        missing = state.height - mine.height
        # Chains are fetched from the last common ancestor on; heights differ little, so count the newest blocks.
        size = sum(
            s.size_bytes for s, _ in zip(state.lineage(), range(max(1, missing)), strict=False)
        )
        arrival = self.start_s + world.network.delay(source, device, size)
        if (
            self.store.off_chain and replay
        ):  # the chain carries digests: its model comes from the store
            arrival += self.store.seconds(device, 1, self.update_bytes)
        if not replay:
            state = replace(state, id=world.book.new_id(), model=mine.model, blocked=mine.blocked)
        world.adopt(device, state, self.start_s, replay=replay)
        self.ready_s[device] = arrival
        self.resynced.add(device)

    def _train(self) -> LocalWork:
        workers = sorted(self.seats.validator_of)
        validators = [v for v in self.seats.validators if v in self.seats.here]
        return do_local_work(self.world, workers, validators)

    def _sign_updates(self) -> dict[int, UpdateTransaction]:
        keys, work = self.world.keys, self.work
        size = self.world.engine.size * 4
        signed = {}
        for w, i in work.row.items():
            when = self.round - 1 if w in work.sent.replayed else self.round
            claims = int(work.sent.claimed_samples[i]), int(work.sent.claimed_epochs[i])
            transaction = UpdateTransaction(when, w, work.digests[i], size, *claims).signed(keys)
            signed[w] = (
                replace(transaction, signature=bytes(64)) if w in work.sent.forged else transaction
            )
        return signed

    def _judge(self) -> dict[tuple[int, int], Ballot]:
        """Verdict and vote of every validator on every update it may be sent."""
        world, work = self.world, self.work
        sent: dict[int, list[int]] = {v: [] for v in work.validators}
        ballots: dict[tuple[int, int], Ballot] = {}
        for worker in work.workers:
            for v in self.seats.committee[worker]:
                if self.store.off_chain and not self.store.finds(v, worker, self.round):
                    ballots[v, worker] = Ballot(v, worker, math.nan, math.nan, None, None)
                else:
                    sent[v].append(worker)
        measured = self._measure(sent)
        # Validators that want to know the votes of others before they cast their own come last.
        waits = {v: "votes" in world.participants[v].validator.knows for v in work.validators}
        support: dict[int, list[bool]] = {w: [] for w in work.workers}
        paid = bribes.collect(world, {v: sent[v] for v in measured}, self.start_s)
        for v, seen_updates in sorted(measured.items(), key=lambda item: (waits[item[0]], item[0])):
            verdicts = (
                world.validation.verdicts(seen_updates)
                & work.finite[[work.row[w] for w in sent[v]]]
            )
            known = (
                np.array([np.mean(support[w]) if support[w] else 0.5 for w in sent[v]])
                if waits[v]
                else None
            )
            votes, scores = vote(world, work, v, sent[v], verdicts, known, paid[v])
            for k, w in enumerate(sent[v]):
                accuracy = float(seen_updates.update_accuracies[k])
                ballots[v, w] = Ballot(
                    v,
                    w,
                    seen_updates.baseline_accuracy,
                    accuracy,
                    bool(verdicts[k]),
                    bool(votes[k]),
                )
                ballots[v, w].score = scores[k]
                if not waits[v]:
                    support[w].append(bool(votes[k]))
        return dict(sorted(ballots.items()))

    def _measure(self, sent: dict[int, list[int]]) -> dict[int, ValidationObservation]:
        """What every validator with something to judge measures, and what else the validation rule asks to see."""
        world, work, observes = self.world, self.work, self.world.validation.observes
        measured = {}
        for i, v in enumerate(work.validators):
            if not sent[v]:
                continue
            if not world.validation.individual:  # hidden by not being measured at all
                measured[v] = ValidationObservation(
                    round=self.round,
                    validator=v,
                    workers=tuple(sent[v]),
                    baseline_accuracy=math.nan,
                    update_accuracies=np.full(len(sent[v]), math.nan),
                )
                continue
            x, y = world.split.validation[v]
            rows = [work.row[w] for w in sent[v]]
            updates = [work.updates[j] for j in rows]
            seen = ValidationObservation(
                round=self.round,
                validator=v,
                workers=tuple(sent[v]),
                baseline_accuracy=float(
                    world.engine.evaluate([work.baselines[i]], x, y).accuracy[0]
                ),
                update_accuracies=world.engine.evaluate(
                    updates, x, y, [work.digests[j] for j in rows]
                ).accuracy,
            )
            if "global" in observes:
                model = world.models[world.participants[v].global_model]
                seen = replace(
                    seen, global_accuracy=float(world.engine.evaluate([model], x, y).accuracy[0])
                )
            if "samples" in observes:
                seen = replace(
                    seen,
                    correct=world.engine.correct([work.baselines[i], *updates], x, y),
                    labels=y,
                )
            if "updates" in observes:
                seen = replace(seen, updates=work.updates[rows])
            measured[v] = seen
        return (
            self._share_reports(measured)
            if "reports" in observes and world.validation.individual
            else measured
        )

    def _share_reports(
        self, measured: dict[int, ValidationObservation]
    ) -> dict[int, ValidationObservation]:
        """Give every validator what all validators measured on the updates that it judges."""
        told = {
            (v, w): seen.baseline_accuracy - accuracy
            for v, seen in measured.items()
            for w, accuracy in zip(seen.workers, seen.update_accuracies.tolist(), strict=True)
        }
        return {
            v: replace(
                seen,
                reports=np.array(
                    [[told.get((u, w), np.nan) for w in seen.workers] for u in measured]
                ),
            )
            for v, seen in measured.items()
        }

    # --- on the clock -------------------------------------------------------------------------------------------

    def _run_clock(self) -> None:
        clock, here = self.clock, [m for m in self.seats.miners if m in self.seats.here]
        self.miner_index = {m: j for j, m in enumerate(here)}
        self.miner_ids = np.array(here, dtype=np.int64)
        self.cells = list(self.ballots.values())
        self.cell_of = {key: i for i, key in enumerate(self.ballots)}
        self.arrivals = np.full((len(self.cells), len(here)), np.inf)
        self.first_block = {m: clock.event() for m in here}
        # Open until every worker has been started, so that a stage without anything to do still closes.
        clock.after(VALIDATION, 0.0, lambda: None)
        for w in self.work.workers:
            clock.start(VALIDATION, self._work(w))
        for v in self.work.validators:
            self.compute_s[v] = self.world.network.training_s(
                v, len(self.world.samples(v)), self.work.baseline_epochs
            )
            self.busy_until[v] = self.ready_s[v] + self.compute_s[v]
        clock.after(MINING, 0.0, lambda: None)
        for m in here:
            clock.start(MINING, self._mine(m))
        if self.scenario.consensus.kind == "pos":
            for m in here:
                clock.start(CHOOSING, self._choose(m))
        clock.run()

    def _there(self, device: int) -> bool:
        return self.world.online(device, self.clock.now)

    def _work(self, w: int) -> Process:
        """Train, then send the update to the associated validator, which sends it on."""
        clock, net, ends_s = (
            self.clock,
            self.world.network,
            self.start_s + self.scenario.deadlines.validator_s,
        )
        train_s = net.training_s(
            w, len(self.world.samples(w)), int(self.work.trained_epochs[self.work.row[w]])
        )
        trained_s = self.ready_s[w] + train_s
        self.compute_s[w] = train_s
        first, *others = self.seats.committee[w]
        # Validators wait for what is missing, but not longer than their deadline.
        yield clock.until(min(trained_s, ends_s))
        if trained_s > ends_s:
            self._miss((first, *others), w)
            return
        if not self._there(w):
            return
        clock.act()
        self.world.sent[w] += 1
        if self.store.off_chain:
            self.storage_cost[w] = self.store.cost(self.update_bytes)
            stored_s = clock.now + self.store.seconds(w, 1, self.update_bytes)
            yield clock.until(min(stored_s, ends_s))
            if stored_s > ends_s:
                self._miss((first, *others), w)
                return
            if not self._there(w):
                return
            clock.act()
        arrival_s = clock.now + net.delay(w, first, self._message_bytes(w))
        yield clock.until(min(arrival_s, ends_s))
        if arrival_s > ends_s:
            self._miss((first, *others), w)
            return
        if not self._there(first):
            return
        self._receive_update(first, w)
        for v in others:
            delay_s = net.delay(first, v, self._message_bytes(w))
            if clock.now + delay_s > ends_s:
                clock.after(VALIDATION, ends_s - clock.now, self._miss, (v,), w)
            else:
                clock.after(VALIDATION, delay_s, self._receive_update, v, w)

    def _message_bytes(self, w: int) -> int:
        """Size of the message that brings a worker's update: the update itself, or the transaction with its digest."""
        return self.updates[w].header_bytes if self.store.off_chain else self.update_bytes

    def _miss(self, validators: tuple[int, ...], w: int) -> None:
        for v in validators:
            self.ballots[v, w].status = "late"

    def _receive_update(self, v: int, w: int) -> None:
        ballot = self.ballots[v, w]
        if not self._there(v):
            return
        if self.updates[w].round != self.round:
            self._refuse(ballot, "replayed")
            return
        if self.scenario.chain.check_signatures and not self.updates[w].authentic(self.world.keys):
            self._refuse(ballot, "forged")
            return
        if (
            w in self.work.sent.duplicated
        ):  # the second transaction came along; one worker, one update
            self.world.note(self.clock.now, w, v, "duplicate")
        if not self.store.off_chain:
            self._evaluate(v, w)
        elif ballot.vote is None:
            ballot.status = "unavailable"
        else:
            fetch_s = self.store.seconds(v, 1, self.update_bytes)
            ends_s = self.start_s + self.scenario.deadlines.validator_s
            if self.clock.now + fetch_s > ends_s:
                self.clock.after(VALIDATION, ends_s - self.clock.now, self._miss, (v,), w)
            else:
                self.clock.after(VALIDATION, fetch_s, self._evaluate, v, w)

    def _evaluate(self, v: int, w: int) -> None:
        """Begin to judge an update, as soon as those before it are done."""
        if not self._there(v):
            return
        self.fetched.add((v, w))
        begin = max(self.clock.now, self.busy_until[v])
        samples = len(self.world.split.validation[v][1]) if self.world.validation.individual else 0
        evaluation_s = self.world.network.evaluation_s(v, samples)
        self.compute_s[v] += evaluation_s
        done = begin + evaluation_s
        if self.scenario.network.validator_queue == "fifo":
            self.busy_until[v] = done
        self.clock.after(VALIDATION, done - self.clock.now, self._cast, v, w)

    def _refuse(self, ballot: Ballot, kind: str) -> None:
        ballot.status = kind
        self.world.note(self.clock.now, ballot.worker, ballot.validator, kind)

    def _cast(self, v: int, w: int) -> None:
        """Sign the vote and send it, with the update it is about, to the associated miner."""
        ballot = self.ballots[v, w]
        if ballot.vote is None or not self._there(v):
            return
        self.clock.act()
        ballot.time_s = self.clock.now
        ballot.transaction = VoteTransaction(
            self.round, v, w, self.updates[w].id, ballot.vote, ballot.score
        ).signed(self.world.keys)
        miner = self.seats.miner_of.get(v)
        if miner is not None:
            size = self._message_bytes(w) + ballot.transaction.size_bytes
            self.clock.after(
                VALIDATION,
                self.world.network.delay(v, miner, size),
                self._receive_vote,
                miner,
                v,
                w,
                size,
            )

    def _receive_vote(self, miner: int, v: int, w: int, size: int) -> None:
        """The associated miner sends the vote on to all others; nothing waits for single deliveries, so times are enough."""
        if not self._there(miner):
            return
        self.clock.act()
        self.ballots[v, w].status = "unused"
        self.arrivals[self.cell_of[v, w]] = self._arrivals_at_miners(miner, size)

    def _arrivals_at_miners(self, sender: int, size: int) -> NDArray[np.float64]:
        """When a message sent now is with each miner, `float64[miners]`: never, where nobody is there to receive it."""
        arrivals = self.clock.now + self.world.network.delays(sender, self.miner_ids, size)
        if self.scenario.availability.kind == "alternating":
            there = [
                at < np.inf and self.world.online(m, at)
                for m, at in zip(self.miner_ids.tolist(), arrivals, strict=True)
            ]
            arrivals[~np.array(there)] = np.inf
        return arrivals

    def _mine(self, m: int) -> Process:
        """Wait for all votes or the deadline, assemble, decide, and send or race."""
        clock, world, consensus = self.clock, self.world, self.scenario.consensus
        deadline = self.start_s + self.scenario.deadlines.miner_s
        closed = clock.stage(VALIDATION)
        yield closed if math.isinf(deadline) else closed | clock.until(deadline)
        column = self.arrivals[:, self.miner_index[m]]
        in_time = column[(column <= deadline) & np.isfinite(column)]
        if in_time.size and in_time.max() > clock.now:
            yield clock.until(float(in_time.max()))
        if clock.now < self.ready_s[m]:
            yield clock.until(self.ready_s[m])
        if not self._there(m):
            return
        arrived = column <= min(clock.now, deadline)
        body = self._assemble(m, arrived)
        decision = decide(world, self.work, m, body.records)
        if decision.censored:
            body = self._assemble(m, arrived, decision.censored)
        if consensus.kind == "pow":
            rate = (
                self.scenario.network.hashes_per_s
                * world.network.compute[m]
                / self.scenario.network.compute_samples_per_s
            )
            race = mining_time_s(
                consensus.difficulty, rate, world.streams.rng("mining", m, self.round)
            )
            if clock.now + race > self.start_s + self.scenario.deadlines.block_s:
                return
            beaten = self.first_block[m]
            yield clock.timeout(race) | beaten
            if beaten.triggered:
                return
        clock.act()
        state = world.participants[m].state
        block = Block(
            self.round, state.height + 1, state.head, m, world.stake(m), body, clock.now
        ).signed(world.keys)
        if decision.replaced and not self.store.off_chain:  # a digest cannot be given other bytes
            self.work.tamper(block.hash, decision.replaced)
        if not decision.publish:
            self.withheld.append(block)
            return
        arrivals = self._arrivals_at_miners(m, self.block_bytes(block))
        self.published.append((block, arrivals))
        if consensus.kind == "pow":
            for j, other in enumerate(self.miner_ids.tolist()):
                if arrivals[j] <= self.start_s + self.scenario.deadlines.block_s:
                    clock.after(
                        None, float(arrivals[j]) - clock.now, self._first_block_wins, other, block
                    )

    def _assemble(
        self, m: int, arrived: NDArray[np.bool_], censored: frozenset[int] = frozenset()
    ) -> BlockBody:
        """The body that a miner builds from the votes it has; malformed updates and shut-out workers are left out."""
        left_out = self.world.participants[m].state.blocked | censored
        key = (arrived.tobytes(), left_out)
        if key not in self._bodies:
            votes = []
            for i in np.flatnonzero(arrived).tolist():
                cell = self.cells[i]
                if not self.work.finite[self.work.row[cell.worker]]:
                    if cell.status != "malformed":
                        self.world.note(self.clock.now, cell.worker, m, "malformed")
                    cell.status = "malformed"
                elif cell.worker in left_out:
                    cell.status = "censored" if cell.worker in censored else "blocked"
                elif cell.transaction is not None:
                    votes.append(cell.transaction)
            votes.sort(key=lambda v: (v.worker, v.validator))
            workers = sorted({v.worker for v in votes})
            self._bodies[key] = BlockBody(tuple(self.updates[w] for w in workers), tuple(votes))
        return self._bodies[key]

    def block_bytes(self, block: Block) -> int:
        """Size on the wire: VBFL's blocks carry the updates, or the digests of those that lie in the store."""
        payload = 0 if self.store.off_chain else self.update_bytes
        carried = len(block.body.updates) * (payload - self.world.engine.size * 4)
        return block.size_bytes + carried

    def _first_block_wins(self, m: int, block: Block) -> None:
        """Proof of work: a miner takes the first block that arrives in time and holds."""
        if self._not_ready(m, self._first_block_wins, m, block):
            return
        if m not in self.won and self._there(m) and self._holds(m, block):
            self.first_block[m].succeed()
            self._win(m, block)

    def _choose(self, m: int) -> Process:
        """Proof of stake: when all candidates are there or the deadline is past, take the best that holds."""
        clock, rule = self.clock, self.scenario.consensus.tie_rule
        deadline = self.start_s + self.scenario.deadlines.block_s
        closed = clock.stage(MINING)
        yield closed if math.isinf(deadline) else closed | clock.until(deadline)
        j = self.miner_index[m]
        known = [
            (b, float(arrivals[j]))
            for b, arrivals in self.published
            if arrivals[j] <= deadline and arrivals[j] < np.inf
        ]
        latest = max((at for _, at in known), default=clock.now)
        latest = max(latest, self.ready_s[m])
        if latest > clock.now:
            yield clock.until(latest)
        if not self._there(m):
            return
        candidates = [Candidate(b.stake, at, self.world.keys.public[b.miner]) for b, at in known]
        for i in rank_by_stake(candidates, self.world.participants[m].state.head, rule):
            if self._holds(m, known[i][0]):
                self._win(m, known[i][0])
                return

    def _win(self, m: int, block: Block) -> None:
        """A miner appends its winner and sends it to the devices associated with it."""
        self.won[m] = block
        self._fetch_and_append(m, block)
        size = self.block_bytes(block)
        for device, miner in self.seats.miner_of.items():
            if miner == m:
                self.clock.after(
                    None, self.world.network.delay(m, device, size), self._download, device, block
                )

    def _not_ready(self, device: int, action: Callable[..., None], *args: Any) -> bool:
        """Whether a device is still fetching the chain under a block; the action is called again when it has it."""
        wait_s = self.ready_s.get(device, self.start_s) - self.clock.now
        if wait_s > 0:
            self.clock.after(None, wait_s, action, *args)
        return wait_s > 0

    def _download(self, device: int, block: Block) -> None:
        if self._not_ready(device, self._download, device, block):
            return
        if self._there(device) and self._holds(device, block):
            self._fetch_and_append(device, block)

    def _fetch_and_append(self, device: int, block: Block) -> None:
        """Append a block that holds, once the accepted updates are there that the device has not trained or judged itself."""
        accepted = {r.worker for r in block.body.records if r.accepted} - {device}
        missing = (
            sum((device, w) not in self.fetched for w in accepted) if self.store.off_chain else 0
        )
        if not missing:
            self._append(device, block)
        else:
            self.clock.after(
                None,
                self.store.seconds(device, missing, self.update_bytes),
                self._append_fetched,
                device,
                block,
            )

    def _append_fetched(self, device: int, block: Block) -> None:
        if self._there(device) and self._holds(device, block):
            self._append(device, block)

    def _holds(self, device: int, block: Block) -> bool:
        """Whether a device accepts a block: from a miner that may publish and is not shut out, authentic, linked to its head."""
        state, checks, publishers = (
            self.world.participants[device].state,
            self.scenario.chain,
            self.scenario.registry.publishers,
        )
        if block.miner in state.blocked or (publishers and block.miner not in publishers):
            return False
        if checks.check_links and block.previous != state.head:
            return False
        if not checks.check_signatures:
            return True
        if block.hash not in self._authentic:
            self._authentic[block.hash] = block.authentic(
                self.world.keys, self._payload_digests(block)
            )
            if not self._authentic[block.hash]:
                self.world.note(self.clock.now, block.miner, device, "tampered-block")
        return self._authentic[block.hash]

    def _payload_digests(self, block: Block) -> dict[int, bytes]:
        """Digests of the bytes that a block really carries: the rows of this round, or what its miner put in their place."""
        replaced = self.work.replaced.get(block.hash, {})
        return {
            u.worker: row_digest(replaced[u.worker])
            if u.worker in replaced
            else self.work.digests[self.work.row[u.worker]]
            for u in block.body.updates
        }

    # --- processing a block -------------------------------------------------------------------------------------

    def _append(self, device: int, block: Block) -> None:
        state = self.world.participants[device].state
        self.world.adopt(device, self.chain.apply(state, block), self.clock.now)
        self.appended[device] = block
        self.adopted_s = self.clock.now

    def _keep_live_models(self) -> None:
        """The published alias: a device that never had a block keeps the network it used last as its global model.

        That is what a worker trained, and what a validator loaded to judge: the last update it voted on.
        """
        if not self.scenario.chain.live_model_alias:
            return
        used = dict(self.work.row)
        for b in sorted(self.ballots.values(), key=lambda b: (b.time_s or 0.0, b.worker)):
            if b.time_s is not None:
                used[b.validator] = self.work.row[b.worker]
        for device, row in sorted(used.items()):
            p = self.world.participants[device]
            if p.state.height == 0 and self.work.finite[row]:
                p.live_model = self.world.models.add(self.work.updates[row].copy())
