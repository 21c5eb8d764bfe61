"""The keys of referenda: every one, its type, its bounds and what it means."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from mechanisms import registries as rules
from mechanisms.voting.venues import VENUES
from sim.conditions import when, when_any
from sim.keys import Chosen, SettingError
from sim.settings import (
    Amount,
    Count,
    Finite,
    NonNegative,
    Parameters,
    Settings,
)

PUBLISHED = ("custom-contract", "governor", "safe")
"""Venues whose cost is published in US dollars."""


class ProposalSettings(Settings):
    """One proposal: what is to change, when it is put to the vote, what it is worth."""

    round: Count
    """In which it is proposed."""
    changes: Annotated[dict[str, Finite], Field(min_length=1)]
    """New value by name of the parameter, as `{ "licence_fee.eu" = 500 }`; the protocol says which
    there are.
    """
    proposer: Annotated[int, Field(ge=-1, strict=True)] = -1
    """The device that proposes it and pays what that costs; -1: the last device."""
    worth: Finite = 0.0
    """What it is worth to a voter if it passes, base units: the mean, may be negative."""
    worth_sd: NonNegative = 0.0
    """Standard deviation of that among voters, base units; drawn by the run's seed."""
    gain: Finite = 0.0
    """What it is worth to its proposer beside that, base units."""


class ReferendaSettings(Settings):
    """Who decides about parameters, how, where, and how long it takes."""

    proposals: tuple[ProposalSettings, ...] = ()
    """What is proposed: `[[referenda.proposals]]`; none: there are no referenda."""
    rule: Annotated[str, Chosen(rules.voting), when_any("proposals", wanted="given")] = (
        "one-member-one-vote"
    )
    """What a ballot weighs, and when a proposal passes (`fedstake list "voting rules"`)."""
    params: Annotated[Parameters, when_any("proposals", wanted="given")] = {}  # noqa: RUF012
    """Parameters of that rule."""
    venue: Annotated[
        Literal["custom-contract", "governor", "safe", "substrate"],
        when_any("proposals", wanted="given"),
    ] = "governor"
    """Where they are held: decides what one costs and how long it takes."""
    cost: Annotated[Literal["least", "middle", "most"], when("venue", *PUBLISHED)] = "middle"
    """Which point of the published range of US dollars a proposal costs (all but substrate)."""
    units_per_usd: Annotated[Amount, when_any("proposals", wanted="given")] = 0
    """Base units that a US dollar is worth; 0: the costs are left out."""
    token_usd: Annotated[NonNegative, when("venue", "substrate")] = 5.0
    """US dollars that a native token is worth (substrate)."""
    delay_s: Annotated[
        float, Field(ge=-1, le=1e9, strict=True), when_any("proposals", wanted="given")
    ] = -1.0
    """Seconds from a proposal to its execution, during which ballots are cast; -1: of the venue."""

    def check(self, devices: int) -> None:
        """Raise `SettingError`, its key relative to the table, for a proposer that is not there."""
        for i, planned in enumerate(self.proposals):
            if planned.proposer >= devices:
                expected = f"-1 for the last device, or below {devices}"
                raise SettingError(f"proposals.{i}.proposer", planned.proposer, expected)

    @property
    def lasts_s(self) -> float:
        """Seconds from a proposal to its execution."""
        return VENUES[self.venue].delay_s if self.delay_s < 0 else self.delay_s

    def proposal_cost(self) -> int:
        """Return what a proposal and its execution cost the proposer, base units."""
        venue = VENUES[self.venue]
        least, most = venue.usd
        usd = {"least": least, "middle": (least + most) / 2, "most": most}[self.cost]
        return int((_exact(usd) + 2 * self._remark) * _exact(self.units_per_usd))

    def ballot_cost(self) -> int:
        """Return what a ballot costs a voter, base units."""
        return int(self._remark * _exact(self.units_per_usd))

    @property
    def _remark(self) -> Fraction:
        """US dollars of a remark on the venue's chain."""
        return _exact(VENUES[self.venue].remark) * _exact(self.token_usd)


def _exact(value: float) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth."""
    return Fraction(repr(value))
