"""The contract of an adapter: from the tables of a recorded run to calls of its participants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

import pandas as pd

from chain_bridge.devices import NO_DEVICE, account_of, accounts_of, device_of
from chain_bridge.errors import PlanError
from chain_bridge.evm.contracts import Event
from chain_bridge.evm.stage import DONE, TICKS, TOKEN, Call, Sent, Stage
from chain_bridge.plan import rows
from chain_bridge.recording import ISSUANCE, Recording

ORGANISATION = "organisation"
RULE = "rule"
"""What the contract of the rule is called on the stage."""
UNAUTHORISED = "AccessControlUnauthorizedAccount"
UNFUNDED = "ERC20InsufficientBalance"
EVERYTHING = 2**256 - 1
INITIAL = "initial"
MANY = 500
"""Accounts that are given what they hold with one call."""
STRANGER = "stranger"
"""An account that takes part in nothing."""


class Adapter(ABC):
    """Plays a recorded run on its contract.

    It sends what participants did: joined, committed, voted, came and went, transferred to each
    other. What they were paid it never reads of the journal, but for what everybody holds at the
    start and gives to others of its own will.
    """

    contract: ClassVar[str] = ""
    """Name of the contract of the rule; abstract adapters have none."""
    title: ClassVar[str]
    """What it plays, in words."""
    tables: ClassVar[Mapping[str, tuple[str, ...]]]
    """Tables that it needs, with the columns that it reads."""
    refusals: ClassVar[frozenset[str]] = frozenset()
    """Kinds of incidents that happen on the contract too: as often as the run noted them."""
    pot: ClassVar[str] = ""
    """Key of what a settled round divides by weights; "" for rules that divide nothing by round."""
    share: ClassVar[str] = ""
    """Reason under which shares of the pot are issued, at once or later."""

    def __init__(self, run: Recording) -> None:
        self.run = run
        self.file = run.path / "scenario.toml"
        for name, columns in self.tables.items():
            self._require(name, columns)
        self.devices = self._devices()

    @classmethod
    @abstractmethod
    def plays(cls, settings: Mapping[str, Any]) -> bool:
        """Return whether this adapter is the one for a scenario."""

    @abstractmethod
    def terms(self, stage: Stage) -> tuple[Any, ...]:
        """Return what the contract of the rule is created with, after token and organisation."""

    @abstractmethod
    def play(self, stage: Stage) -> Iterator[int]:
        """Make the calls of the run; yield each round when its last call was made."""

    def incident(self, sent: Sent) -> str:
        """Return under which kind the run notes that a call was refused; "" for none."""
        return sent.call.incident if sent.outcome else ""

    def standing(self, stage: Stage, r: int) -> Iterator[tuple[str, int, int]]:
        """Yield what the contract counts of accounts beside money: who, as recorded, as counted."""
        yield from ()

    def credited(self, stage: Stage) -> int:
        """Return the shares of pots that the contract owes now and has not issued yet."""
        return 0

    def judged(self, event: Event) -> str:
        """Return the kind of incident that an event of the contract is; "" for none."""
        return ""

    # --- what was recorded ------------------------------------------------------------------------

    def _require(self, name: str, columns: Sequence[str]) -> None:
        file = self.run.path / f"{name}.parquet"
        table = self.run.tables.get(name)
        if table is None:
            raise PlanError(f"{file}: missing; the contract {self.contract} is played from it")
        for column in columns:
            if column not in table.columns:
                raise PlanError(f"{file}: has no column {column}; {self.contract} needs it")

    def _devices(self) -> list[int]:
        table = self.run.tables["participants"]
        if table.empty:
            raise PlanError(f"{self.run.path / 'participants.parquet'}: has no rows")
        return sorted(int(d) for d in table["device"].unique())

    def setting(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """Return a value of the scenario by its dotted key; `PlanError` where it is none."""
        value: Any = self.run.settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise PlanError(f"{self.file}: {key} = {value!r}: this is not what a run writes")
        return value

    def amount(self, key: str) -> int:
        """Return base units of the scenario."""
        value: int = self.setting(key, int)
        if not 0 <= value < 2**63:
            raise PlanError(f"{self.file}: {key} = {value}: must be base units")
        return value

    def fraction(self, key: str) -> tuple[int, int]:
        """Return a part as the contract takes it: the decimal as it is written."""
        value = self.setting(key, (int, float))
        if not 0 <= value <= 1:
            raise PlanError(f"{self.file}: {key} = {value!r}: must be 0 to 1")
        return self.ratio(key)

    def ratio(self, key: str) -> tuple[int, int]:
        """Return a number of at least 0 as two whole numbers: the decimal as it is written."""
        value = self.setting(key, (int, float))
        if not 0 <= value <= 10**9:
            raise PlanError(f"{self.file}: {key} = {value!r}: must be 0 to 10^9")
        exact = Fraction(repr(value))
        return exact.numerator, exact.denominator

    def ticks(self, seconds: float) -> int:
        """Return seconds in units of block time."""
        return round(seconds * TICKS)

    def table(self, name: str) -> pd.DataFrame:
        return self.run.tables[name]

    def entries(self, r: int | None = None) -> Iterator[tuple[int, str, str, int, str]]:
        """Yield (round, debit, credit, amount, reason) of the journal, or of one round of it."""
        journal = self.run.journal
        chosen = journal if r is None else journal[journal["round"] == r]
        yield from rows(chosen, "round", "debit", "credit", "amount", "reason")

    # --- what every run begins with ---------------------------------------------------------------

    def open(self, stage: Stage) -> None:
        """Create token and contract, give everybody what it holds at the start, and approve."""
        owner = stage.address(ORGANISATION)
        stage.create(TOKEN, "RunToken", ORGANISATION, self._asset(), owner)
        terms = self.terms(stage)
        rule = stage.create(RULE, self.contract, ORGANISATION, self._token(stage), owner, *terms)
        issuer = stage.view(TOKEN, "ISSUER")
        grant = Call(ORGANISATION, TOKEN, "grantRole", (issuer, rule.address))
        held = list(self._initial().items())
        parts = [held[at : at + MANY] for at in range(0, len(held), MANY)]
        stage.send([grant, *(self._issue(stage, part) for part in parts)])
        stage.send([self._approval(stage, name) for name in self.depositors()])

    @staticmethod
    def _issue(stage: Stage, held: Sequence[tuple[str, int]]) -> Call:
        """Return the call that gives accounts what they hold at the start."""
        arguments = (stage.addresses([name for name, _ in held]), [amount for _, amount in held])
        return Call(ORGANISATION, TOKEN, "mintMany", arguments, reason=INITIAL)

    def _asset(self) -> str:
        asset: str = self.setting("payout.asset", str)
        return asset

    @staticmethod
    def _token(stage: Stage) -> str:
        return stage.placed[TOKEN].address

    def _initial(self) -> dict[str, int]:
        """Return what accounts hold before anybody acts."""
        return {
            credit: amount
            for _, debit, credit, amount, reason in self.entries(0)
            if debit == ISSUANCE and reason == INITIAL
        }

    def depositors(self) -> list[str]:
        """Return the accounts from which the contract may take deposits."""
        return accounts_of(self.devices)

    def _approval(self, stage: Stage, name: str) -> Call:
        arguments = (stage.placed[RULE].address, EVERYTHING)
        return Call(name, TOKEN, "approve", arguments, device=device_of(name))

    # --- calls ------------------------------------------------------------------------------------

    def by(self, device: int, function: str, *arguments: Any, **how: Any) -> Call:
        """Return a call that a device makes of the contract of the rule."""
        return Call(account_of(device), RULE, function, arguments, device=device, **how)

    def organise(self, function: str, *arguments: Any, **how: Any) -> Call:
        """Return a call that the organisation makes of the contract of the rule."""
        return Call(ORGANISATION, RULE, function, arguments, **how)

    def give(self, stage: Stage, r: int) -> None:
        """Make the transfers of a round among devices: bribes, sales of votes."""
        calls = []
        for _, debit, credit, amount, reason in self.entries(r):
            payer = device_of(debit)
            if NO_DEVICE in (payer, device_of(credit)):
                continue
            arguments = (stage.address(credit), amount)
            calls.append(Call(debit, TOKEN, "transfer", arguments, reason=reason, device=payer))
        stage.send(calls)


def bits(votes: Sequence[bool]) -> bytes:
    """Return a bit for each vote, the first one lowest, in whole bytes."""
    number = sum(1 << place for place, vote in enumerate(votes) if vote)
    return number.to_bytes((len(votes) + 7) // 8, "little")


MAY_LACK = (DONE, UNFUNDED)
"""Outcomes of a deposit: who does not hold it is refused."""
