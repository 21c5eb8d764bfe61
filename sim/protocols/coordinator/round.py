"""A round under an on-chain coordinator: commit, reveal, verify, aggregate, dispute, settle.

The contract's rules are in `mechanisms/lifecycle.py`; here time passes and devices act. Calls that
the contract refuses are noted as incidents and change nothing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mechanisms.lifecycle import RoundContract, TransitionError, commitment
from mechanisms.vocabulary import Conduct, Role, UpdateRecord
from sim.chain.transactions import SIGNATURE_BYTES
from sim.protocols.coordinator.disputes import Delivery, deliver, dispute
from sim.protocols.coordinator.game import CoordinatorGame
from sim.protocols.coordinator.record import CastVote, record
from sim.protocols.coordinator.verification import let_vote, verdicts_on
from sim.stages import Process, Stages
from sim.training.local_work import LocalWork, do_local_work
from sim.training.server import Server, claimed
from sim.training.settling import aggregate

COMMIT_BYTES = 32 + SIGNATURE_BYTES


class CoordinatorRound:
    """One round; seats and updates are complete before its clock starts.

    `contract` is None where nobody trains. `conduct_of` says what became of each worker's update,
    `votes` what the committee voted, `records` the updates that were judged.
    """

    def __init__(self, game: CoordinatorGame) -> None:
        self.game, self.settings = game, game.scenario.coordinator
        self.clock = Stages(game.clock.time_s)
        self.server = Server(game, game.forks, self.clock)
        # Seats.
        members = game.admitted(game.forks.head.memory)
        online = [device for device in members if device in self.server.online_at_start]
        self.aggregator = self._draw_aggregator(online)
        self.committee = self._draw_committee(online)
        seated = {self.aggregator, *self.committee}
        self.workers = [device for device in members if device not in seated]
        self.work = self._train()
        self.contract = self._open_contract()
        # What becomes of it.
        self.conduct_of: dict[int, str] = {}
        self.commitments: dict[int, bytes] = {}
        self.openings: dict[int, bytes] = {}
        self.votes: list[CastVote] = []
        self.records: tuple[UpdateRecord, ...] = ()
        self.final_s: float | None = None

    def play(self) -> None:
        """Play and record the round."""
        if self.work.workers:
            for w in self.work.workers:
                self.clock.start("submission", self._submit(w))
            self.clock.start("reveal", self._collect())
            self.clock.run()
            self._verify()
            self._finalise()
        self.game.end_time(self.clock.last_s)
        record(
            self.game,
            self.server,
            self.work,
            aggregator=self.aggregator,
            committee=self.committee,
            workers=self.workers,
            records=self.records,
            votes=self.votes,
            final_s=self.final_s,
            conduct_of=self.conduct_of,
            commitments=self.commitments,
            openings=self.openings,
        )

    # --- who does what ------------------------------------------------------------------------

    def _draw_aggregator(self, online: Sequence[int]) -> int | None:
        """Return the device that aggregates; None: the organisation itself.

        Drawn by stake: with probability proportional to what a device holds and has locked.
        """
        game, how = self.game, self.settings.aggregator
        if how == "organisation":
            return None
        memory = game.forks.head.memory
        bonded = game.payout.aggregators(memory)
        if how == "fixed":
            # It is called even when it is offline: then it does not deliver.
            fixed = self.settings.aggregator_device
            if not game.population.identities.in_play(fixed):
                return None
            return fixed if bonded is None or fixed in bonded else None
        willing = [device for device in online if bonded is None or device in bonded]
        if not willing or len(online) < 2:
            return None
        locked = game.payout.locked(memory)
        weights = np.array([game.stakes[d] + locked.get(d, 0) for d in willing], dtype=np.float64)
        total = weights.sum()
        shares = weights / total if total else np.full(len(willing), 1 / len(willing))
        rng = game.streams.rng("aggregator", game.clock.round)
        return int(rng.choice(willing, p=shares))

    def _draw_committee(self, online: Sequence[int]) -> list[int]:
        """Return the devices that verify, leaving at least one to train."""
        game = self.game
        free = [device for device in online if device != self.aggregator]
        seats = max(0, len(free) - 1)
        game.reduced.note(game.verifier, seats)
        size = min(game.verifier.committee, seats)
        if not size:
            return []
        rng = game.streams.rng("verifiers", game.clock.round)
        return sorted(int(d) for d in rng.choice(free, size=size, replace=False))

    def _train(self) -> LocalWork:
        """Give everybody a role, and train the workers that are there."""
        roles = dict.fromkeys(self.workers, Role.WORKER)
        roles |= dict.fromkeys(self.committee, Role.VALIDATOR)
        if self.aggregator is not None:
            roles[self.aggregator] = Role.MINER
        for p in self.game.population:
            p.role = roles.get(p.device)
        online = [w for w in self.workers if w in self.server.online_at_start]
        return do_local_work(self.game, online, sealed=self.settings.commit_reveal)

    def _open_contract(self) -> RoundContract:
        """Register the workers and open the round for commitments, if anybody trains."""
        contract = RoundContract(self.aggregator)
        if not self.work.workers:
            return contract
        for w in self.workers:
            contract = contract.register(w)
        return contract.start(self.aggregator, self.clock.start_s, self.settings.submission_s)

    # --- on the clock ---------------------------------------------------------------------------

    def _submit(self, w: int) -> Process:
        """Train, prove and commit; without commit-reveal the update travels with the commitment."""
        clock, i = self.clock, self.work.row[w]
        self.server.train_s(self.work, w)
        self.server.compute_s[w] += self.game.verifier.prove_s
        size = COMMIT_BYTES if self.settings.commit_reveal else COMMIT_BYTES + self.server.size
        arrival_s = self.server.ready_s[w] + self.server.compute_s[w] + self.server.send_s(w, size)
        sends_s = self.server.ready_s[w] + self.server.compute_s[w]
        if not self.settings.commit_reveal and self.game.online(w, sends_s):
            self.game.sent[w] += 1
        yield clock.until(min(arrival_s, self.contract.submission_deadline_s))
        if not self.game.online(w, clock.now):
            self.conduct_of[w] = "absent"
            return
        clock.act()
        if not self.server.accepts(self.work, w, self.clock.now):
            self.conduct_of[w] = "forged" if w in self.work.sent.forged else "replayed"
            return
        salt = self._salt(w)
        for _ in range(2 if w in self.work.sent.duplicated else 1):
            try:
                sealed = commitment(w, self._content(w, self.work.digests[i]), salt)
                self.contract = self.contract.commit(w, sealed, arrival_s)
                self.commitments[w] = sealed
            except TransitionError as refused:
                self._refuse(w, refused)

    def _collect(self) -> Process:
        """Open for reveals when everybody has committed or the deadline is past."""
        clock, settings = self.clock, self.settings
        submitted = clock.stage("submission")
        deadline = self.contract.submission_deadline_s
        yield submitted if math.isinf(deadline) else submitted | clock.until(deadline)
        missing = self.contract.registered - self.contract.commitments.keys()
        if missing and not math.isinf(deadline):
            yield clock.until(deadline)  # the contract cannot know that nobody else will come
        if missing and math.isinf(deadline):
            # Without a deadline the coordinator ends submissions itself once all that are there
            # have answered.
            self.contract = replace(self.contract, submission_deadline_s=clock.now)
        clock.act()
        self.contract = self.contract.close_submissions(clock.now, settings.reveal_s)
        for w in sorted(self.contract.commitments):
            clock.start("showing", self._reveal(w))

    def _reveal(self, w: int) -> Process:
        """Send the update itself before the reveal deadline, unless it came with the commitment."""
        clock, work = self.clock, self.work
        shown = work.digests[work.row[w]]
        arrival_s = clock.now
        if self.settings.commit_reveal:
            if w in work.sent.unrevealed or not self.game.online(w, clock.now):
                return
            self.game.sent[w] += 1
            # A cheat may show another update than it committed to: the contract compares them.
            shown = work.sent.switched.get(w, shown)
            arrival_s = clock.now + self.server.send_s(w)
            yield clock.until(min(arrival_s, self.contract.reveal_deadline_s))
            if not self.game.online(w, clock.now):
                return
        clock.act()
        try:
            self.contract = self.contract.reveal(
                w, self._content(w, shown), self._salt(w), arrival_s
            )
            self.openings[w] = self._content(w, shown) + self._salt(w)
        except TransitionError as refused:
            self._refuse(w, refused)

    def _content(self, w: int, digest: bytes) -> bytes:
        """Return what a worker is bound to: its update and its claims."""
        i, sent = self.work.row[w], self.work.sent
        return digest + struct.pack(
            "<qq", int(sent.claimed_samples[i]), int(sent.claimed_epochs[i])
        )

    def _salt(self, w: int) -> bytes:
        return self.game.streams.rng("salt", w, self.game.clock.round).bytes(16)

    def _refuse(self, w: int, refused: TransitionError) -> None:
        self.conduct_of.setdefault(w, refused.kind)
        self.game.incidents.note(self.clock.now, w, None, refused.kind)

    # --- after the reveals ---------------------------------------------------------------------

    def _verify(self) -> None:
        """Judge the revealed updates; malformed ones are rejected."""
        game, work, clock = self.game, self.work, self.clock
        # Refuse.
        for w in sorted(self.contract.unrevealed):
            # Some were noted when the contract refused them.
            if self.conduct_of.get(w) not in ("unrevealed", "mismatched"):
                game.incidents.note(clock.last_s, w, None, "unrevealed")
                self.conduct_of[w] = "unrevealed"
        shown = sorted(self.contract.revealed)
        judged = [w for w in shown if work.finite[work.row[w]]]
        for w in sorted(set(shown) - set(judged)):
            self.conduct_of[w] = "malformed"
            game.incidents.note(clock.last_s, w, None, "malformed")
        if not judged:
            return

        # Judge.
        verdicts = verdicts_on(game, work, judged)
        checking_s = game.verifier.verify_s * len(judged)
        clock.last_s += checking_s
        if not game.verifier.committee and self.aggregator is not None:
            self.server.compute_s[self.aggregator] = checking_s
        if self.committee:
            self.server.compute_s |= dict.fromkeys(self.committee, checking_s)
            self.records, self.votes = let_vote(
                game,
                work,
                judged,
                committee=self.committee,
                verdicts=verdicts,
                time_s=clock.last_s,
            )
        else:
            # A single verifier, or a committee that nobody is left to sit on: the first row
            # decides.
            self.records = tuple(
                replace(claimed(work, w), accepted=bool(verdict))
                for w, verdict in zip(judged, verdicts[0], strict=True)
            )
        for r in self.records:
            self.conduct_of[r.worker] = "verified" if r.accepted else "rejected"

    def _finalise(self) -> None:
        """Aggregate, let members dispute, and settle."""
        game = self.game
        verified = [r for r in self.records if r.accepted]
        workers = [r.worker for r in verified]
        self.contract = self.contract.finalise(self.aggregator, workers)
        before = game.forks.head.model
        right = aggregate(game, self.work, verified, before) if verified else before
        malformed = [w for w, conduct in self.conduct_of.items() if conduct == "malformed"]
        conduct = Conduct(
            aggregator=self.aggregator,
            unrevealed=self.contract.unrevealed,
            malformed=frozenset(malformed),
        )
        model = right
        if self.aggregator is not None:
            model, conduct = self._delivered(verified, Delivery(right, right, before), conduct)
        self.final_s = self.clock.last_s - self.clock.start_s
        if conduct.fault == "absent":
            self.records = ()  # nothing was finalised: nobody is paid or slashed for an update
            for w in self.contract.revealed:
                self.conduct_of[w] = "unsettled"
        author = None if conduct.fault else self.aggregator
        self.server.close(self.work, self.records, model, author, conduct)

    def _delivered(
        self, verified: list[UpdateRecord], right: Delivery, conduct: Conduct
    ) -> tuple[int, Conduct]:
        """Return the model after delivery and disputes, and the conduct that is known."""
        delivered, conduct = deliver(self.game, self.server, self.work, verified, right, conduct)
        if conduct.fault:
            return delivered.model, conduct
        members = (*self.workers, *self.committee)
        return dispute(self.game, self.server, delivered, members, conduct)
