"""A game of nothing but referenda: members decide about a fee and about three shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

import fedstake as fs
from agents import registries as behaviours
from sim.keys import Chosen
from sim.referenda import Parameter, Referenda, declared
from sim.referenda.settings import ReferendaSettings

SHARES = ("share.a", "share.b")


class Voters(fs.Group):
    """Members that vote otherwise."""

    voter: Annotated[str, Chosen(behaviours.voters, "voter_params")] = "honest"
    """Behaviour as voter."""
    voter_params: dict[str, Any] = {}
    """Parameters of that behaviour."""


class AssemblyScenario(fs.Scenario):
    referenda: ReferendaSettings = Field(default_factory=ReferendaSettings)
    adversaries: tuple[Voters, ...] = ()


class Assembly(fs.Protocol):
    """Members vote once a day."""

    name, summary, reference = "assembly", "members vote once a day", "tests of sim/referenda"
    Scenario = AssemblyScenario
    tables: ClassVar[Any] = {**declared.TABLES, "rounds": {"fee": fs.Column(fs.NUMBER, "in force")}}
    outcomes: ClassVar[Any] = declared.OUTCOMES
    notes = declared.NOTES

    def __init__(self, kernel):
        super().__init__(kernel)
        money = {p.device: kernel.scenario.payout.initial_balance for p in kernel.population}
        kernel.treasury.open(money, Referenda.accounts())
        self.values = {"fee": 10.0, "share.a": 0.5, "share.b": 0.5}
        self.locked: dict[int, int] = {}
        self.referenda = Referenda(
            kernel.scenario.referenda,
            parameters={name: self._parameter(name) for name in self.values},
            electorate=lambda: range(len(kernel.population)),
            population=kernel.population,
            treasury=kernel.treasury,
            incidents=kernel.incidents,
            streams=kernel.streams,
            clock=kernel.clock,
            check=self._check,
        )

    def _parameter(self, name: str) -> Parameter:
        most, whole = (100, True) if name == "fee" else (1, False)
        change = self.values.__setitem__
        return Parameter(lambda: self.values[name], lambda v: change(name, v), 0, most, whole)

    def _check(self, changes: Mapping[str, float]) -> str:
        shares = sum((self.values | dict(changes))[name] for name in SHARES)
        return "" if abs(shares - 1) < 1e-9 else f"shares add up to {shares:g}, must be 1"

    def play(self):
        kernel, start_s = self.kernel, self.kernel.clock.time_s
        self.referenda.advance(start_s)
        online = {p.device for p in kernel.population if kernel.population.present(p.device)}
        self.referenda.hold(online)
        kernel.clock.time_s += 86_400.0
        if kernel.last_round:
            self.referenda.close()
        for table, rows in self.referenda.rows().items():
            kernel.recorder.add(table, rows)
        kernel.record_round(start_s, {"fee": self.values["fee"]})
        locked = self.referenda.locked()
        worth = self.referenda.benefits()
        stakes = fs.Stakes(locked=locked, locked_before=self.locked, benefit=worth)
        kernel.record_participants(online, stakes)
        self.locked = dict(locked)

    def state(self):
        locked = {str(device): amount for device, amount in self.locked.items()}
        referenda = self.referenda.to_state()
        return {"values": self.values, "locked": locked, "referenda": referenda}, {}

    def restore(self, state, arrays):
        self.values.update(state["values"])
        self.locked = {int(device): amount for device, amount in state["locked"].items()}
        self.referenda.restore(state["referenda"])

    @classmethod
    def example(cls):
        change = {"round": 1, "changes": {"fee": 20}, "worth_sd": 100.0, "gain": 5_000.0}
        return {
            "protocol": cls.name,
            "rounds": 6,
            "devices": 7,
            "payout": {"initial_balance": 10_000},
            "referenda": {
                "rule": "conviction",
                "params": {"lock_period_s": 86_400.0},
                "units_per_usd": 3,
                "proposals": [change, change | {"round": 2, "changes": {"fee": 5}}],
            },
            "adversaries": [
                {"name": "sellers", "count": 3, "voter": "bought"},
                {"name": "buyers", "devices": [6], "voter": "capturer"},
            ],
        }
