"""A trader: a contributor in one slice of time, within which its behaviour stays the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.contributors.base import Contributor
from mechanisms.vocabulary import ContributorObservation
from sim.population.participant import Participant
from sim.protocols.market.habits import Habits


class Trader:
    """What is asked for at every act of a contributor, looked up once for a slice of time.

    who        the participant, with its `device` and the name of its `account`
    present    whether it takes part
    behaviour  what decides: `act`, what it `knows`, whether it `claims` and `times` its acts
    filled     makes what it is shown of the values of its fields
    waits      seconds that it waits until it acts again, one by one
    budgets    base units that it is ready to pay for a datum, one by one
    own        fields of its observation that stay the same, once it has acted
    """

    __slots__ = (
        "_habits",
        "_timing",
        "account",
        "act",
        "behaviour",
        "budgets",
        "claims",
        "device",
        "filled",
        "knows",
        "own",
        "present",
        "times",
        "waits",
        "who",
    )

    def __init__(self, who: Participant, habits: Habits, *, present: bool) -> None:
        self.who, self.device, self.account = who, who.device, who.account
        self.present = present
        self.behaviour: Contributor = who.behaviour("contributor")
        self.act, self.knows = self.behaviour.act, self.behaviour.knows
        self.claims, self.times = self.behaviour.claims, self.behaviour.times
        self.filled = ContributorObservation.form(self.knows).filled
        self.waits, self.budgets = habits.waits(who), habits.budgets(who)
        self.own: dict[str, Any] = {}
        self._habits = habits
        self._timing: np.random.Generator | None = None

    @property
    def timing(self) -> np.random.Generator:
        """The stream by which it decides when to act next."""
        if self._timing is None:
            self._timing = self._habits.rng("next", self.who)
        return self._timing
