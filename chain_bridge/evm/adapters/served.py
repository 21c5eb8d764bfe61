"""What runs have in common whose server settles a round when updates arrived in time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from chain_bridge.devices import accounts_of
from chain_bridge.evm.adapters.adoption import Adoption
from chain_bridge.evm.adapters.base import Adapter
from chain_bridge.evm.stage import Stage
from chain_bridge.plan import by_round, rows
from chain_bridge.recording import Recording


class Served(Adapter):
    """Base of adapters of federated averaging under a rule of its own.

    `mechanism`: the payout rule that it plays.
    """

    protocols: ClassVar[tuple[str, ...]] = ("fedavg", "poc")
    mechanism: ClassVar[str] = ""
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "participants": ("round", "device", "role", "accepted", "height"),
        "rounds": ("round", "start_s"),
    }

    def __init__(self, run: Recording) -> None:
        super().__init__(run)
        self.accepted: dict[int, list[int]] = {}
        self.workers: dict[int, list[int]] = {}
        for r, table in by_round(self.table("participants")).items():
            for device, role, accepted in rows(table, "device", "role", "accepted"):
                if role == "worker":
                    self.workers.setdefault(r, []).append(device)
                if accepted is not None and accepted:
                    self.accepted.setdefault(r, []).append(device)

    @classmethod
    def plays(cls, settings: Mapping[str, Any]) -> bool:
        payout = settings.get("payout")
        if not isinstance(payout, dict) or settings.get("protocol") not in cls.protocols:
            return False
        return payout.get("mechanism") == cls.mechanism and cls.plays_parts(payout)

    @classmethod
    def plays_parts(cls, payout: Mapping[str, Any]) -> bool:
        """Return whether the contract has the parts around the rule."""
        return not payout.get("parts")

    def play(self, stage: Stage) -> Iterator[int]:
        self.open(stage)
        self.join(stage)
        yield 0
        adoption = Adoption(self.table("participants"))
        finished = last = 0
        for r, start_s in rows(self.table("rounds"), "round", "start_s"):
            stage.round = last = int(r)
            stage.not_before(float(start_s))
            adoption.begin(last)
            self.begin(stage, last)
            self.fetch(stage, adoption.at_start(finished))
            if last in self.accepted:
                self.settle(stage, last, sorted(self.accepted[last]))
                finished += 1
            self.fetch(stage, adoption.at_end(finished))
            self.probe(stage, last)
            yield last
        stage.round = last + 1
        self.finish(stage)
        yield stage.round

    @abstractmethod
    def join(self, stage: Stage) -> None:
        """Let everybody pay in what the rule asks for, before the first round."""

    def begin(self, stage: Stage, r: int) -> None:
        """Begin a round."""

    @abstractmethod
    def settle(self, stage: Stage, r: int, accepted: list[int]) -> None:
        """Settle a round in which these updates arrived in time."""

    def fetch(self, stage: Stage, devices: list[int]) -> None:
        """Let devices that catch up have their rewards issued, where the rule issues any."""

    def probe(self, stage: Stage, r: int) -> None:
        """Try once a round what must be refused."""

    @abstractmethod
    def finish(self, stage: Stage) -> None:
        """End the task."""

    def members(self, stage: Stage, devices: list[int]) -> list[str]:
        """Return the addresses of devices."""
        return stage.addresses(accounts_of(devices))
