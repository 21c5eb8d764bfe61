"""The keys of the protocol `annotation`: every one, its type, its bounds and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictBool

from agents import registries as behaviours
from sim.data import datasets
from sim.data.folder import content_digest, data_folder
from sim.keys import Chosen, SettingError, within
from sim.labelling.settings import LabellingSettings
from sim.money.ledger import MAX_AMOUNT
from sim.online import online_models
from sim.scenario import Scenario
from sim.settings import (
    EACH_ROUND,
    HONEST,
    Amount,
    Count,
    Finite,
    MoneySettings,
    Natural,
    Parameters,
    Probability,
    RationalGroup,
    Settings,
)


class AnnotationDataSettings(Settings):
    """Which items are labelled, and of which of them the creator knows the labels."""

    dataset: Annotated[str, Chosen(datasets)] = "digits"
    """Data set by name (`fedstake list datasets`) or `path/to/file.py:ClassName`."""
    params: Parameters = {}
    """Parameters of the data set."""
    initial: Count = 50
    """The creator knows the labels of so many of the first training samples: they fit the model
    before the first round, and gold questions are about them.
    """
    n: Natural = 0
    """Training samples at most, the initial ones among them, in the order of the data; 0: all."""


class LearningSettings(Settings):
    """The model that is trained with the labels that are bought."""

    model: Annotated[str, Chosen(online_models, "model_params")] = "nearest-centroid"
    """What is trained (`fedstake list "online models"`)."""
    model_params: Parameters = {}
    """Parameters of the model."""
    least_weight: Probability = 0.0
    """How sure the rule must be of a label for the model to learn it."""


class AnnotationMoneySettings(MoneySettings):
    """The asset, and what everybody has of it at the start."""

    budget: Amount = 1_000_000
    """Base units that the creator has for labels."""


class AnnotationClockSettings(Settings):
    """Time."""

    slice_s: Annotated[Finite, Field(ge=1, le=1e9), EACH_ROUND] = 3_600.0
    """Seconds of a round."""


class AnnotatorStrategy(Settings):
    """One of the ways in which a rational annotator may play."""

    annotator: Annotated[str, Chosen(behaviours.annotators, "annotator_params")] = HONEST
    """Behaviour (`fedstake list annotators`)."""
    annotator_params: Parameters = {}
    """Parameters of that behaviour."""


class AnnotatorGroup(RationalGroup):
    """Annotators with another behaviour than the rest."""

    annotator: Annotated[str, Chosen(behaviours.annotators, "annotator_params")] = HONEST
    """Behaviour (`fedstake list annotators`)."""
    annotator_params: Parameters = {}
    """Parameters of that behaviour."""
    strategies: tuple[AnnotatorStrategy, ...] = ()
    """Rational annotators: what each may play, instead of `annotator`:
    `[[adversaries.strategies]]`.
    """


class AnnotationRecordSettings(Settings):
    """Logs that cost space."""

    answers: StrictBool = False
    """Every answer (table `answers`), so that `fedstake compare RUN` can say what each labelling
    rule would have paid for them.
    """


class AnnotationScenario(Scenario):
    """A run in which labels are bought."""

    devices: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 20
    """How many annotators there are, honest and not."""
    data: AnnotationDataSettings = Field(default_factory=AnnotationDataSettings)
    labelling: LabellingSettings = Field(default_factory=LabellingSettings)
    learning: LearningSettings = Field(default_factory=LearningSettings)
    clock: AnnotationClockSettings = Field(default_factory=AnnotationClockSettings)
    payout: AnnotationMoneySettings = Field(default_factory=AnnotationMoneySettings)
    adversaries: tuple[AnnotatorGroup, ...] = ()
    record: AnnotationRecordSettings = Field(default_factory=AnnotationRecordSettings)

    def contents(self, data: Path | None = None) -> dict[str, str]:
        """Return the SHA-256 of samples that are not shipped."""
        chosen = self.data
        digest = content_digest(chosen.dataset, chosen.params, data_folder(data))
        return {"data.dataset": digest} if digest else {}

    def check(self) -> None:
        super().check()
        if self.data.n and self.data.n <= self.data.initial:
            expected = f"0 for all, or more than the {self.data.initial} of data.initial"
            raise SettingError("data.n", self.data.n, expected)
        with within("labelling"):
            self.labelling.check(known=self.data.initial)
        for device in self.labelling.allowed:
            if device >= self.devices:
                raise SettingError("labelling.allowed", device, self.numbered)
        self._check_budget()
        for i, group in enumerate(self.adversaries):
            if group.strategies and group.annotator != HONEST:
                expected = "give either annotator or strategies, not both"
                raise SettingError(f"adversaries.{i}.annotator", group.annotator, expected)

    def _check_budget(self) -> None:
        """Refuse a budget that funds no task, and more money than a supply can be."""
        budget, escrow = self.payout.budget, self.labelling.escrow
        if budget < escrow:
            expected = f"at least {escrow}: the escrow of a task of {self.labelling.questions} "
            expected += f"questions with {self.labelling.places} places"
            raise SettingError("payout.budget", budget, expected)
        held = self.payout.initial_balance * self.devices + budget
        if held > MAX_AMOUNT:
            expected = (
                f"{held:,} base units in all at the start: a supply is at most {MAX_AMOUNT:,}"
            )
            raise SettingError("payout.budget", budget, expected)
