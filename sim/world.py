"""The world: devices, data, models, money and chains; one `step` is one protocol round."""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mesa
import numpy as np
from numpy.typing import NDArray

from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import CoalitionUtility, FloatMatrix, Memory, OpeningObservation, Payment
from sim.chain.registry import Kept, Version
from sim.chain.signing import Keyring
from sim.chain.state import ChainBook, ChainState, branches, chain_rank, genesis
from sim.data.folder import data_folder, load_dataset
from sim.data.split import split_data
from sim.groups import coalitions, draw_groups, honest, poison, probe, share_identities
from sim.identities import Identities
from sim.learners import Learners
from sim.learning import models
from sim.learning.engine import Evaluation, LearningEngine, row_digest
from sim.learning.job import TrainingJob
from sim.ledger import BURN, ISSUANCE, Ledger, Transfer, device_account
from sim.network import Availability, Network
from sim.participant import Participant
from sim.payments import check_memory, check_payments
from sim.rounds import play_round, record_versions
from sim.rounds.release import first_version
from sim.scenario import Scenario, SettingError
from sim.storage import UpdateStore
from sim.streams import Streams
from sim.tables import Recorder
from sim.tape import mark_tape


class ModelStore:
    """Global models by key: `float32[P]` rows with their digests, kept while some device's chain names them."""

    def __init__(self) -> None:
        self._rows: dict[int, FloatMatrix] = {}
        self._digests: dict[int, bytes] = {}
        self._next = 0

    def add(self, row: FloatMatrix) -> int:
        """Store a row and return its key."""
        key, self._next = self._next, self._next + 1
        row.setflags(write=False)
        self._rows[key], self._digests[key] = row, row_digest(row)
        return key

    def __getitem__(self, key: int) -> FloatMatrix:
        return self._rows[key]

    def digest(self, key: int) -> bytes:
        """SHA-256 of the row's bytes."""
        return self._digests[key]

    def keep(self, keys: set[int]) -> None:
        """Forget all others."""
        for key in self._rows.keys() - keys:
            del self._rows[key], self._digests[key]


