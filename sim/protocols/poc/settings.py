"""The keys of the proof of concept: every one, its type, its bounds and what it means."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sim.keys import SettingError
from sim.settings import Probability, Settings
from sim.training.scenario import TrainingScenario
from sim.training.settings import ServerDeadlineSettings


class PocSettings(Settings):
    """How users ask to be paid, and whether the server hands on what they ask."""

    server: Literal["honest", "withholding"] = "honest"
    """The central server verifies claims, or aggregates and withholds them: then nobody is paid."""
    missing: Probability = 0.0
    """Probability that a user never submits the hash of its wallet address."""
    mistaken: Probability = 0.0
    """Probability that a user always submits the hash of a mistyped address."""


class PocScenario(TrainingScenario):
    """A run of the proof of concept."""

    contract_knows: ClassVar[frozenset[str]] = frozenset({"wallets"})

    deadlines: ServerDeadlineSettings = Field(default_factory=ServerDeadlineSettings)
    poc: PocSettings = Field(default_factory=PocSettings)

    def check(self) -> None:
        super().check()
        most = 1 - self.poc.missing
        if self.poc.mistaken > most + 1e-12:
            expected = f"at most {most:g}: poc.missing and it are of different users"
            raise SettingError("poc.mistaken", self.poc.mistaken, expected)
        if self.poc != PocSettings() and "wallets" not in self.payout_rule().observes:
            expected = "acts only with a rule that pays by claims, such as the part hashed-claims"
            raise SettingError("poc", self.poc.model_dump(), expected)
