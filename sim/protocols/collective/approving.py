"""Members judge versions; those that are approved replace the master model and are paid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.members.base import Member
from mechanisms import answers
from mechanisms import registries as rules
from mechanisms.approval.base import ApprovalRule
from mechanisms.split import part
from mechanisms.vocabulary import ApprovalObservation, MemberObservation, MemberVote
from sim.protocols.collective.economy import Economy
from sim.protocols.collective.engineering import Candidate
from sim.protocols.collective.funding import ENGINEERS
from sim.training.server import Server


class Approving:
    """The members' stage of a round.

    Args:
        economy: the run.
        server: of the round's contributors; the members' computing is noted there.
    """

    def __init__(self, economy: Economy, server: Server) -> None:
        self.economy, self.game, self.server = economy, economy.game, server
        name = economy.scenario.approval.rule
        self.rule: ApprovalRule = rules.approval.create(name, economy.approval_params)
        self.approved = 0
        self.voting: list[int] = []
        self._change_members()

    def begin(self) -> None:
        """See which members are there to vote."""
        economy, online = self.economy, self.game.online
        self.voting = [m for m in sorted(economy.members) if online(m, economy.now_s)]

    def _change_members(self) -> None:
        """Add and remove the members that the scenario says for this round."""
        for change in self.economy.scenario.approval.changes:
            if change.round == self.game.clock.round:
                act = self.economy.members.add if change.joins else self.economy.members.discard
                act(change.device)

    def play(self, candidates: Sequence[Candidate]) -> None:
        """Judge one version after the other, each against the master model of that moment."""
        for candidate in candidates:
            self._decide(candidate)

    def _decide(self, candidate: Candidate) -> None:
        """Let members judge a version, decide, pay its author, and record it all."""
        game, economy = self.game, self.economy
        parent = economy.chain.head.kept[-1].version.id.hex()
        measured = self._measured(candidate.model)
        votes = {m: self._vote(m, candidate, *measured[m]) for m in self.voting}
        pool = economy.purse.held(ENGINEERS)
        members = tuple(sorted(economy.members))
        seen = ApprovalObservation(
            round=game.clock.round,
            author=candidate.author,
            members=members,
            votes=votes,
            remaining=pool,
            initial=economy.scenario.pools.amounts[ENGINEERS],
            stakes=tuple(game.treasury.balance(m) for m in members),
        ).shown_to(self.rule.observes)
        approved = answers.truth(self.rule, "approves", self.rule.approves(seen))
        reward = None
        if approved:
            reward = answers.reward(self.rule, "reward", self.rule.reward(seen), pool)
            self._release(candidate, reward)
        self._record(candidate, parent, votes, measured, reward)

    def _release(self, candidate: Candidate, reward: int) -> None:
        """Pay the author of a version, and make it the master model."""
        self.economy.purse.pay(candidate.author, reward, "reward.engineer", ENGINEERS)
        self.economy.replace_master(candidate.model, candidate.author)
        self.approved += 1

    # --- by hand ------------------------------------------------------------------------------

    def accept(self, candidate: Candidate, sender: int, share: float) -> int:
        """Approve a version in one call, as `collectiveApprovesModel`; return what it pays.

        `share`: of what is left of the engineers' pool.
        """
        parent = self.economy.chain.head.kept[-1].version.id.hex()
        self.voting = [sender]
        measured = self._measured(candidate.model)
        reward = part(self.economy.purse.held(ENGINEERS), share)
        self._release(candidate, reward)
        self._record(candidate, parent, {sender: MemberVote(True, share)}, measured, reward)
        return reward

    def leave(self, candidate: Candidate) -> None:
        """Record a version that nobody decided on."""
        parent = self.economy.chain.head.kept[-1].version.id.hex()
        self._record(candidate, parent, {}, {}, None)

    def _measured(self, model: int) -> dict[int, tuple[float, float]]:
        """Return by member the accuracies of a version and of the master model on its samples."""
        bench = self.game.bench
        rows = np.stack([bench.models[model], bench.models[self.economy.chain.head.model]])
        right = bench.held_out_correct(rows)
        measured = {}
        for member in self.voting:
            drawn = self._drawn(member, right.shape[1])
            version, master = right[:, drawn].mean(axis=1).tolist()
            measured[member] = (version, master)
        return measured

    def _drawn(self, member: int, samples: int) -> NDArray[np.int64]:
        """Return the held-out samples that a member tests on in this round."""
        most = self.economy.scenario.approval.test_samples
        if not 0 < most < samples:
            return np.arange(samples)
        rng = self.game.streams.rng("member.test", member, self.game.clock.round)
        return rng.permutation(samples)[:most]

    def _vote(
        self, member: int, candidate: Candidate, accuracy: float, master_accuracy: float
    ) -> MemberVote:
        """Return what a member thinks of a version; who tests it computes for that."""
        game = self.game
        behaviour: Member = game.population[member].behaviour("member")
        if behaviour.tests:
            tested = len(self._drawn(member, len(game.bench.split.held_out)))
            busy_s = game.network.evaluation_s(member, 2 * tested)
            compute_s = self.server.compute_s
            compute_s[member] = compute_s.get(member, 0.0) + busy_s
        seen = MemberObservation(
            round=game.clock.round,
            member=member,
            author=candidate.author,
            accuracy=accuracy,
            master_accuracy=master_accuracy,
            rng=game.streams.rng("member", member, game.clock.round, candidate.author),
            coalition=game.population.coalitions[member],
        )
        return answers.member_vote(behaviour, behaviour.vote(seen), seen.who)

    # --- records ------------------------------------------------------------------------------

    def _record(
        self,
        candidate: Candidate,
        parent: str,
        votes: Mapping[int, MemberVote],
        measured: Mapping[int, tuple[float, float]],
        reward: int | None,
    ) -> None:
        """Record a version, and every vote of it."""
        game, bench = self.game, self.game.bench
        row, digest = bench.models[candidate.model], bench.models.digest(candidate.model)
        submission = self.identify(candidate)
        entry: dict[str, Any] = {
            "round": game.clock.round,
            "submission": submission,
            "author": candidate.author,
            "adversary": game.population[candidate.author].adversary,
            "parent": parent,
            "weights": digest.hex(),
            "held_out_accuracy": float(bench.held_out_accuracy(row[None])[0]),
            "accuracy": float(bench.test([row], [digest]).accuracy[0]),
            "members": len(self.economy.members),
            "approving": sum(vote.approves for vote in votes.values()),
            "approved": reward is not None,
            "reward": reward,
        }
        game.kernel.recorder.add("submissions", [entry])
        game.kernel.recorder.add(
            "member_votes",
            [
                {
                    "round": game.clock.round,
                    "submission": submission,
                    "author": candidate.author,
                    "member": member,
                    "approves": vote.approves,
                    "share": vote.share,
                    "accuracy": measured[member][0],
                    "master_accuracy": measured[member][1],
                }
                for member, vote in votes.items()
            ],
        )

    def identify(self, candidate: Candidate) -> str:
        """Return the globally unique id of a submission."""
        digest, now = self.game.bench.models.digest(candidate.model), self.game.clock.round
        made = f"{self.economy.master_id}\n{now}\n{candidate.author}\n{digest.hex()}"
        return hashlib.sha256(made.encode()).hexdigest()
