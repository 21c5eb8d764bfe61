"""What a market writes down: its tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mechanisms.vocabulary import TOKEN, Act, Datum, Offer, Query
from sim.kernel import Kernel
from sim.online.base import OnlineModel
from sim.online.samples import Samples
from sim.population.participant import Participant
from sim.protocols.market.tables import CLAIMS, SUBMISSIONS

KIND = list(CLAIMS.columns).index("kind")
DEVICE = list(SUBMISSIONS.columns).index("device")
COST = list(SUBMISSIONS.columns).index("cost")


class Counted(NamedTuple):
    """What there was in a round.

    `claims` by kind, `queries` for predictions, data `offered` and `accepted` by device, and base
    units `deposited`.
    """

    claims: Counter[str]
    queries: int
    offered: Counter[int]
    accepted: Counter[int]
    deposited: int


class Books:
    """The tables of a market, and what is counted in a round.

    Args:
        kernel: whose recorder and money these are.
        samples: with the true labels.
        held: base units of each device at the start.
    """

    def __init__(self, kernel: Kernel, samples: Samples, held: Sequence[int]) -> None:
        self._kernel, self._samples, self._held = kernel, samples, held
        self._recorder = kernel.recorder
        self._clock = kernel.clock
        self._truth: list[int] = samples.y.tolist()
        self._submissions = kernel.recorder.log("submissions")
        self._accepted_claims = kernel.recorder.log("claims")
        self._claims: list[str] = []
        self.traced = kernel.recorder.records("trace")
        self.queries = 0
        self._shows = kernel.recorder.records("features")

    def opened(self, model: OnlineModel) -> None:
        """Record the weights before the market opens, where features are recorded."""
        if not self._shows or model.sent(0) is None:
            return
        weights = model.state()["weights"].tolist()[:-1]  # the last is the intercept
        rows = [{"feature": f, "weight": w} for f, w in enumerate(weights)]
        self._recorder.add("weights", rows)

    def shown(self, model: OnlineModel, row: int) -> None:
        """Record the features of a sample that is offered, where features are recorded."""
        sent = model.sent(row) if self._shows else None
        if sent is not None:
            record = {"sample": row, "features": sent[0], "values": sent[1]}
            self._recorder.add("features", [record])

    def begin_round(self) -> None:
        """Count from here; what was offered and claimed is counted by the recorder's logs."""
        self.queries = 0

    def counted(self) -> Counted:
        """Return what there was in the present round."""
        claims = Counter(row[KIND] for row in self._accepted_claims)
        offered = Counter(row[DEVICE] for row in self._submissions)
        accepted = Counter(row[DEVICE] for row in self._submissions if row[COST] is not None)
        deposited = sum(row[COST] or 0 for row in self._submissions)
        return Counted(claims, self.queries, offered, accepted, deposited)

    def percent(self, device: int) -> float:
        """Return what a device holds, in per cent of what it held at the start."""
        held = self._held[device]
        return 100.0 * self._kernel.treasury.balance(device) / held if held else math.nan

    def measured(self, now_s: float, moment: str, accuracy: float, learned: int) -> None:
        """Record a measurement of the model after so many accepted data."""
        row = {
            "round": self._clock.round,
            "time_s": now_s,
            "accuracy": accuracy,
            "learned": learned,
            "moment": moment,
        }
        self._recorder.add("accuracies", [row])

    def balances(self, now_s: float, moment: str) -> None:
        """Record what everybody holds."""
        rows = []
        for p in self._kernel.population:
            row = {
                "moment": moment,
                "time_s": now_s,
                "device": p.device,
                "group": p.group,
                "adversary": p.adversary,
                "balance": self._kernel.treasury.balance(p.device),
                "percent": self.percent(p.device),
            }
            rows.append(row)
        self._recorder.add("balances", rows)

    def offer(
        self,
        now_s: float,
        device: int,
        row: int,
        label: int,
        offer: int,
        index: int | None,
        cost: int | None,
    ) -> None:
        """Record a datum that was offered: its number and what it cost; None: it was refused."""
        right = label == self._truth[row]
        self._submissions.append(
            (self._clock.round, now_s, device, row, label, right, offer, index, cost)
        )

    def claim(
        self, now_s: float, device: int, kind: str, datum: Datum, agrees: bool, amount: int
    ) -> None:
        """Record a claim that was accepted."""
        author, index = datum.author, datum.index
        right = datum.label == self._truth[datum.row]
        self._accepted_claims.append(
            (self._clock.round, now_s, device, kind, index, author, right, agrees, amount)
        )
        if self.traced:
            self._claims.append(f"{kind}:{datum.index}:{amount / TOKEN!r}")

    def collected(self, now_s: float, device: int, owner: int, amount: int) -> None:
        """Record a balance that a device has collected."""
        self._accepted_claims.append(
            (self._clock.round, now_s, device, "collect", None, owner, None, None, amount)
        )
        if self.traced:
            self._claims.append(f"collect:{owner}:{amount / TOKEN!r}")

    def query(self, now_s: float, device: int, offer: int, paid: int) -> None:
        """Record a prediction that was asked for."""
        self.queries += 1
        row = {
            "round": self._clock.round,
            "time_s": now_s,
            "device": device,
            "offer": offer,
            "paid": paid,
        }
        self._recorder.add("queries", [row])

    def act(
        self, now_s: float, p: Participant, act: Act, row: int, cost: int | None, accuracy: float
    ) -> None:
        """Record an act with the claims that followed it, for the trace.

        `row` of the datum that was offered; `cost` in base units, None when it was refused.
        """
        adds = isinstance(act, Offer)
        other = "predict" if isinstance(act, Query) else "wait"
        record = {
            "time_s": now_s,
            "device": p.device,
            "action": "add" if adds else other,
            "sample": row if adds else None,
            "label": act.label if isinstance(act, Offer) else None,
            "offer": 0.0 if act is None else act.amount / TOKEN,
            "accepted": cost is not None if adds else None,
            "cost": (cost or 0) / TOKEN,
            "accuracy": accuracy,
            "claims": " ".join(self._claims),
        }
        self._claims.clear()
        self._recorder.add("trace", [record])
