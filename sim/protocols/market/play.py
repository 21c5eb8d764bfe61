"""The market at work: acts in order of time, and the claims that follow each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mechanisms import answers
from mechanisms.markets.base import MarketRule
from mechanisms.vocabulary import TOKEN, Act, Offer, Query
from sim.agenda import Agenda, Event
from sim.data.folder import data_folder
from sim.population.participant import Participant
from sim.protocols.market.balances import Balances
from sim.protocols.market.claims import Claims
from sim.protocols.market.desk import Desk
from sim.protocols.market.habits import Habits
from sim.protocols.market.market import DataMarket
from sim.protocols.market.recorded import RecordedAct, read_acts
from sim.protocols.market.rewards import Rewards
from sim.protocols.market.trader import Trader

STALLED_S = 30 * 86_400.0
"""The last round ends when nothing was accepted or claimed for so long after the last sweep could
be, in seconds.
"""


class Play:
    """The acts of a market in order of time.

    Args:
        market: what is traded.
    """

    def __init__(self, market: DataMarket) -> None:
        self.market = market
        kernel = market.kernel
        self._treasury, self._population = kernel.treasury, kernel.population
        self._as_published = market.scenario.market.as_published
        self.habits = Habits(kernel, market.scenario)
        self.balances = Balances(market)
        self.desk = Desk(market, self.habits, self.balances)
        self.claims = Claims(
            kernel.treasury,
            market.rule,
            market.open,
            market.books,
            as_published=self._as_published,
        )
        self.rewards = Rewards(market)
        self.agenda = Agenda()
        self.recorded = self._recorded()
        self.replayed = 0
        self.done = False
        sweep_s = market.rule.sweep_wait_s
        # Only a rule with stages ends the market itself, or asks to be called at a time.
        kind = type(market.rule)
        self._has_stages = (
            kind.deadline_s is not MarketRule.deadline_s or kind.closed is not MarketRule.closed
        )
        self._stalled_s = STALLED_S + (sweep_s if sweep_s < math.inf else 0.0)

    def _recorded(self) -> list[RecordedAct]:
        """Return the acts to play again; none when behaviours decide."""
        market = self.market
        settings = market.scenario.market
        if not settings.replay_of:
            return []
        return read_acts(
            settings.replay_of,
            data_folder(market.kernel.data),
            names=settings.names,
            devices=len(market.people),
            rows=market.last,
            classes=market.samples.classes,
            token=TOKEN,
        )

    def begin(self) -> None:
        """Open the market: everybody decides when to act first."""
        # As measured when the market was built.
        self.market.write_down("start", self.market.accuracy)
        self.market.books.opened(self.market.model)
        self.market.set_bounty_aside()
        self.rewards.commit()
        if not self.recorded:
            for trader in self.traders:
                self.agenda.add(self.desk.next_s(trader), trader.device)

    def begin_round(self) -> None:
        """Begin a slice of time: within it nobody changes its behaviour, comes or goes."""
        self.market.books.begin_round()
        present = self._population.present
        self.traders = [
            Trader(p, self.habits, present=present(p.device)) for p in self.market.people
        ]

    # --- time -----------------------------------------------------------------------------------

    def until(self, end_s: float) -> None:
        """Play all that happens up to a time, or until nothing can happen any more.

        With `end_s` inf also until nothing has happened for long: see `STALLED_S`.
        """
        market, rule, recorded = self.market, self.market.rule, self.recorded
        while not self.done:
            now_s, stage_s = self._next_s(), math.inf
            if self._has_stages:
                stage_s = answers.moment(rule, "deadline_s", rule.deadline_s(market.memory))
                now_s = min(now_s, stage_s)
            if now_s > end_s or now_s == math.inf:
                return
            market.now_s, was_open = now_s, not market.ran_out
            if stage_s <= now_s:
                self.rewards.advance(ended=market.ran_out)
            elif recorded:
                self._replay(recorded[self.replayed])
            else:
                self._act(self.traders[self.agenda.pop().device])
            if self._has_stages:
                self._follow_stages(was_open)
            if self._over(end_s):
                self.finish()

    def _follow_stages(self, was_open: bool) -> None:
        """Close the market with its rule, and let the rule end when no more data are taken."""
        market = self.market
        if market.rule.closed(market.memory):
            market.close()
        if was_open and market.ran_out:
            self.rewards.advance(ended=True)

    def _next_s(self) -> float:
        """Return when the next act is, inf for never."""
        if self.replayed < len(self.recorded):
            return self.recorded[self.replayed].time_s
        return self.agenda.next_s

    def _over(self, end_s: float) -> bool:
        """Return whether nothing can happen any more before a time."""
        if self.recorded:
            return self.replayed == len(self.recorded)
        market = self.market
        if end_s == math.inf and market.now_s > market.progress_s + self._stalled_s:
            return True
        if market.ran_out:
            claimable = market.rule.claimable and len(market.open)
            return not (claimable or self.balances.owed())
        return not len(self.agenda)

    def finish(self) -> None:
        """Let a rule with stages end, and drop what is left of the agenda."""
        self.done = True
        self.agenda.clear()
        self.rewards.advance(ended=True)
        self.balances.hand_out()
        self.market.learn_late()
        self.market.accuracy = self.market.measure()
        self.market.write_down("end", self.market.accuracy)

    # --- acts -----------------------------------------------------------------------------------

    def _act(self, trader: Trader) -> None:
        """Let a contributor act, claim, and decide when to act next."""
        market = self.market
        if market.now_s > market.next_accuracy_s:
            market.publish()
        if market.now_s >= market.closes_s:
            market.close()
        balance = self._treasury.held(trader.account)
        act = None
        if balance > 0 and not market.ran_out and trader.present:
            act = self.desk.decide(trader, balance)
        self._do(trader.who, act, balance, claims=trader.claims)
        if balance > 0 or not self._as_published:
            self.agenda.add(self.desk.next_s(trader), trader.device)

    def _replay(self, recorded: RecordedAct) -> None:
        """Do what was recorded, and claim as everybody does."""
        self.replayed += 1
        market = self.market
        if market.now_s > market.next_accuracy_s:
            market.publish()
        if market.now_s >= market.closes_s:
            market.close()
        if not math.isnan(recorded.accuracy):
            market.accuracy = recorded.accuracy
        act: Act = None
        if recorded.action == "add":
            act = Offer(recorded.label, recorded.offer, recorded.row)
        elif recorded.action == "predict":
            act = Query(recorded.offer)
        p = market.people[recorded.device]
        self._do(p, act, self._treasury.held(p.account), claims=True)

    def _do(self, p: Participant, act: Act, balance: int, *, claims: bool) -> None:
        """Do what was decided, then claim."""
        market, row = self.market, self.market.next_row
        cost = self.desk.do(p, act, balance)
        if claims:
            # As published nothing but what anybody may take is claimed after the data ran out.
            late = market.ran_out and self._as_published
            claimed = market.rule.claimable and self.claims.claim(
                p, market.memory, market.now_s, sweeps_only=late
            )
            if self.balances.collect(p) or claimed:
                market.progress_s = market.now_s
        if market.books.traced:
            if isinstance(act, Offer) and act.row is not None:
                row = act.row
            if isinstance(act, Offer):
                market.books.shown(market.model, row)
            market.books.act(market.now_s, p, act, row, cost, market.accuracy)

    # --- checkpoints ----------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {
            "agenda": self.agenda.to_state(),
            "replayed": self.replayed,
            "done": self.done,
            "rewards": self.rewards.to_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.agenda = Agenda(Event(*event) for event in state["agenda"])
        self.replayed, self.done = state["replayed"], state["done"]
        self.rewards.restore(state["rewards"])
