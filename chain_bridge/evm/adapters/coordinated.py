"""The guide's coordinator: stake, commit, reveal, votes, a bonded aggregator, disputes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from chain_bridge.devices import NO_DEVICE, account_of, accounts_of
from chain_bridge.errors import PlanError
from chain_bridge.evm.adapters.adoption import Adoption
from chain_bridge.evm.adapters.base import (
    DONE,
    MAY_LACK,
    ORGANISATION,
    RULE,
    STRANGER,
    UNAUTHORISED,
    Adapter,
    bits,
)
from chain_bridge.evm.contracts import Event
from chain_bridge.evm.stage import NOBODY, STALE, Call, Stage
from chain_bridge.plan import by_round, rows
from chain_bridge.recording import Recording

NO_DEADLINE = 2**64 - 1
DELIVERY_S = 3_600.0
"""Seconds that an aggregator has to deliver on the contract; the simulation knows at once."""
DESTINATIONS = ("burn", "treasury", "reporters")
NOT_MEMBER = "NotMember"


@dataclass
class Recorded:
    """What happened in a round, from the run's tables.

    `workers`: who registers; `accepted` by device, as judged; `refused` by kind of incident.
    """

    number: int
    start_s: float
    played: bool
    aggregator: int | None
    committee: list[int] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    commitments: dict[int, bytes] = field(default_factory=dict)
    openings: dict[int, bytes] = field(default_factory=dict)
    accepted: dict[int, bool] = field(default_factory=dict)
    ballots: dict[int, dict[int, bool]] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)
    challenger: int | None = None


class Coordinated(Adapter):
    """Plays `protocol = "coordinator"` with payout rule `coordinator` and no parts."""

    contract = "Coordinator"
    name: ClassVar[str] = "coordinator"
    title = 'protocol "coordinator" with payout "coordinator" and no parts'
    pot: ClassVar[str] = "payout.params.pot"
    share: ClassVar[str] = "reward.worker"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "participants": (
            "round",
            "device",
            "role",
            "accepted",
            "height",
            "commitment",
            "opening",
            "conduct",
        ),
        "rounds": ("round", "start_s", "block_time_s", "winner"),
        "votes": ("round", "validator", "worker", "vote", "status"),
        "incidents": ("round", "device", "witness", "kind"),
    }

    refusals = frozenset(
        {
            "duplicate",
            "false-challenge",
            "forged",
            "late",
            "mismatched",
            "replayed",
            "wrong-aggregate",
        }
    )

    @classmethod
    def plays(cls, settings: Mapping[str, Any]) -> bool:
        payout = settings.get("payout")
        if not isinstance(payout, dict) or payout.get("parts"):
            return False
        return (settings.get("protocol"), payout.get("mechanism")) == (cls.name, cls.name)

    def __init__(self, run: Recording) -> None:
        super().__init__(run)
        self.submission_s: float = self.setting("coordinator.submission_s", (int, float))
        self.finished = 0

    def credited(self, stage: Stage) -> int:
        # Of each the shares of pots, and the fees of aggregators, which nobody divides.
        return sum(shares for shares, _ in stage.credits(RULE, accounts_of(self.devices)))

    def judged(self, event: Event) -> str:
        if event.name != "DisputeSettled":
            return ""
        return "wrong-aggregate" if event.values["won"] else "false-challenge"

    # --- what was recorded ------------------------------------------------------------------------

    def recorded(self) -> Iterator[Recorded]:
        """Yield the rounds of the run."""
        seats = by_round(self.table("participants"))
        votes, incidents = by_round(self.table("votes")), by_round(self.table("incidents"))
        columns = ("round", "start_s", "block_time_s", "winner")
        for r, start_s, final_s, winner in rows(self.table("rounds"), *columns):
            aggregator = None if winner is None else int(winner)
            found = Recorded(int(r), float(start_s), final_s is not None, aggregator)
            if r in seats:
                self._take_seats(found, seats[r])
            if r in votes:
                self._take_votes(found, votes[r])
            if r in incidents:
                self._take_incidents(found, incidents[r])
            yield found

    def _take_seats(self, found: Recorded, table: pd.DataFrame) -> None:
        columns = ("device", "role", "accepted", "commitment", "opening")
        for device, role, accepted, commitment, opening in rows(table, *columns):
            if role == "worker":
                found.workers.append(device)
            elif role == "validator":
                found.committee.append(device)
            if accepted is not None:
                found.accepted[device] = bool(accepted)
            if commitment is not None:
                found.commitments[device] = self._bytes(commitment, 32, "commitment")
            if opening is not None:
                found.openings[device] = self._bytes(opening, 64, "opening")

    def _bytes(self, text: Any, size: int, column: str) -> bytes:
        file = self.run.path / "participants.parquet"
        try:
            raw = bytes.fromhex(text)
        except (TypeError, ValueError):
            raw = b""
        if len(raw) != size:
            raise PlanError(f"{file}: column {column}: must be {size} bytes, hexadecimal")
        return raw

    def _take_votes(self, found: Recorded, table: pd.DataFrame) -> None:
        columns = ("validator", "worker", "vote", "status")
        for validator, worker, vote, status in rows(table, *columns):
            if status == "counted":
                found.ballots.setdefault(validator, {})[worker] = bool(vote)

    def _take_incidents(self, found: Recorded, table: pd.DataFrame) -> None:
        for device, witness, kind in rows(table, "device", "witness", "kind"):
            if device is not None:
                found.refused.setdefault(kind, []).append(int(device))
            if kind == "wrong-aggregate" and witness is not None:
                found.challenger = int(witness)

    # --- terms ------------------------------------------------------------------------------------

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        rule = "payout.params"
        amounts = [
            self.amount(f"{rule}.{name}")
            for name in ("stake", "minimum", "bond", "pot", "fee", "challenge_deposit")
        ]
        parts = [
            self.fraction(f"{rule}.{name}")
            for name in ("slash", "forfeit", "absence", "challenger_share")
        ]
        by_samples = self.setting(f"{rule}.by", str) == "samples"
        destination = DESTINATIONS.index(self.setting(f"{rule}.destination", str))
        treasury = stage.address("treasury")
        unlimited = math.isinf(self.submission_s)
        submission = NO_DEADLINE if unlimited else self.ticks(self.submission_s)
        times = [submission, self._seconds("reveal_s"), self.ticks(DELIVERY_S)]
        times.append(self._seconds("challenge_s"))
        return ((*amounts, *parts, by_samples, destination, treasury, *times),)

    def _seconds(self, key: str) -> int:
        """Return a duration of the scenario in block time; one that is not in force is an hour."""
        found = self.run.settings.get("coordinator", {}).get(key, 3_600.0)
        if not isinstance(found, int | float) or not 0 <= found < 10**9:
            raise PlanError(f"{self.file}: coordinator.{key} = {found!r}: must be seconds")
        return self.ticks(found)

    # --- the run ----------------------------------------------------------------------------------

    def play(self, stage: Stage) -> Iterator[int]:
        self.open(stage)
        stage.send([self.by(d, "join", d, allowed=MAY_LACK) for d in self.devices])
        allowed = (*MAY_LACK, NOT_MEMBER)
        stage.send([self.by(d, "postBond", allowed=allowed) for d in self.devices])
        yield 0
        adoption = Adoption(self.table("participants"))
        last = 0
        for found in self.recorded():
            stage.round = last = found.number
            stage.not_before(found.start_s)
            self.give(stage, found.number)
            adoption.begin(found.number)
            self._withdraw(stage, adoption.at_start(self.finished))
            if found.played:
                self._round(stage, found)
                self.finished += 1
            self._withdraw(stage, adoption.at_end(self.finished))
            self._probe(stage, found)
            yield found.number
        stage.round = last + 1
        self._close(stage)
        yield stage.round

    def _round(self, stage: Stage, found: Recorded) -> None:
        """Play one round on the contract, phase by phase."""
        self._register(stage, found)
        self._commit(stage, found)
        self._reveal(stage, found)
        self._judge(stage, found)
        self._aggregate(stage, found)
        stage.one(self.organise("finalise"))

    def _chief(self, found: Recorded) -> str:
        """Return the account that aggregates."""
        return ORGANISATION if found.aggregator is None else account_of(found.aggregator)

    def _by_chief(self, found: Recorded, function: str, *arguments: Any) -> Call:
        device = NO_DEVICE if found.aggregator is None else found.aggregator
        return Call(self._chief(found), RULE, function, arguments, device=device)

    def _register(self, stage: Stage, found: Recorded) -> None:
        chief = NOBODY if found.aggregator is None else stage.address(account_of(found.aggregator))
        seats = stage.addresses(accounts_of(found.committee))
        stage.one(self.organise("openRound", chief, seats))
        stage.send([self.by(w, "register") for w in found.workers])
        stage.one(self._by_chief(found, "start"))

    def _commit(self, stage: Stage, found: Recorded) -> None:
        """Let workers commit, forgers and repeaters try, late ones come too late."""
        deadline = stage.block.time + self.ticks(
            0.0 if math.isinf(self.submission_s) else self.submission_s
        )
        calls = [self.by(w, "commit", c) for w, c in sorted(found.commitments.items())]
        for w in found.refused.get("duplicate", []):
            sealed = found.commitments.get(w, made_up("duplicate", found.number, w))
            call = self.by(w, "commit", sealed, allowed=("Duplicate",), incident="duplicate")
            calls.append(call)
        for w in found.refused.get("forged", []):
            # A forged signature is the signature of somebody else.
            sealed = made_up("forged", found.number, w)
            call = self.by(w, "commit", sealed, allowed=("Unregistered",), incident="forged")
            calls.append(call._replace(who=f"forger of {account_of(w)}"))
        for w in found.refused.get("replayed", []):
            sealed = made_up("replayed", found.number, w)
            call = self.by(w, "commit", sealed, allowed=(STALE,), incident="replayed")
            calls.append(call._replace(again=True))
        stage.send(calls)
        if len(found.commitments) < len(found.workers) and not math.isinf(self.submission_s):
            stage.until(deadline + 1)
        late = found.refused.get("late", [])
        calls = [
            self.by(
                w, "commit", made_up("late", found.number, w), allowed=("Late",), incident="late"
            )
            for w in late
        ]
        stage.send([*calls, self.organise("closeSubmissions")])

    def _reveal(self, stage: Stage, found: Recorded) -> None:
        """Let workers reveal, some of them something else; wait for those that do not."""
        closed = stage.block.time
        calls = []
        for w in sorted(found.commitments):
            if w in found.openings:
                calls.append(self.by(w, "reveal", found.openings[w]))
            elif w in found.refused.get("mismatched", []):
                other = other_opening(found.number, w)
                call = self.by(w, "reveal", other, allowed=("Mismatched",), incident="mismatched")
                calls.append(call)
        stage.send([*calls, *self._shown_again(found)])
        if len(found.openings) < len(found.commitments):
            stage.until(closed + self._seconds("reveal_s") + 1)

    def _shown_again(self, found: Recorded) -> list[Call]:
        """Return what must be refused while reveals are open: one that was made is made again."""
        if not found.openings:
            return []
        w, opening = min(found.openings.items())
        calls = [self.by(w, "reveal", opening, allowed=("Duplicate",))]
        calls.append(Call(STRANGER, RULE, "reveal", (opening,), allowed=("Uncommitted",)))
        calls += [
            self.by(v, "reveal", opening, allowed=("Uncommitted",)) for v in found.committee[:1]
        ]
        return calls

    def _judge(self, stage: Stage, found: Recorded) -> None:
        """Set malformed updates aside and vote on the others."""
        shown = sorted(found.openings)
        malformed = [w for w in found.refused.get("malformed", []) if w in found.openings]
        if malformed:
            places = [shown.index(w) for w in malformed]
            stage.one(self.organise("markMalformed", places))
        judged = [w for w in shown if w not in malformed]
        if not judged:
            return
        if found.committee:
            ballots = {v: found.ballots.get(v, {}) for v in found.committee}
            calls = [
                self.by(v, "vote", bits([own.get(w, False) for w in shown]))
                for v, own in ballots.items()
            ]
        else:
            accepted = bits([found.accepted.get(w, False) for w in shown])
            calls = [self.organise("vote", accepted)]
        stage.send(calls)

    def _aggregate(self, stage: Stage, found: Recorded) -> None:
        """Let the aggregator deliver or not, members dispute, the organisation rule on it."""
        faults = {"absent-aggregator", "malformed"}
        blamed = [k for k in faults if found.aggregator in found.refused.get(k, [])]
        if blamed and found.aggregator is not None:
            stage.until(stage.now + self.ticks(DELIVERY_S) + 1)
            stage.one(self.organise("declareAbsent"))
            return
        right = made_up("aggregate", found.number)
        wrong = found.aggregator in found.refused.get("wrong-aggregate", [])
        delivered = made_up("other aggregate", found.number) if wrong else right
        stage.one(self._by_chief(found, "deliver", delivered))
        if found.aggregator is None:
            return
        over = stage.block.time + self._seconds("challenge_s") + 1
        disputes = []
        if wrong and found.challenger is not None:
            disputes.append(self.by(found.challenger, "dispute", right))
        disputes += [
            self.by(d, "dispute", made_up("claimed aggregate", found.number, d))
            for d in sorted(found.refused.get("false-challenge", []))
        ]
        stage.send(disputes)
        stage.until(over)
        if disputes:
            stage.one(self.organise("rule", right))

    def _withdraw(self, stage: Stage, devices: list[int]) -> None:
        """Let devices that catch up have their rewards issued."""
        owed = zip(devices, stage.credits(RULE, accounts_of(devices)), strict=True)
        stage.send([self.by(d, "withdraw") for d, credit in owed if any(credit)])

    def _close(self, stage: Stage) -> None:
        """End the task; every member takes its deposits back, and cannot a second time."""
        stage.one(self.organise("close"))
        allowed = (DONE, NOT_MEMBER)
        stage.send([self.by(d, "withdrawDeposits", allowed=allowed) for d in self.devices])
        again = ("NothingToWithdraw", NOT_MEMBER)
        stage.send([self.by(d, "withdrawDeposits", allowed=again) for d in self.devices[:1]])

    # --- attacks of outsiders ---------------------------------------------------------------------

    def _probe(self, stage: Stage, found: Recorded) -> None:
        """Try once a round what must be refused, whoever asks."""
        calls = [
            Call(STRANGER, RULE, "withdraw", allowed=(NOT_MEMBER,)),
            Call(STRANGER, RULE, "dispute", (made_up("stranger"),), allowed=("WrongPhase",)),
            Call(STRANGER, RULE, "openRound", (NOBODY, []), allowed=(UNAUTHORISED,)),
        ]
        if found.workers:
            # Its rewards were withdrawn already, or it has none.
            w = found.workers[found.number % len(found.workers)]
            if not any(stage.view(RULE, "credits", stage.address(account_of(w)))):
                calls.append(self.by(w, "withdraw", allowed=("NothingToWithdraw",)))
        if found.openings:
            w, opening = min(found.openings.items())
            calls.append(self.by(w, "reveal", opening, allowed=("WrongPhase",)))
        stage.send(calls)


def made_up(what: str, *numbers: int) -> bytes:
    """Return 32 bytes in the place of those that the run did not record."""
    return hashlib.sha256(repr((what, *numbers)).encode()).digest()


def other_opening(r: int, device: int) -> bytes:
    """Return an opening of the right size that fits no commitment."""
    return made_up("opening", r, device) + bytes(16) + made_up("salt", r, device)[:16]
