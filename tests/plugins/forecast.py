"""A game that can be solved with a pencil: participants report a probability and are paid a score.

Every round each participant knows the probability of an event, one of 0.1, 0.3, 0.5, 0.7, 0.9. It
reports one, the event happens or not, and the scoring rule pays the report. Under a proper scoring
rule the truth is the best report; under the linear one it is 0 or 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

import fedstake as fs
from mechanisms.plugin import Plugin, param
from mechanisms.registry import Registry
from sim.keys import Chosen

UNIT = 1_000
"""Base units for a score of 1."""
KNOWN = (0.1, 0.3, 0.5, 0.7, 0.9)


class Reporter(Plugin):
    """What a participant reports that knows a probability."""

    @abstractmethod
    def report(self, known: float) -> float: ...


class Honest(Reporter):
    name, summary, reference = "honest", "reports what it knows", "tests"

    def report(self, known: float) -> float:
        return known


class Sure(Reporter):
    name, summary, reference = "sure", "reports 0 or 1, whichever is nearer", "tests"

    def report(self, known: float) -> float:
        return float(known >= 0.5)


class Shy(Reporter):
    name, summary, reference = "shy", "moves its report towards a half", "tests"

    @dataclass(frozen=True)
    class Params:
        by: float = param(0.5, help="share of the way to a half", ge=0, le=1)

    params: Params

    def report(self, known: float) -> float:
        return known + self.params.by * (0.5 - known)


class Contrary(Reporter):
    name, summary, reference = "contrary", "reports the opposite", "tests"

    def report(self, known: float) -> float:
        return 1 - known


reporters = Registry(
    "reporters",
    package=__name__,
    base=f"{__name__}:Reporter",
    about="what is reported",
    key="adversaries.N.reporter",
)


class ScoringRule(Plugin):
    """What a report is paid, by the event that happened: a score of at most 1."""

    @abstractmethod
    def score(self, report: float, happened: bool) -> float: ...


class Quadratic(ScoringRule):
    """1 - (report - event)^2: proper (Brier 1950)."""

    name, summary, reference = "quadratic", "pays the Brier score", "Brier 1950"

    def score(self, report: float, happened: bool) -> float:
        return 1 - (report - happened) ** 2


class Linear(ScoringRule):
    """1 - |report - event|: not proper, the best report is 0 or 1."""

    name, summary, reference = "linear", "pays the absolute error", "tests"

    def score(self, report: float, happened: bool) -> float:
        return 1 - abs(report - happened)


scoring = Registry(
    "scoring rules",
    package=__name__,
    base=f"{__name__}:ScoringRule",
    about="what a report is paid",
    key="scoring.rule",
)


class ScoringSettings(fs.Settings):
    rule: Annotated[str, Chosen(scoring)] = "quadratic"
    """Scoring rule."""
    params: dict[str, Any] = {}
    """Parameters of the rule."""


class Reporters(fs.Group):
    """Participants that report otherwise."""

    reporter: Annotated[str, Chosen(reporters, "reporter_params")] = "honest"
    """What they report."""
    reporter_params: dict[str, Any] = {}
    """Parameters of that."""


class ForecastScenario(fs.Scenario):
    scoring: ScoringSettings = Field(default_factory=ScoringSettings)
    adversaries: tuple[Reporters, ...] = ()


class Forecast(fs.Protocol):
    """Every participant is asked once a round."""

    name, summary, reference = "forecast", "reports are paid by a scoring rule", "Brier 1950"
    Scenario = ForecastScenario
    kinds: ClassVar[tuple[Registry, ...]] = (reporters, scoring)

    def __init__(self, kernel):
        super().__init__(kernel)
        kernel.treasury.open({p.device: 0 for p in kernel.population}, {})
        settings = kernel.scenario.scoring
        self.rule = scoring.create(settings.rule, settings.params)

    def play(self):
        kernel = self.kernel
        start_s = kernel.clock.time_s
        kernel.clock.time_s += 60.0
        here = [p for p in kernel.population if kernel.population.present(p.device)]
        for participant in here:
            device = participant.device
            rng = kernel.streams.rng("event", kernel.clock.round, device)
            known = float(rng.choice(KNOWN))
            happened = bool(rng.random() < known)
            report = participant.behaviour("reporter").report(known)
            amount = round(UNIT * self.rule.score(report, happened))
            kernel.treasury.post([fs.Payment(device, amount, "reward.score")])
        kernel.record_round(start_s)
        kernel.record_participants([p.device for p in here], fs.Stakes())

    @classmethod
    def example(cls):
        return {"protocol": cls.name, "rounds": 4, "devices": 5}
