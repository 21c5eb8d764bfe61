"""Markets of labelled samples with the perceptron on the chain: deposit-refund-take, and points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from chain_bridge.devices import accounts_of
from chain_bridge.errors import PlanError
from chain_bridge.evm.adapters.base import RULE, STRANGER, UNAUTHORISED, Adapter
from chain_bridge.evm.stage import TICKS, Call, Sent, Stage
from chain_bridge.plan import rows
from chain_bridge.recording import Recording

ONE = 10**9
TOKEN_UNITS = 10**9  # base units in a token of the market rules
PART = 300  # weights that are loaded with one call
REFUSALS = {
    "TooSoon": "the last datum was added in the same second",
    "TooLittle": "offers less than the price",
}
"""What the run calls the contract's refusals of a datum."""


@dataclass
class Act:
    """An act of a contributor: the datum that it adds, if any, and the claims that follow.

    `sample`: its row; `claims`: (kind, datum).
    """

    round: int
    time_s: float
    device: int
    sample: int | None
    label: int
    offer: int
    accepted: bool
    claims: list[tuple[str, int]]


class MarketAdapter(Adapter):
    """Base of adapters of `protocol = "market"`.

    `mechanism`: the market rule; `counter`: what the contract calls the standing of an account.
    """

    counter: ClassVar[str] = ""
    refusals = frozenset(REFUSALS.values())

    protocol: ClassVar[str] = "market"
    mechanism: ClassVar[str] = ""
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "participants": ("round", "device", "standing"),
        "rounds": ("round", "start_s"),
        "trace": ("time_s", "device", "action", "claims"),
        "submissions": ("round", "time_s", "device", "sample", "label", "offer", "datum"),
        "claims": ("round", "device", "kind", "datum"),
        "features": ("sample", "features", "values"),
        "weights": ("feature", "weight"),
        "incidents": ("round", "kind"),
    }

    def __init__(self, run: Recording) -> None:
        if not self._features(run):
            raise PlanError(
                f"{run.path / 'scenario.toml'}: the contract {self.contract} is played from what "
                "record.trace = true and record.features = true record; run it again with both"
            )
        super().__init__(run)
        self._refuse_what_differs()
        self.samples = self._samples()

    def incident(self, sent: Sent) -> str:
        return REFUSALS.get(sent.outcome, "") if sent.call.incident else ""

    def standing(self, stage: Stage, r: int) -> Iterator[tuple[str, int, int]]:
        table = self.table("participants")
        chosen = table[table["round"] == r]
        recorded = list(rows(chosen, "device", "standing"))
        names = accounts_of([device for device, _ in recorded])
        asked = [(address,) for address in stage.addresses(names)]
        counted = stage.views(RULE, self.counter, asked)
        for name, (_, standing), found in zip(names, recorded, counted, strict=True):
            yield name, int(standing), found

    @staticmethod
    def _features(run: Recording) -> bool:
        record = run.settings.get("record")
        return isinstance(record, dict) and record.get("features") is True

    @classmethod
    def plays(cls, settings: Mapping[str, Any]) -> bool:
        market = settings.get("market")
        if settings.get("protocol") != cls.protocol or not isinstance(market, dict):
            return False
        return market.get("rule") == cls.mechanism

    def _refuse_what_differs(self) -> None:
        """Refuse keys that the contract does not know."""
        self._must("market.model", "perceptron")
        self._must("market.fees", "free")

    def _must(self, key: str, *wanted: Any) -> None:
        found: Any = self.run.settings
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found not in wanted:
            known = " or ".join(map(repr, wanted))
            raise PlanError(f"{self.file}: {key} = {found!r}: {self.contract} plays {known}")

    # --- what was recorded ------------------------------------------------------------------------

    def _samples(self) -> dict[int, tuple[list[int], list[int]]]:
        """Return by row the features of the samples that were offered, and their values."""
        found = {}
        table = self.table("features")
        self.dense = bool(table["values"].notna().any())
        for sample, features, values in rows(table, "sample", "features", "values"):
            own = [] if values is None else [int(v) for v in values]
            found[int(sample)] = ([int(f) for f in features], own)
        return found

    def acts(self) -> Iterator[Act]:
        """Yield the acts in their order.

        Table `trace` has the order, tables `submissions` and `claims` the exact values.
        """
        offered = rows(
            self.table("submissions"), "round", "device", "sample", "label", "offer", "datum"
        )
        claimed = rows(self.table("claims"), "round", "device", "kind", "datum")
        file = self.run.path / "trace.parquet"
        trace = rows(self.table("trace"), "time_s", "device", "action", "claims")
        for number, (time_s, device, action, text) in enumerate(trace):
            act = Act(0, time_s, device, None, 0, 0, False, [])
            try:
                if action == "add":
                    r, who, sample, label, offer, datum = next(offered)
                    act.round, act.sample, act.label, act.offer = r, sample, label, offer
                    act.accepted = datum is not None
                    self._same(who, device)
                for word in str(text or "").split():
                    r, who, kind, datum = next(claimed)
                    act.round = r
                    self._same(f"{who} {kind}", f"{device} {word.partition(':')[0]}")
                    act.claims.append((kind, int(datum)))
            except (StopIteration, ValueError, TypeError):
                raise PlanError(
                    f"{file}: row {number}: does not fit tables submissions and claims"
                ) from None
            yield act

    @staticmethod
    def _same(found: Any, wanted: Any) -> None:
        if found != wanted:
            raise ValueError

    # --- the run ----------------------------------------------------------------------------------

    def model(self) -> tuple[bool, int]:
        """Return what every market is created with: whether samples are dense, and the rate."""
        rate = self.setting("market.model_params.learning_rate", (int, float))
        return self.dense, round(rate * ONE)

    def play(self, stage: Stage) -> Iterator[int]:
        self.open(stage)
        weights = [int(w) for (w,) in rows(self.table("weights"), "weight")]
        parts = [weights[at : at + PART] for at in range(0, len(weights), PART)]
        calls = [self.organise("load", part) for part in parts]
        stage.send([*calls, self.organise("open")])
        yield 0
        acts = self.acts()
        act = next(acts, None)
        owners: list[int] = []
        for (number,) in rows(self.table("rounds"), "round"):
            stage.round = r = int(number)
            while act is not None and act.round <= r:
                # What happens at one moment is in one block, in its order.
                time, calls = stage.moment(act.time_s), []
                while act is not None and act.round <= r and stage.moment(act.time_s) == time:
                    calls += self._calls(act, owners)
                    act = next(acts, None)
                stage.until(time)
                stage.send(calls)
            self._probe(stage)
            yield r

    def _calls(self, act: Act, owners: list[int]) -> list[Call]:
        """Return the calls of an act; `owners`: the row of each datum that was accepted."""
        calls = []
        if act.sample is not None:
            arguments = (*self.samples[act.sample], act.label, act.offer)
            if act.accepted:
                calls.append(self.by(act.device, "add", *arguments))
                owners.append(act.sample)
            else:
                calls.append(self._refused(act, arguments))
        for kind, datum in act.claims:
            sample = () if kind == "sweep" else self.samples[owners[datum]]
            calls.append(self.by(act.device, kind, datum, *sample))
        return calls

    def _refused(self, act: Act, arguments: tuple[Any, ...]) -> Call:
        """Return the call of an offer that the rule refused, for whichever reason."""
        return self.by(act.device, "add", *arguments, allowed=tuple(REFUSALS), incident="refused")

    def _probe(self, stage: Stage) -> None:
        """Try once a round what must be refused."""
        some = min(self.samples, default=None)
        calls = [Call(STRANGER, RULE, "load", ([1],), allowed=(UNAUTHORISED,))]
        if some is not None:
            sample = self.samples[some]
            nowhere = 2**64
            refused = ("BadSample",)
            calls.append(Call(STRANGER, RULE, "refund", (nowhere, *sample), allowed=refused))
        stage.send(calls)


