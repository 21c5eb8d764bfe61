"""A lottery: participants buy tickets, and a round later one ticket wins what all have paid."""

from pydantic import Field

import fedstake as fs

POT = "escrow:pot"


class TicketSettings(fs.Settings):
    """What a ticket costs, and how eager participants are."""

    price: fs.Amount = 10
    """Base units for one ticket."""
    chance: fs.Probability = 0.5
    """Probability that a participant who can pay buys one."""


class LotteryScenario(fs.Scenario):
    tickets: TicketSettings = Field(default_factory=TicketSettings)


class Lottery(fs.Protocol):
    """Tickets of a round are drawn in the next one; those of the last round are not sold."""

    name, reference = "lottery", "an example of a protocol in one file"
    summary = "participants buy tickets, one of them wins the pot"
    Scenario = LotteryScenario
    tables = {"rounds": {name: fs.Column(fs.INTEGER) for name in ("pot", "winner")}}
    outcomes = {"largest_pot": fs.Outcome("rounds", "max(pot)", "base units", "max", headline=True)}
    notes = (fs.Note("draw", "rounds", {"winner": "winner"}, per="row", present=("winner",)),)
    charts = (fs.Chart("pot", "The pot", "What was won.", "rounds", "round", "pot", kind="step"),)

    def __init__(self, kernel):
        super().__init__(kernel)
        balance = kernel.scenario.payout.initial_balance
        kernel.treasury.open({p.device: balance for p in kernel.population}, {POT: 0})
        self.sold = []

    def play(self):
        kernel, tickets = self.kernel, self.kernel.scenario.tickets
        rng = kernel.streams.rng("lottery", kernel.clock.round)
        start_s, pot = kernel.clock.time_s, tickets.price * len(self.sold)
        kernel.clock.time_s += 60.0
        winner = int(rng.choice(self.sold)) if self.sold else None
        if winner is not None:
            kernel.treasury.post([fs.Payment(winner, pot, "prize", POT)])
        here = [p.device for p in kernel.population if kernel.population.present(p.device)]
        able = [d for d in here if kernel.treasury.balance(d) >= tickets.price]
        eager = [d for d in able if rng.random() < tickets.chance]
        self.sold = [] if kernel.last_round else eager
        kernel.treasury.post(fs.Payment(POT, tickets.price, "ticket", d) for d in self.sold)
        kernel.record_round(start_s, {"pot": pot, "winner": winner})
        kernel.record_participants(here, fs.Stakes())

    def state(self):
        return {"sold": self.sold}, {}

    def restore(self, state, arrays):
        self.sold = list(state["sold"])

    @classmethod
    def example(cls):
        return {"rounds": 6, "devices": 5, "payout": {"initial_balance": 100}}
