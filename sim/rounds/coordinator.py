"""A round under an on-chain coordinator: commit, reveal, verify, aggregate, dispute, settle.

The contract's rules are in `mechanisms/lifecycle.py`; here time passes and devices act. Calls that the contract refuses are
noted as incidents and change nothing.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.lifecycle import RoundContract, TransitionError, commitment
from mechanisms.vocabulary import (
    Conduct,
    DisputeObservation,
    Role,
    UpdateRecord,
    VerificationObservation,
)
from sim.chain.transactions import SIGNATURE_BYTES
from sim.rounds import bribes
from sim.rounds.clock import Process
from sim.rounds.local_work import do_local_work
from sim.rounds.mining import decide
from sim.rounds.processing import aggregate
from sim.rounds.server import ServerRound
from sim.rounds.voting import vote

if TYPE_CHECKING:
    from sim.world import World

COMMIT_BYTES = 32 + SIGNATURE_BYTES
AGGREGATE = b"aggregate"


class CoordinatorRound(ServerRound):
    """One round; `conduct_of` says what became of each worker's update, `votes` what a committee voted."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.settings = self.scenario.coordinator
        self.conduct_of: dict[int, str] = {}
        self.commitments: dict[int, bytes] = {}
        self.openings: dict[int, bytes] = {}
        self.votes: list[tuple[int, int, bool, bool, float]] = []
        self.aggregator: int | None = None
        self.block_time_s: float | None = None

    def play(self) -> None:
        """The whole round."""
        world = self.world
        self.arrive()
        self._seat()
        if not self.work.workers:
            world.finish_round(self.clock.last_s)
            return
        self.contract = RoundContract(self.aggregator)
        for w in self.workers:
            self.contract = self.contract.register(w)
        self.contract = self.contract.start(
            self.aggregator, self.start_s, self.settings.submission_s
        )
        for w in self.work.workers:
            self.clock.start("submission", self._submit(w))
        self.clock.start("reveal", self._collect())
        self.clock.run()
        self._verify()
        self._finalise()
        world.finish_round(self.clock.last_s)

    # --- who does what ------------------------------------------------------------------------------------------

    def _seat(self) -> None:
        """Draw the aggregator and the committee; everybody else trains."""
        world, r = self.world, self.round
        members = world.admitted(world.canonical().memory)
        here = [d for d in members if d in self.online_at_start]
        self.aggregator = self._draw_aggregator(here)
        free = [d for d in here if d != self.aggregator]
        size = min(world.verifier.committee, max(0, len(free) - 1))
        drawn = (
            world.streams.rng("verifiers", r).choice(free, size=size, replace=False) if size else []
        )
        self.committee = sorted(int(d) for d in drawn)
        self.workers = [d for d in members if d != self.aggregator and d not in self.committee]
        roles = dict.fromkeys(self.workers, Role.WORKER) | dict.fromkeys(
            self.committee, Role.VALIDATOR
        )
        if self.aggregator is not None:
            roles[self.aggregator] = Role.MINER
        for p in world.participants:
            p.role = roles.get(p.device)
        online = [w for w in self.workers if w in self.online_at_start]
        self.work = do_local_work(world, online, [], sealed=self.settings.commit_reveal)

    def _draw_aggregator(self, here: list[int]) -> int | None:
        """None: the organisation itself. Drawn by stake: with probability proportional to what a device holds and has locked."""
        world, how = self.world, self.settings.aggregator
        if how == "organisation":
            return None
        bonded = world.payout.aggregators(world.canonical().memory)
        willing = [d for d in here if bonded is None or d in bonded]
        if how == "fixed":  # called even when it is away: then it does not deliver
            fixed = self.settings.aggregator_device
            return (
                fixed
                if world.identities.in_play(fixed) and (bonded is None or fixed in bonded)
                else None
            )
        if not willing or len(here) < 2:
            return None
        locked = world.payout.locked(world.canonical().memory)
        weights = np.array([world.stakes[d] + locked.get(d, 0) for d in willing], dtype=np.float64)
        weights = (
            weights / weights.sum() if weights.sum() else np.full(len(willing), 1 / len(willing))
        )
        return int(world.streams.rng("aggregator", self.round).choice(willing, p=weights))

    # --- on the clock -------------------------------------------------------------------------------------------

    def _submit(self, w: int) -> Process:
        """Train, prove, and commit; without commit-reveal the commitment and the update travel together."""
        clock, i = self.clock, self.work.row[w]
        self.train_s(w)
        self.compute_s[w] += self.world.verifier.prove_s
        size = COMMIT_BYTES if self.settings.commit_reveal else COMMIT_BYTES + self.size
        arrival_s = self.ready_s[w] + self.compute_s[w] + self.send_s(w, size)
        sends_s = self.ready_s[w] + self.compute_s[w]
        if not self.settings.commit_reveal and self.world.online(w, sends_s):
            self.world.sent[w] += 1
        yield clock.until(min(arrival_s, self.contract.submission_deadline_s))
        if not self.world.online(w, clock.now):
            self.conduct_of[w] = "absent"
            return
        clock.act()
        if not self.accepted(w):
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
        """When everybody has committed or the deadline is past: open for reveals."""
        clock, settings = self.clock, self.settings
        submitted = clock.stage("submission")
        deadline = self.contract.submission_deadline_s
        yield submitted if math.isinf(deadline) else submitted | clock.until(deadline)
        missing = self.contract.registered - self.contract.commitments.keys()
        if missing and not math.isinf(deadline):
            yield clock.until(deadline)  # the contract cannot know that nobody else will come
        if missing and math.isinf(deadline):
            # Without a deadline the coordinator ends submissions itself once all that are there have answered.
            self.contract = replace(self.contract, submission_deadline_s=clock.now)
        clock.act()
        self.contract = self.contract.close_submissions(clock.now, settings.reveal_s)
        for w in sorted(self.contract.commitments):
            clock.start("showing", self._reveal(w))

    def _reveal(self, w: int) -> Process:
        """Send the update itself, before the reveal deadline; without commit-reveal it is there already."""
        clock, work = self.clock, self.work
        shown, arrival_s = work.digests[work.row[w]], clock.now
        if self.settings.commit_reveal:
            if w in work.sent.unrevealed or not self.world.online(w, clock.now):
                return
            self.world.sent[w] += 1
            shown, arrival_s = work.sent.switched.get(w, shown), clock.now + self.send_s(w)
            yield clock.until(min(arrival_s, self.contract.reveal_deadline_s))
            if not self.world.online(w, clock.now):
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
        """What a worker is bound to: its update and its claims."""
        i, sent = self.work.row[w], self.work.sent
        return digest + struct.pack(
            "<qq", int(sent.claimed_samples[i]), int(sent.claimed_epochs[i])
        )

    def _salt(self, w: int) -> bytes:
        return self.world.streams.rng("salt", w, self.round).bytes(16)

    def _refuse(self, w: int, refused: TransitionError) -> None:
        self.conduct_of.setdefault(w, refused.kind)
        self.world.note(self.clock.now, w, None, refused.kind)

    # --- after the reveals --------------------------------------------------------------------------------------

    def _verify(self) -> None:
        """Judge what was revealed; what has not the right form never counts."""
        world, work, verifier = self.world, self.work, self.world.verifier
        for w in sorted(self.contract.unrevealed):
            if self.conduct_of.get(w) not in (
                "unrevealed",
                "mismatched",
            ):  # noted when the contract refused them
                world.note(self.clock.last_s, w, None, "unrevealed")
                self.conduct_of[w] = "unrevealed"
        shown = sorted(self.contract.revealed)
        for w in shown:
            if not work.finite[work.row[w]]:
                self.conduct_of[w] = "malformed"
                world.note(self.clock.last_s, w, None, "malformed")
        judged = [w for w in shown if work.finite[work.row[w]]]
        if not judged:
            return
        genuine = work.sent.genuine[[work.row[w] for w in judged]]
        seen = VerificationObservation(
            round=self.round,
            workers=tuple(judged),
            genuine=genuine,
            rng=world.streams.rng("verification", self.round),
        )
        verdicts = np.asarray(verifier.verdicts(seen))
        if verdicts.shape != (max(1, verifier.committee), len(judged)):
            raise ValueError(f"{verifier!r} gave verdicts of shape {verdicts.shape}")
        self.clock.last_s += verifier.verify_s * len(judged)
        if not verifier.committee and self.aggregator is not None:
            self.compute_s[self.aggregator] = verifier.verify_s * len(judged)
        if self.committee:
            self.records = self._vote(judged, verdicts)
        else:
            # A single verifier, or a committee that nobody is left to sit on: the first row decides.
            self.records = tuple(
                replace(self.record(w), accepted=bool(ok))
                for w, ok in zip(judged, verdicts[0], strict=True)
            )
        for r in self.records:
            self.conduct_of[r.worker] = "verified" if r.accepted else "rejected"

    def _vote(self, judged: list[int], verdicts: np.ndarray) -> tuple[UpdateRecord, ...]:
        """Each committee member votes as its behaviour makes of its verdict; those that wait for votes of others come last."""
        world = self.world
        positive: dict[int, list[int]] = {w: [] for w in judged}
        negative: dict[int, list[int]] = {w: [] for w in judged}
        scores: dict[int, list[tuple[int, float]]] = {w: [] for w in judged}
        waits = {v: "votes" in world.participants[v].validator.knows for v in self.committee}
        paid = bribes.collect(world, dict.fromkeys(self.committee, judged), self.clock.last_s)
        for k, v in sorted(enumerate(self.committee), key=lambda item: (waits[item[1]], item[1])):
            self.compute_s[v] = world.verifier.verify_s * len(judged)
            support = np.array(
                [len(positive[w]) / max(1, len(positive[w]) + len(negative[w])) for w in judged]
            )
            votes, told = vote(
                world, self.work, v, judged, verdicts[k], support if waits[v] else None, paid[v]
            )
            for w, verdict, cast, score in zip(
                judged, verdicts[k].tolist(), votes.tolist(), told, strict=True
            ):
                (positive if cast else negative)[w].append(v)
                if score is not None:
                    scores[w].append((v, score))
                self.votes.append((v, w, bool(verdict), bool(cast), self.clock.last_s))
        return tuple(
            replace(
                self.record(w),
                positive=tuple(sorted(positive[w])),
                negative=tuple(sorted(negative[w])),
                accepted=len(positive[w]) >= len(negative[w]),
                reports=tuple(sorted(scores[w])),
            )
            for w in judged
        )

    def _finalise(self) -> None:
        """Aggregate, let members dispute, and settle."""
        world = self.world
        verified = [r for r in self.records if r.accepted]
        self.contract = self.contract.finalise(self.aggregator, [r.worker for r in verified])
        start = world.canonical().model
        right = aggregate(world, self.work, verified, start) if verified else start
        malformed = frozenset(w for w, what in self.conduct_of.items() if what == "malformed")
        model, conduct = (
            right,
            Conduct(
                aggregator=self.aggregator, unrevealed=self.contract.unrevealed, malformed=malformed
            ),
        )
        if self.aggregator is not None:
            model, conduct = self._delivered(verified, right, start, conduct)
        self.block_time_s = self.clock.last_s - self.start_s
        if conduct.fault == "absent":
            self.records = ()  # nothing was finalised: nobody is paid or slashed for an update
            for w in self.contract.revealed:
                self.conduct_of[w] = "unsettled"
        self.close(model, self.aggregator if not conduct.fault else None, conduct)

    def _delivered(
        self, verified: list[UpdateRecord], right: int, start: int, conduct: Conduct
    ) -> tuple[int, Conduct]:
        """What the drawn aggregator delivers, and what becomes of it."""
        world, a = self.world, self.aggregator
        assert a is not None
        decision = decide(world, self.work, a, tuple(verified))
        if not decision.publish or not world.online(a, self.clock.last_s):
            world.note(self.clock.last_s, a, None, "absent-aggregator")
            return start, replace(conduct, fault="absent")
        self.clock.last_s += self.send_s(a)
        self.work.tamper(AGGREGATE, decision.replaced)
        if not all(np.isfinite(row).all() for row in self.work.replaced[AGGREGATE].values()):
            world.note(self.clock.last_s, a, None, "malformed")
            return start, replace(conduct, fault="absent")
        used = [r for r in verified if r.worker not in decision.censored]
        delivered = right
        if decision.replaced or decision.censored:
            delivered = aggregate(world, self.work, used, start, AGGREGATE) if used else start
        wrong = world.models.digest(delivered) != world.models.digest(right)
        return self._disputed(delivered, right, wrong, conduct)

    def _disputed(
        self, delivered: int, right: int, wrong: bool, conduct: Conduct
    ) -> tuple[int, Conduct]:
        """Some members recompute the aggregate within the challenge window, and dispute it if they are so minded."""
        world, settings = self.world, self.settings
        self.clock.last_s += settings.challenge_s
        disputing = []
        for d in (*self.workers, *self.committee):
            if (
                d not in self.online_at_start
                or world.streams.rng("watch", d, self.round).random() >= settings.watch
            ):
                continue
            self.compute_s[d] = self.compute_s.get(d, 0.0) + settings.watch_s
            seen = DisputeObservation(
                round=self.round,
                device=d,
                aggregator=conduct.aggregator,
                wrong=wrong,
                coalition=world.coalitions[d],
            )
            if world.participants[d].miner.challenges(seen):
                disputing.append(d)
        if not disputing:
            return delivered, conduct
        if not wrong:
            for d in disputing:
                world.note(self.clock.last_s, d, conduct.aggregator, "false-challenge")
            return delivered, replace(conduct, false_challengers=frozenset(disputing))
        winner = disputing[int(world.streams.rng("dispute", self.round).integers(len(disputing)))]
        world.note(self.clock.last_s, conduct.aggregator, winner, "wrong-aggregate")
        return right, replace(conduct, fault="wrong", challenger=winner)
