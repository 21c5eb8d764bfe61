"""The proof of concept as a protocol: what it declares, and its round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from mechanisms.wallets import claim
from sim.notes import Declaration, Note
from sim.protocol import Outcome, Table
from sim.protocols.poc.settings import PocScenario
from sim.recording import INTEGER, TEXT, Column, Columns
from sim.scenario import Scenario
from sim.training import declared, tables
from sim.training.protocol import ServedProtocol

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.training.game import TrainingGame

ORGANISATION = "organisation"
CLAIM = Column(
    TEXT, "SHA-256, hexadecimal, that it submitted as that of its wallet address; null: none"
)
REGISTRY = Table(
    "wallet that registered",
    {
        "round": Column(INTEGER, "always 1"),
        "device": Column(INTEGER, "number of the user; null: the organisation"),
        "role": Column(TEXT, "`organisation` or `user`"),
        "wallet": Column(TEXT, "SHA-256 of its address, hexadecimal"),
        "stake": Column(INTEGER, "base units that it staked to join; 0: none"),
    },
)
TASK = Table(
    "task that the organisation published",
    {
        "round": Column(INTEGER, "always 1"),
        "client": Column(TEXT, "SHA-256 of what a client runs, hexadecimal: model and training"),
        "model": Column(TEXT, "digest of the first global model, hexadecimal"),
        "deposit": Column(INTEGER, "base units that the organisation paid into the pool"),
    },
)


class Poc(ServedProtocol):
    """An organisation's pool for users that stake, train, and claim by the hash of their wallet."""

    name = "poc"
    summary = "stake to join, train for a server, claim the reward by the hash of a wallet address"
    reference = "seed 004, the proof of concept of an on-chain federated learning platform"
    Scenario: ClassVar[type[Scenario]] = PocScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **ServedProtocol.tables,
        "participants": {**tables.PARTICIPANTS, "claim": CLAIM},
        "registry": REGISTRY,
        "task": TASK,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        **declared.OUTCOMES,
        "unclaimed": Outcome(
            "journal",
            "coalesce(sum(amount) filter (where reason = 'claim.missing'), 0)::bigint",
            "base units of rewards that went back because nobody claimed them",
            "min",
        ),
        "platform_income": Outcome(
            "journal",
            "coalesce(sum(amount) filter (where credit = 'platform'), 0)::bigint",
            "base units that the platform earned",
        ),
    }
    notes: ClassVar[tuple[Declaration, ...]] = (
        Note(
            "registry",
            "registry",
            {"role": "role", "wallet": "wallet", "stake": "stake"},
            order=("role", "wallet"),
        ),
        Note(
            "task", "task", {"client": "client", "model": "model", "deposit": "deposit"}, per="row"
        ),
        *ServedProtocol.notes,
        Note(
            "claim",
            "participants",
            {"claim": "claim"},
            per="row",
            present=("claim",),
            order=("device",),
            device="device",
        ),
    )

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.protocols.poc.round import claims_of

        game, scenario = super().build(kernel), kernel.scenario
        assert isinstance(scenario, PocScenario)
        self.claims = claims_of(scenario.poc, kernel.streams, scenario.devices)
        return game

    def play_round(self) -> None:
        from sim.protocols.poc.round import ClaimingRound

        game, scenario = self.game, self.game.scenario
        assert isinstance(scenario, PocScenario)
        if game.clock.round == 1:
            self._register()
        played = ClaimingRound(game, self.chain, scenario.deadlines.validator_s)
        played.play_with(self.claims, withheld=scenario.poc.server == "withholding")

    def _register(self) -> None:
        """Record who registered, and the task: what the opening has paid and staked."""
        game, recorder = self.game, self.kernel.recorder
        opening = game.treasury.entries()
        staked = {entry.debit: entry.amount for entry in opening if entry.reason == "stake.join"}
        funded = sum(entry.amount for entry in opening if entry.reason == "pool.funded")
        users = [
            _registered("user", p.account, p.device, staked.get(p.account, 0))
            for p in game.population
        ]
        recorder.add("registry", [_registered(ORGANISATION, ORGANISATION, None, 0), *users])
        task = {
            "round": 1,
            "client": _client(game.scenario),
            "model": game.bench.models.digest(game.forks.canonical().model).hex(),
            "deposit": funded,
        }
        recorder.add("task", [task])

    @classmethod
    def example(cls) -> dict[str, Any]:
        pool = {"pool": 10_000, "stake": 50, "deadline": 3}
        payout = {
            "mechanism": "equal-share",
            "params": pool,
            "initial_balance": 100,
            "parts": [{"part": "hashed-claims"}, {"part": "platform-fees"}],
        }
        return super().example() | {"payout": payout, "poc": {"missing": 0.3, "mistaken": 0.2}}


def _registered(role: str, wallet: str, device: int | None, stake: int) -> dict[str, Any]:
    """Return a row of table `registry`."""
    return {"round": 1, "device": device, "role": role, "wallet": claim(wallet), "stake": stake}


def _client(scenario: Scenario) -> str:
    """Return the digest of what a client runs: the keys of model and training."""
    values = scenario.to_dict()
    text = json.dumps([values["model"], values["training"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
