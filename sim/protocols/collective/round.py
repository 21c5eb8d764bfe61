"""The stages of one round of a collective economy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sim.protocols.collective.annotating import Annotating
from sim.protocols.collective.approving import Approving
from sim.protocols.collective.economy import Economy
from sim.protocols.collective.engineering import Candidate, Engineering
from sim.protocols.collective.selling import Selling
from sim.referenda import Referenda
from sim.training.averaging import AveragingRound


class CollectiveRound:
    """One round, stage by stage; each stage is played at most once, in the order of the methods.

    What referenda have decided by now is put in force when the round begins.

    Args:
        economy: the run.
        annotating: its public samples and the desk where labels are bought.
        selling: its clients.
        referenda: its votes.
    """

    def __init__(
        self, economy: Economy, annotating: Annotating, selling: Selling, referenda: Referenda
    ) -> None:
        self.economy, self.game = economy, economy.game
        self.annotating, self.selling, self.referenda = annotating, selling, referenda
        self.candidates: list[Candidate] = []
        """Versions that were submitted and not yet decided on."""
        self.submitted = 0
        self._worth: Counter[int] = Counter()
        annotating.desk.begin_round()
        referenda.advance(self.game.clock.time_s)
        deadline_s = economy.scenario.deadlines.validator_s
        self.averaging = AveragingRound(self.game, economy.chain, deadline_s)
        self.approving = Approving(economy, self.averaging.server)

    def contribute(self) -> None:
        """Let contributors train; they are paid."""
        self.averaging.contribute()
        self.game.settle(self.averaging.clock.last_s)

    def annotate(self, rows: list[int] | None = None) -> None:
        """Let annotators label public samples; `rows`: ask about these instead of those in turn."""
        self.annotating.play(rows)

    def engineer(self) -> None:
        """Let engineers submit versions."""
        for candidate in Engineering(self.economy, self.averaging.server).play():
            self.submit(candidate)

    def submit(self, candidate: Candidate) -> None:
        """Add a version that members decide on."""
        self.candidates.append(candidate)
        self.submitted += 1

    def approve(self) -> None:
        """Let members decide on all versions."""
        self.approving.begin()
        self.approving.play(self.candidates)
        self.candidates = []

    def sell(self) -> None:
        """Let clients buy licences."""
        self._worth.update(self.selling.play())

    def sell_by_hand(self, client: int, offer: int) -> bool:
        """Ask for a licence for a client; return whether it gets one for this offer."""
        given = self.selling.sell_by_hand(client, offer)
        if given:
            self._worth.update(self.selling.benefits([client]))
        return given

    def govern(self) -> None:
        """Let everybody propose, and vote."""
        game, referenda = self.game, self.referenda
        referenda.hold(game.online_at(game.clock.time_s))
        if game.kernel.last_round:
            referenda.close()
        for table, rows in referenda.rows().items():
            game.kernel.recorder.add(table, rows)
        self._worth.update(referenda.benefits())

    def finish(self) -> None:
        """Give back what is left of pools that end, and record the round."""
        game, economy = self.game, self.economy
        for candidate in self.candidates:
            self.approving.leave(candidate)
        self.annotating.end_round()
        self._record_pools()
        if 0 < economy.scenario.pools.expires <= game.clock.round:
            economy.purse.expire()
        game.finish()
        if game.kernel.last_round:
            economy.purse.refund(game.clock.round + 1)
        own = {
            "submitted": self.submitted,
            "approved": self.approving.approved,
            "members": len(economy.members),
            **self.annotating.round_columns(),
        }
        effort = self.annotating.desk.costs()
        self.averaging.record(own, self._columns(), self._worth, effort)

    def _record_pools(self) -> None:
        """Record what is left of each pool."""
        left = self.economy.purse.left(self.game.locked_by_rule())
        rows = [
            {
                "round": self.game.clock.round,
                "pool": party,
                "remaining": amount,
                "spent": self.economy.left[party] - amount,
            }
            for party, amount in left.items()
        ]
        self.game.kernel.recorder.add("pools", rows)
        self.economy.left = left

    def _columns(self) -> Mapping[int, Mapping[str, Any]]:
        """Return the protocol's own columns of `participants` by device."""
        parties, members = self.economy.scenario.parties.devices, self.economy.members
        return {
            device: {
                "party": party,
                "member": device in members,
                **self.annotating.columns(device),
            }
            for party, devices in parties.items()
            for device in devices
        }