class World(mesa.Model):
    """A `mesa.Model` on a SimPy clock. `scenario` decides everything; wall time, threads and process count decide nothing."""

    def __init__(self, scenario: Scenario, data: str | Path | None = None) -> None:
        super().__init__(rng=scenario.seed % 2**32)
        self.scenario = scenario
        self.streams = Streams(scenario.seed)
        self.round_index = 0
        self.time_s = 0.0
        n = scenario.devices
        dataset = load_dataset(scenario.data.dataset, scenario.data.params, data_folder(data))
        self.dataset = dataset
        self.split = split_data(dataset, scenario.data, n, self.streams)
        self.groups = groups = draw_groups(scenario, self.streams)
        self.identities = Identities(groups, self.streams)
        self.learners = Learners(groups, self.streams)
        self._balances = share_identities(scenario, groups, self.split)
        x, y, self._poisoned = poison(dataset, groups, self.split, self.streams)
        self._probe = probe(dataset, groups, self.streams)
        self.engine = self._build_engine(x, y)
        self.network = Network(scenario.network, n, self.streams)
        self.availability = Availability(scenario.availability, self.streams)
        self.store = UpdateStore(scenario.storage, self.network, self.streams)
        self.keys = Keyring(self.streams, n)
        self.payout = scenario.payout_rule()
        self.role_rule = rules.roles.create(scenario.roles.rule, scenario.roles.params)
        self.validation = rules.validators.create(
            scenario.validation.rule, scenario.validation.params
        )
        self.aggregation = rules.aggregators.create(
            scenario.aggregation.rule, scenario.aggregation.params
        )
        self.verifier = rules.verifiers.create(
            scenario.coordinator.verifier, scenario.coordinator.params
        )
        self.transforms = [
            rules.transforms.create(step.rule, step.params) for step in scenario.aggregation.before
        ]
        self.models = ModelStore()
        self._roots: dict[bytes, FloatMatrix] = {}
        self._open_ledger()
        try:
            opening = self.payout.open(
                OpeningObservation(
                    devices=tuple(range(n)), balances=tuple(self.stake(d) for d in range(n))
                )
            )
        except PluginError as error:
            raise SettingError(f"payout: {error.key}", error.value, str(error)) from error
        check_payments(self.payout, opening.payments, n, opening=True)
        check_memory(self.payout, opening.memory or {})
        self._held_out = self._samples(self.split.held_out)
        self._utility_samples = self._samples(self._drawn_for_utility())
        start = self.models.add(self.engine.initial())
        self.book = ChainBook(genesis(start, opening.memory or {}, first_version(self, start)))
        self._move(opening.payments)
        self.endowment = [self.stake(d) for d in range(n)]
        self._check_members(opening.memory or {})
        self.settled = self.book.root
        self.stakes: tuple[int, ...] = ()
        self.locked_before: Mapping[int, int] = {}
        self.penalised: Counter[int] = Counter()
        self.sent = [0] * n  # updates that left each device: what its privacy has been spent on
        sober = honest()
        self.participants = [
            Participant(self, d, m, sober, self.book.root) for d, m in enumerate(groups)
        ]
        self.coalitions = coalitions(groups)
        # Where a coordinator aggregates, what it holds is the state of the world, whoever is there to download it.
        self.server = self.book.root if scenario.protocol != "vbfl" else None
        left_out = {
            "epochs": not scenario.record.epoch_accuracy,
            "versions": not scenario.registry.on,
            "tape": not scenario.record.tape,
            "opening": not scenario.record.tape,
        }
        self.recorder = Recorder([table for table, absent in left_out.items() if absent])

    def _open_ledger(self) -> None:
        """Accounts of devices and of the payout rule, with what they hold at the start."""
        self.asset = self.scenario.payout.asset
        self.ledger = Ledger()
        held = {device_account(d): amount for d, amount in self._balances.items()}
        held |= self.payout.accounts()
        self.ledger.open(held)
        initial = [
            Transfer(ISSUANCE, account, amount, "initial", self.asset)
            for account, amount in held.items()
        ]
        self.ledger.post(initial, time_s=0.0, round=0)
        self.first_entry, self.closed = len(self.ledger.journal), False

    def _samples(self, at: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.dataset.x_train[at], self.dataset.y_train[at]

    def _drawn_for_utility(self) -> NDArray[np.int64]:
        """Indices of the held-out samples on which utility is measured."""
        held, most = self.split.held_out, self.scenario.payout.utility_samples
        if not 0 < most < len(held):
            return held
        return np.sort(self.streams.rng("utility").permutation(held)[:most])

    def _check_members(self, memory: Memory) -> None:
        """Refuse a scenario whose first round nobody could play."""
        scenario = self.scenario
        balance = scenario.payout.initial_balance
        needed = sum(self.role_rule.minimum()) if scenario.protocol == "vbfl" else 1
        playing = len(self.admitted(memory))
        if playing < needed:
            told = f"lets {playing} devices join {scenario.payout.mechanism!r}, the roles need {needed}"
            raise SettingError("payout.initial_balance", balance, told)
        bonded = self.payout.aggregators(memory)
        if (
            scenario.protocol == "coordinator"
            and scenario.coordinator.aggregator != "organisation"
            and bonded == frozenset()
        ):
            told = "lets nobody post the bond of an aggregator; raise it, lower the bond, or let the organisation aggregate"
            raise SettingError("payout.initial_balance", balance, told)

    def _build_engine(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> LearningEngine:
        s, data = self.scenario, self.dataset
        source = models.create(s.model.name, s.model.params)
        try:
            return LearningEngine(
                lambda: source.build(data.shape, data.classes),
                x,
                y,
                learning_rate=s.training.learning_rate,
                batch_size=s.training.batch_size,
                seed=self.streams.seed63("model"),
                classes=data.classes,
            )
        except Exception as error:  # whatever a module of the user's may raise
            told = (
                str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            )
            raise SettingError("model.name", s.model.name, told) from error

    def samples(self, device: int) -> NDArray[np.int64]:
        """Indices of the samples that a device trains on in the present round."""
        poisoned = self._poisoned.get(device) if self.participants[device].active else None
        return self.split.train[device] if poisoned is None else poisoned

    # --- one round ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Play one protocol round, record it, and leave nothing in flight."""
        self.round_index += 1
        self.stakes = tuple(self.stake(d) for d in range(self.scenario.devices))
        self.penalised.clear()
        if self.round_index > 1:  # what devices paid to join is part of their first round
            self.first_entry = len(self.ledger.journal)
            self.locked_before = self.locked()
        self.learners.choose(self.round_index)
        with _no_cyclic_gc():
            play_round(self)
        self.learners.observe(self)
        self.identities.replace_fallen(self)
        self.models.keep(self._models_in_use())
        self._roots.clear()
        self.engine.forget()
        self.keys.forget()
        self.book.forget()

    def run(self) -> Iterator[int]:
        """Play the remaining rounds, yielding the index of each one finished."""
        while self.round_index < self.scenario.rounds:
            self.step()
            if self.round_index == self.scenario.rounds:
                record_versions(self)
                if self.scenario.record.tape:
                    self._finish_tape()
            yield self.round_index

    def close(self) -> None:
        """Let go of what Mesa keeps: without this every model ever built stays alive in `Agent._ids` (Mesa 3.x)."""
        self.remove_all_agents()
        ids = getattr(mesa.Agent, "_ids", None)
        if ids is not None:
            ids.pop(self, None)

    # --- services for the rounds --------------------------------------------------------------------------------

    def root_update(self, model: int) -> FloatMatrix:
        """The model with key `model` trained for the workers' epochs on the held-out samples: what a clean update looks like."""
        key = self.models.digest(model)
        if key not in self._roots:
            rng = self.streams.rng("root", self.round_index)
            order = np.stack(
                [rng.permutation(self.split.held_out) for _ in range(self.scenario.training.epochs)]
            )
            seed = self.streams.seed63("root.seed", self.round_index)
            self._roots[key] = self.engine.train([TrainingJob(self.models[model], order, seed)])[0]
        return self._roots[key]

    def note(self, time_s: float, device: int | None, witness: int | None, kind: str) -> None:
        """Record an incident: `witness` (None: the contract or server) refused what `device` did."""
        row = {
            "round": self.round_index,
            "time_s": time_s,
            "device": device,
            "witness": witness,
            "kind": kind,
        }
        self.recorder.add("incidents", [row])

    def admitted(self, memory: Memory) -> list[int]:
        """Devices in play that the payout rule, with this memory, lets take part."""
        members = self.payout.members(memory)
        return [
            d
            for d in range(self.scenario.devices)
            if self.identities.in_play(d) and (members is None or d in members)
        ]

    def stake(self, device: int) -> int:
        """Base units of the staking asset that a device holds."""
        return self.ledger.balance(device_account(device), self.asset)

    def locked(self) -> Mapping[int, int]:
        """Base units that the payout rule holds for each device: what may come back; nothing once it has closed."""
        if self.closed:
            return {}
        return self.payout.locked(self.settled.memory)

    def online(self, device: int, time_s: float) -> bool:
        """Whether a device is there in the current round at a simulated time."""
        return self.identities.present(device, self.round_index) and self.availability.online(
            device, self.round_index, time_s
        )

    def finish_round(self, end_s: float) -> None:
        """Move the clock on. A round in which nothing happened lasts until a device comes or goes.

        What the payout rule moves between accounts is executed once, on the chain that most devices hold; where that chain
        gives way to another, the moves of the blocks that are left are taken back.
        """
        idle = end_s <= self.time_s
        self.time_s = (
            self.availability.next_change_s(self.scenario.devices, self.time_s) if idle else end_s
        )
        canonical = self.canonical()
        leave, apply = branches(self.settled, canonical)
        self.settled = canonical
        for state in leave:
            self._move(tuple(_reversed(p) for p in reversed(state.moves)))
        for state in apply:
            self._move(state.moves)
            for p in state.moves:
                if p.holder is not None:
                    self.penalised[p.holder] += p.amount
        if self.round_index == self.scenario.rounds:
            self._close_contract()

    def adopt(self, device: int, new: ChainState, time_s: float, *, replay: bool = True) -> None:
        """Move a device to another chain state: undo what only its old chain paid it, credit what only the new one does.

        A device's balance is what its own chain says. `replay=False` changes the chain alone.
        """
        participant = self.participants[device]
        old, participant.state = participant.state, new
        if new.model != old.model:
            participant.live_model = None
            participant.previous_model = old.model
        if not replay:
            return
        leave, apply = branches(old, new)
        undone = [self._transfer(_reversed(p)) for s in leave for p in s.payments.get(device, ())]
        earned = [self._transfer(p) for s in apply for p in s.payments.get(device, ())]
        self.ledger.post(earned + undone, time_s=time_s, round=self.round_index)

    def bribe(self, worker: int, validator: int, amount: int, time_s: float) -> bool:
        """Move base units beside the protocol, if the worker has them left from what it held at the start.

        Rewards cannot be spent this way: a device's chain may yet take them back.
        """
        if amount > self.endowment[worker]:
            return False
        self.endowment[worker] -= amount
        self.endowment[validator] += amount
        payment = Payment(validator, amount, "bribe", worker)
        self.ledger.post([self._transfer(payment)], time_s=time_s, round=self.round_index)
        return True

    def attack_success(self, model: int) -> float | None:
        """Share of the samples that targeted attacks aim at that a model classifies as they want; None: nobody aims."""
        if self._probe is None:
            return None
        return float(
            self.engine.evaluate(
                [self.models[model]], *self._probe, [self.models.digest(model)]
            ).accuracy[0]
        )

    def _move(self, payments: tuple[Payment, ...]) -> None:
        self.ledger.post(
            [self._transfer(p) for p in payments], time_s=self.time_s, round=self.round_index
        )

    def _close_contract(self) -> None:
        """After the last round the payout rule gives back what it holds; entries bear the number of a round that never comes."""
        self.closed = True
        closing = self.payout.close(self.settled.memory)
        check_payments(self.payout, closing.payments, self.scenario.devices)
        self.ledger.post(
            [self._transfer(p) for p in closing.payments],
            time_s=self.time_s,
            round=self.round_index + 1,
        )

    def _finish_tape(self) -> None:
        x, y = self._utility_samples
        mark_tape(self)
        self.recorder.add(
            "opening",
            [
                {
                    "balances": [self._balances[d] for d in range(self.scenario.devices)],
                    "shape": list(self.dataset.shape),
                    "classes": self.dataset.classes,
                    "x": x.tobytes(),
                    "y": y.tolist(),
                }
            ],
        )

    def _transfer(self, p: Payment) -> Transfer:
        return Transfer(_account(p.payer), _account(p.payee), p.amount, p.reason, self.asset)

    def utility(self, updates: FloatMatrix, start: FloatMatrix) -> CoalitionUtility:
        """What coalitions of updates `[n, P]` to the model `start` `[P]` are worth on samples held out for validators."""
        return self.engine.coalitions(updates, start, *self._utility_samples)

    def held_out_accuracy(self, rows: FloatMatrix) -> NDArray[np.float64]:
        """Accuracies of rows on all samples held out for validators."""
        return self.engine.evaluate(rows, *self._held_out).accuracy

    def validators_accuracy(self, rows: FloatMatrix) -> NDArray[np.float64]:
        """Accuracies of rows on all samples that validators judge with."""
        if self.scenario.data.validation_source == "holdout":
            return self.held_out_accuracy(rows)
        return self.engine.evaluate(rows, self.dataset.x_test, self.dataset.y_test).accuracy

    def canonical(self) -> ChainState:
        """The chain that most devices hold (ties: heaviest, then lowest head hash); with a coordinator, its state."""
        if self.server is not None:
            return self.server
        chains = Counter(p.state.head for p in self.participants)
        # Under `resync = "chain-only"` devices on one chain may hold different models: take the most common of those.
        states = Counter(p.state.id for p in self.participants)
        held = {p.state.id: p.state for p in self.participants}
        return min(
            held.values(), key=lambda s: (-chains[s.head], *chain_rank(s), -states[s.id], s.id)
        )

    def _models_in_use(self) -> set[int]:
        held = {
            key
            for p in self.participants
            for key in (p.state.model, p.global_model, p.previous_model)
        }
        canonical = self.canonical()
        chains = {s.id: s for s in (*(p.state for p in self.participants), canonical)}
        return held | {canonical.model} | {k.model for s in chains.values() for k in s.kept}

    def test(self, rows: list[FloatMatrix], digests: list[bytes]) -> Evaluation:
        """Evaluate rows on the reported test set."""
        return self.engine.evaluate(rows, self.dataset.x_test, self.dataset.y_test, digests)

    # --- checkpoints --------------------------------------------------------------------------------------------

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-able state and arrays at a round boundary; random streams need none, they are keyed by identity."""
        heads = (
            [p.state for p in self.participants]
            + [self.settled]
            + ([] if self.server is None else [self.server])
        )
        states = {s.id: s for head in heads for s in head.lineage()}
        arrays = {str(key): self.models[key] for key in sorted(self._models_in_use())}
        return {
            "round_index": self.round_index,
            "time_s": self.time_s,
            "next_state": self.book.next_id,
            "chains": [_state_to_json(states[i]) for i in sorted(states)],
            "heads": [p.state.id for p in self.participants],
            "live_models": [p.live_model for p in self.participants],
            "previous_models": [p.previous_model for p in self.participants],
            "sent": self.sent,
            "settled": self.settled.id,
            "server": None if self.server is None else self.server.id,
            "endowment": self.endowment,
            "identities": self.identities.to_state(),
            "learners": self.learners.to_state(),
            "ledger": self.ledger.to_state(),
            "tables": self.recorder.to_state(),
        }, arrays

    def restore(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Continue from `to_state`; the world must have been built from the same scenario."""
        keys = {
            int(k): self.models.add(np.array(row, dtype=np.float32)) for k, row in arrays.items()
        }
        by_id: dict[int, ChainState] = {}
        for values in state["chains"]:
            restored = _state_from_json(values, by_id, keys)
            by_id[restored.id] = restored
        self.book = ChainBook(by_id[0])
        self.book.next_id = state["next_state"]
        held = zip(
            self.participants,
            state["heads"],
            state["live_models"],
            state["previous_models"],
            strict=True,
        )
        for participant, head, live, previous in held:
            participant.state, participant.previous_model = by_id[head], keys[previous]
            participant.live_model = None if live is None else keys[live]
        self.settled = by_id[state["settled"]]
        self.server = None if state["server"] is None else by_id[state["server"]]
        self.round_index, self.time_s, self.sent = (
            state["round_index"],
            state["time_s"],
            list(state["sent"]),
        )
        self.endowment = list(state["endowment"])
        self.identities.restore(state["identities"])
        self.learners.restore(state["learners"])
        self.ledger = Ledger.from_state(state["ledger"])
        self.recorder.from_state(state["tables"])


def _account(name: int | str) -> str:
    return device_account(name) if isinstance(name, int) else name


def _reversed(p: Payment) -> Payment:
    """The payment that undoes another: what was issued is burned, what was burned is issued again."""
    payee = BURN if p.payer == ISSUANCE else p.payer
    payer = ISSUANCE if p.payee == BURN else p.payee
    return Payment(payee, p.amount, f"reorg.{p.reason}", payer)


def _state_to_json(s: ChainState) -> dict[str, Any]:
    flat = {f.name: getattr(s, f.name) for f in dataclasses.fields(s)}
    flat["parent"] = None if s.parent is None else s.parent.id
    flat["head"] = s.head.hex()
    flat["moves"] = [dataclasses.astuple(p) for p in s.moves]
    flat["payments"] = {
        str(d): [[p.payee, p.amount, p.reason, p.payer] for p in ps] for d, ps in s.payments.items()
    }
    flat["rejected"] = {str(d): list(v) for d, v in s.rejected.items()}
    flat["absent"] = {str(d): list(v) for d, v in s.absent.items()}
    flat["outcomes"] = {str(d): list(v) for d, v in s.outcomes.items()}
    flat["blocked"] = sorted(s.blocked)
    flat["versions"] = [v.to_plain() for v in s.versions]
    flat["kept"] = [[k.version.to_plain(), k.model] for k in s.kept]
    return flat


def _state_from_json(
    flat: dict[str, Any], known: dict[int, ChainState], models: dict[int, int]
) -> ChainState:
    values = dict(flat)
    values["parent"] = None if flat["parent"] is None else known[flat["parent"]]
    values["head"] = bytes.fromhex(flat["head"])
    values["model"] = models.get(
        flat["model"], -1
    )  # models of past states are not kept: no device needs them again
    values["moves"] = tuple(Payment(*p) for p in flat["moves"])
    values["payments"] = {
        int(d): tuple(Payment(*p) for p in ps) for d, ps in flat["payments"].items()
    }
    values["rejected"] = {int(d): (v[0], v[1]) for d, v in flat["rejected"].items()}
    values["absent"] = {int(d): (v[0], v[1]) for d, v in flat["absent"].items()}
    values["outcomes"] = {int(d): (v[0], v[1]) for d, v in flat["outcomes"].items()}
    values["blocked"] = frozenset(flat["blocked"])
    values["versions"] = tuple(Version.from_plain(v) for v in flat["versions"])
    values["kept"] = tuple(
        Kept(Version.from_plain(v), models.get(key, -1)) for v, key in flat["kept"]
    )
    return ChainState(**values)


@contextmanager
def _no_cyclic_gc() -> Iterator[None]:
    """A round makes many small objects and few cycles: collecting in its middle costs half of a large round's time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
