"""An inspection game: who takes a share of a purse may be inspected, and loses its stake then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

import fedstake as fs
from mechanisms.registry import Registry
from sim.keys import Chosen

BANK = "escrow:bank"


class Taker(fs.Plugin):
    """Base: decides which share of the purse it takes."""

    def share(self) -> float:
        return 0.0


class Honest(Taker):
    name, summary, reference = "honest", "takes nothing", "a test"


class Skim(Taker):
    name, summary, reference = "skim", "takes a share", "a test"

    @dataclass(frozen=True)
    class Params:
        part: float = fs.param(0.9, help="share of the purse", ge=0, le=1)

    params: Params

    def share(self):
        return self.params.part


class Shout(Taker):
    name, summary, reference = "shout", "takes nothing, and says so", "a test"


class Break(Taker):
    name, summary, reference = "break", "cannot be played", "a test"

    def share(self):
        raise RuntimeError("this one never works")


takers = Registry("takers", package=__name__, base=f"{__name__}:Taker", key="adversaries.N.taker")


class Takers(fs.Group):
    taker: Annotated[str, Chosen(takers, "taker_params")] = "honest"
    taker_params: dict[str, Any] = {}


class RuleSettings(fs.Settings):
    stake: fs.Amount = 0
    inspected: fs.Probability = 0.5
    purse: fs.Amount = 10_000


class InspectionScenario(fs.Scenario):
    rules: RuleSettings = Field(default_factory=RuleSettings)
    adversaries: tuple[Takers, ...] = ()


class Inspection(fs.Protocol):
    """A share s gives purse s (1 - s), and costs s stake where it is inspected."""

    name, summary, reference = "inspection", "takers are inspected", "a test"
    Scenario = InspectionScenario
    tables = {"rounds": {"taken": fs.Column(fs.INTEGER), "bound": fs.Column(fs.INTEGER)}}
    outcomes = {
        "taken": fs.Outcome("rounds", "sum(taken)", "base units", "min"),
        "bound": fs.Outcome("rounds", "max(bound)", "base units", "min", headline=True),
        "left": fs.Outcome("rounds", "-sum(taken)", "base units", "max"),
    }

    def __init__(self, kernel):
        super().__init__(kernel)
        money = {p.device: kernel.scenario.payout.initial_balance for p in kernel.population}
        kernel.treasury.open(money, {BANK: 10**9})

    def play(self):
        kernel, rules = self.kernel, self.kernel.scenario.rules
        start_s, taken = kernel.clock.time_s, 0
        kernel.clock.time_s += 60.0
        devices = [p.device for p in kernel.population]
        for p in kernel.population:
            share = p.behaviour("taker").share()
            gain, fine = round(rules.purse * share * (1 - share)), round(rules.stake * share)
            rng = kernel.streams.rng("inspected", kernel.clock.round, p.device)
            caught = rng.random() < rules.inspected
            taken += gain
            kernel.treasury.post([fs.Payment(p.device, gain, "taken", BANK)] if gain else [])
            if caught and fine:
                kernel.treasury.post([fs.Payment(BANK, fine, "fine", p.device)])
        bound = rules.stake * len(devices)
        kernel.record_round(start_s, {"taken": taken, "bound": bound})
        kernel.record_participants(devices, fs.Stakes())

    def state(self):
        return {}, {}

    def restore(self, state, arrays):
        pass

    @classmethod
    def example(cls):
        return {"rounds": 2, "devices": 5, "payout": {"initial_balance": 10**6}}