class DepositRefundTake(MarketAdapter):
    """Plays `deposit-refund-take` with published shares and without an owner."""

    contract = "DepositRefundTake"
    counter: ClassVar[str] = "good"
    mechanism: ClassVar[str] = "deposit-refund-take"
    title = (
        'protocol "market" with rule "deposit-refund-take" (share "verified", no owner), '
        'model "perceptron" and record.features'
    )

    def _refuse_what_differs(self) -> None:
        super()._refuse_what_differs()
        self._must("market.params.share", "verified")
        self._must("market.params.owner", -1)

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        rule = "market.params"
        chain = self.setting(f"{rule}.formula", str) == "chain"
        weight = self.ratio(f"{rule}.cost_weight")
        ends = self.setting(f"{rule}.waits_end", str)
        inclusive = chain if ends == "published" else ends == "at"
        own_clock = self.setting(f"{rule}.clock", str) == "contributor"
        waits = [
            self.ticks(self.setting(f"{rule}.{name}", (int, float)))
            for name in ("refund_wait_s", "sweep_wait_s")
        ]
        terms = (chain, weight, TOKEN_UNITS, TICKS, *waits, inclusive, own_clock)
        return (*self.model(), stage.genesis, terms)


class Points(MarketAdapter):
    """Plays `points`."""

    contract = "Points"
    counter: ClassVar[str] = "points"
    mechanism: ClassVar[str] = "points"
    title = 'protocol "market" with rule "points", model "perceptron" and record.features'

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        wait = self.ticks(self.setting("market.params.refund_wait_s", (int, float)))
        return (*self.model(), wait)
