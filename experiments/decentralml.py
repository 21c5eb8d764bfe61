"""DecentralML's interface: play the creator of a model by hand against simulated parties.

    import fedstake as fs

    creator = fs.DecentralML.upload_master_model(stake=1_000_000, engineer_charge=500)
    creator.define_data_contributors([0, 1, 2, 3])
    creator.train()
    creator.reward_data_contributors([0, 1], [0.01, 0.02])
    creator.engineer()
    creator.list_model_engineer_updates()
    creator.end_round()

The methods have the names of the grant (seed 000, milestones 1 and 2), in Python's style; they
return pandas frames. A round begins with the first stage that is called; its stages come in the
order train, annotate, engineer, sell, govern, and `end_round` plays those that are left. Scores of
contributors and approvals of versions are the creator's alone here: no rule pays and no member
votes by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.loader import load_scenario
from fedstake.errors import InputError
from mechanisms.payouts.decentralml import POOL
from mechanisms.split import part
from mechanisms.vocabulary import Payment
from sim.labelling.contract import LabellingError
from sim.money.ledger import device_account
from sim.protocols.collective.economy import CHARGE
from sim.protocols.collective.engineering import Candidate
from sim.protocols.collective.protocol import Collective
from sim.protocols.collective.round import CollectiveRound
from sim.protocols.collective.settings import ANNOTATOR, CLIENT, CONTRIBUTOR, CollectiveScenario
from sim.training.release import move
from sim.world import World

if TYPE_CHECKING:
    import pandas as pd

STAGES = ("train", "annotate", "engineer", "sell", "govern")
BY_HAND = {"payout.mechanism": "decentralml", "payout.params.score": 0.0}


class CreatorError(InputError):
    """A call that the economy refuses; nothing has changed."""


class DecentralML:
    """A master model and its economy, between two calls of its creator.

    Args:
        scenario: of protocol `collective`.
        data: folder of data files.
    """

    def __init__(self, scenario: CollectiveScenario, data: str | Path | None = None) -> None:
        self._world = World(scenario, data)
        assert isinstance(self._world.protocol, Collective)
        self._protocol = self._world.protocol
        self._economy = self._protocol.economy
        self._round: CollectiveRound | None = None
        self._stage = 0
        self._asked = False

    @classmethod
    def upload_master_model(
        cls,
        scenario: str | Path = "decentralml",
        *,
        stake: int | None = None,
        contributors: float | None = None,
        engineers: float | None = None,
        annotators: float | None = None,
        engineer_charge: int | None = None,
        licence_fee: int | None = None,
        set: Mapping[str, Any] | None = None,
        data: str | Path | None = None,
    ) -> DecentralML:
        """Upload a master model and fund its pools; `master_model` is its globally unique id.

        Args:
            scenario: preset or TOML file of protocol `collective`: who takes part.
            stake: base units for the three pools.
            contributors: share of the stake for data contributors.
            engineers: share for model engineers.
            annotators: share for data annotators; the three sum to 1.
            engineer_charge: base units for a download by a model engineer.
            licence_fee: base units for a client's licence.
            set: more dotted scenario keys with their values.
            data: folder of data files.

        What is not given stays as the scenario has it. Raises `ScenarioError` for wrong values.
        """
        given = {
            "pools.stake": stake,
            "pools.contributors": contributors,
            "pools.engineers": engineers,
            "pools.annotators": annotators,
            "engineers.charge": engineer_charge,
            "licences.fee": licence_fee,
        }
        keys = {key: value for key, value in given.items() if value is not None}
        found = load_scenario(scenario, {**BY_HAND, **keys, **dict(set or {})})
        if not isinstance(found, CollectiveScenario):
            raise CreatorError(f"{scenario}: protocol {found.protocol!r}, must be collective")
        return cls(found, data)

    def __repr__(self) -> str:
        played = f"round {self._world.round_index} of {self._economy.scenario.rounds}"
        return f"DecentralML({self.master_model[:12]}…, {played})"

    @property
    def master_model(self) -> str:
        """The globally unique id of the master model, 64 hexadecimal digits."""
        return self._economy.master_id

    # --- a round, stage by stage ----------------------------------------------------------------

    def train(self) -> pd.DataFrame:
        """Let data contributors train and aggregate their updates; return who contributed.

        `alone` is the accuracy of each update on the samples that members test with.
        """
        now = self._play("train")
        bench, work = self._economy.game.bench, now.averaging.work
        devices = [r.worker for r in now.averaging.records]
        alone: NDArray[np.float64] = np.empty(0)
        if devices:
            alone = bench.held_out_accuracy(work.rows_of(devices))
        samples = [r.claimed_samples for r in now.averaging.records]
        return _frame({"device": devices, "samples": samples, "alone": alone.tolist()})

    def annotate(self) -> pd.DataFrame:
        """Let annotators take tasks and answer; return the labels that were bought so far."""
        self._play("annotate")
        bought = self._protocol.annotating.desk.labels()
        return _frame({"item": bought.rows, "label": bought.labels, "weight": bought.weights})

    def engineer(self) -> pd.DataFrame:
        """Let model engineers submit versions; return those that wait for approval."""
        self._play("engineer")
        return self.list_model_engineer_updates()

    def sell(self) -> pd.DataFrame:
        """Let clients buy licences; return the offers of the round."""
        self._play("sell")
        return self._recorded("licences")

    def govern(self) -> pd.DataFrame:
        """Let everybody propose and vote; return the referenda that were decided in the round."""
        self._play("govern")
        return self._recorded("referenda")

    def end_round(self) -> pd.DataFrame:
        """Play the stages that are left, end the round, and return its row of table `rounds`."""
        self._play(STAGES[-1], again=True)
        assert self._round is not None
        self._round.finish()
        self._protocol.end_round()
        if self._world.kernel.last_round:
            self._protocol.close()
        self._round, self._stage, self._asked = None, 0, False
        return self._recorded("rounds")

    def _play(self, stage: str, *, again: bool = False) -> CollectiveRound:
        """Play all stages up to this one; `again`: it may have been played already."""
        wanted = STAGES.index(stage) + 1
        if self._stage >= wanted and not again:
            raise CreatorError(f"{stage}: was played in this round; end_round begins the next")
        now = self._now()
        # Who has uploaded samples in this round asks about no others.
        annotate = partial(now.annotate, [] if self._asked else None)
        acts = (now.contribute, annotate, now.engineer, now.sell, now.govern)
        for act in acts[self._stage : wanted]:
            act()
        self._stage = max(self._stage, wanted)
        return now

    def _now(self) -> CollectiveRound:
        """Return the present round; it begins where none is played."""
        if self._round is None:
            kernel = self._world.kernel
            if kernel.last_round:
                raise CreatorError(f"all {kernel.scenario.rounds} rounds are over")
            kernel.begin_round()
            self._protocol.begin_round()
            self._round = self._protocol.begin()
        return self._round

    def _recorded(self, table: str) -> pd.DataFrame:
        """Return the rows of a table of the present or last round."""
        found: pd.DataFrame = self._world.kernel.table(table).to_pandas()
        return found[found["round"] == self._world.round_index].reset_index(drop=True)

    # --- data contributors ----------------------------------------------------------------------

    def define_data_contributors(
        self, clients: Sequence[int], wallets: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Let only these contributors train and be rewarded, from the next round on.

        Args:
            clients: devices of contributors.
            wallets: the account of each; a device has one account, so another one is refused.
        """
        known = self._economy.scenario.parties.devices[CONTRIBUTOR]
        if not isinstance(clients, Sequence) or not len(clients):
            raise CreatorError(f"clients {clients!r}: must be a list of contributors, at least one")
        own = [device_account(device) for device in clients]
        for device in clients:
            if device not in known:
                raise CreatorError(f"device {device} is no contributor: these are {_range(known)}")
        if len({*clients}) < len(clients):
            raise CreatorError("a client is named twice: every contributor has one account")
        if wallets is not None and len(wallets) != len(clients):
            raise CreatorError(f"{len(wallets)} wallets for {len(clients)} clients")
        for account, wallet in zip(own, wallets or own, strict=True):
            if wallet != account:
                raise CreatorError(f"wallet {wallet!r}: the client's account is {account!r}")
        self._economy.game.invited = frozenset(clients)
        return _frame({"client": list(clients), "wallet": own})

    def reward_data_contributors(
        self, clients: Sequence[int], scores: Sequence[float]
    ) -> pd.DataFrame:
        """Pay each contributor its score, 0 to 1, of what is left of the pool, one after the other.

        With one score s the k-th of a call gets s (1 - s)^(k - 1). Fractions of a base unit stay in
        the pool. Call it after `train`.
        """
        chain = self._economy.chain
        if not self._stage:
            raise CreatorError("reward_data_contributors comes after train")
        if len(clients) != len(scores):
            raise CreatorError(f"{len(scores)} scores for {len(clients)} clients")
        defined = self._economy.game.invited
        left = int(chain.head.memory["left"])
        rows, payments = [], []
        for device, score in zip(clients, scores, strict=True):
            _check_share("score", score)
            known = device in self._economy.scenario.parties.devices[CONTRIBUTOR]
            if not known or (defined is not None and device not in defined):
                raise CreatorError(f"device {device} is not defined as a contributor")
            amount = part(left, float(score))
            left -= amount
            rows.append({"client": device, "score": score, "reward": amount, "left": left})
            if amount:
                payments.append(Payment(device, amount, "reward.contributor", POOL))
        game = self._economy.game
        memory = {**chain.head.memory, "left": left}
        creator = self._economy.scenario.creator
        move(chain, payments, memory, author=creator, round=game.clock.round)
        game.forks.settle()
        return _frame(rows, ["client", "score", "reward", "left"])

    # --- models and licences --------------------------------------------------------------------

    def list_master_models(self) -> pd.DataFrame:
        """Return the master model: its id, name, usage, what that costs, and in which asset."""
        scenario, economy = self._economy.scenario, self._economy
        places = [j.name for j in scenario.licences.jurisdictions] or [""]
        row: dict[str, Any] = {
            "model_guid": self.master_model,
            "model_name": scenario.name,
            "usage_type": scenario.licences.usage,
            "cost_token_accept": scenario.payout.asset,
            "version": economy.chain.head.kept[-1].version.id.hex(),
        }
        costs = [economy.fee_in(j) if scenario.parties.clients else None for j in places]
        engineer = economy.values.get(CHARGE)
        rows = [
            {**row, "jurisdiction": place or None, "usage_type_cost": cost}
            for place, cost in zip(places, costs, strict=True)
        ]
        rows.append({**row, "usage_type": "engineering", "usage_type_cost": engineer})
        return _frame(rows)

    def get_master_model(self, client: int, payment: int) -> NDArray[np.float32] | None:
        """Buy a licence for a client, and return the model as a row of parameters `float32[P]`.

        None where the rule of licensing refuses the payment: on trust it takes any. An audit may
        fine who paid less than the fee.
        """
        if client not in self._economy.scenario.parties.devices[CLIENT]:
            raise CreatorError(f"device {client} is no client")
        if type(payment) is not int or payment < 0:
            raise CreatorError(f"payment {payment!r}: must be base units, 0 or more")
        try:
            given = self._now().sell_by_hand(client, payment)
        except ValueError as error:
            raise CreatorError(str(error)) from None
        return self._model() if given else None

    def _model(self) -> NDArray[np.float32]:
        return self._economy.game.bench.models[self._economy.chain.head.model].copy()

    # --- model engineers and the collective -------------------------------------------------------

    def list_model_engineers(self) -> pd.DataFrame:
        """Return the accounts that may call `collective_approves_model`: members and creator."""
        creator = self._economy.scenario.creator
        devices = [*sorted(self._economy.members), creator]
        return _frame(
            {
                "device": devices,
                "account": [device_account(d) for d in devices],
                "role": ["member"] * (len(devices) - 1) + ["creator"],
            }
        )

    def add_collective_member(self, device: int) -> pd.DataFrame:
        """Add a member of the collective; return all of them."""
        if type(device) is not int or not 0 <= device < self._economy.scenario.devices:
            raise CreatorError(
                f"device {device!r}: devices are numbered 0 to {self._economy.scenario.devices - 1}"
            )
        if device == self._economy.scenario.creator:
            raise CreatorError("the creator may approve as it is: it is no member")
        self._economy.members.add(device)
        return self.list_model_engineers()

    def remove_collective_member(self, device: int) -> pd.DataFrame:
        """Remove a member of the collective; return who is left."""
        if device not in self._economy.members:
            raise CreatorError(f"device {device} is no member")
        self._economy.members.discard(device)
        return self.list_model_engineers()

    def model_engineer_update(self, sender: int, model: NDArray[np.floating]) -> pd.DataFrame:
        """Submit a version, a row of parameters `[P]`; anybody may. Return all that wait."""
        game = self._economy.game
        row = np.asarray(model, dtype=np.float32)
        size = game.bench.engine.size
        if row.shape != (size,) or not np.isfinite(row).all():
            raise CreatorError(f"the model has the shape {row.shape}, must be ({size},) and finite")
        if not 0 <= sender < self._economy.scenario.devices:
            raise CreatorError(f"device {sender} does not exist")
        self._now().submit(Candidate(sender, game.bench.models.add(row.copy())))
        return self.list_model_engineer_updates()

    def list_model_engineer_updates(self) -> pd.DataFrame:
        """Return the versions that wait for approval.

        Their id, sender, digest, the version that they would replace, the round, and accuracies on
        the samples that members test with.
        """
        bench = self._economy.game.bench
        now, parent = self._round, self._economy.chain.head.kept[-1].version.id.hex()
        known = ["update", "sender", "account", "version", "parent", "block"]
        columns = [*known, "accuracy", "master_accuracy"]
        if now is None:
            return _frame([], columns)
        rows = [
            {
                "update": now.approving.identify(candidate),
                "sender": candidate.author,
                "account": device_account(candidate.author),
                "version": bench.models.digest(candidate.model).hex(),
                "parent": parent,
                "block": self._world.round_index,
                "accuracy": bench.accuracy_of(candidate.model),
                "master_accuracy": bench.accuracy_of(self._economy.chain.head.model),
            }
            for candidate in now.candidates
        ]
        return _frame(rows, columns)

    def collective_approves_model(
        self, update: str, share: float, sender: int | None = None
    ) -> pd.DataFrame:
        """Make a version the master model, and pay its author a share of the engineers' pool.

        Args:
            update: its id, or the beginning of it.
            share: 0 to 1, of what is left of the pool.
            sender: a member of the collective, or the creator [default].
        """
        creator = self._economy.scenario.creator
        sender = creator if sender is None else sender
        if sender not in {*self._economy.members, creator}:
            raise CreatorError(f"device {sender} is neither a member nor the creator")
        _check_share("share", share)
        now = self._round
        waiting = [] if now is None else [*now.candidates]
        found = [c for c in waiting if now and now.approving.identify(c).startswith(update)]
        if now is None or len(found) != 1 or not update:
            raise CreatorError(f"update {update!r}: must be the id of one version that waits")
        reward = now.approving.accept(found[0], sender, float(share))
        now.candidates.remove(found[0])
        version = self._economy.chain.head.kept[-1].version.id.hex()
        return _frame([{"update": update, "reward": reward, "version": version}])

    # --- data annotators --------------------------------------------------------------------------

    def upload_data_for_annotation(self, items: Sequence[int] | None = None) -> pd.DataFrame:
        """Ask annotators about public samples; return the questionnaire of the open tasks.

        Args:
            items: samples without a label, by number, as many as fill tasks; None: those that are
                next. In a round with such a call `annotate` asks about no others.

        Reward, places and gold questions are those of the scenario's table `labelling`. The pool of
        annotators funds the escrows: where it cannot, nothing is asked.
        """
        annotating = self._protocol.annotating
        rows = None if items is None else [int(item) for item in items]
        each = self._economy.scenario.labelling.fresh
        if rows is not None and (len({*rows}) < len(rows) or len(rows) % each):
            raise CreatorError(f"{len(rows)} items: must fill tasks of {each}, no two the same")
        for row in rows or ():
            if row not in annotating.queue:
                raise CreatorError(f"item {row}: is no public sample that waits for a label")
        self._now()
        self._asked = True
        annotating.ask(rows)
        return self.get_data_annotation_questionnaire()

    def get_data_annotation_questionnaire(self) -> pd.DataFrame:
        """Return the questions of open tasks: rows; what is asked about which item: columns."""
        rows = self._protocol.annotating.desk.questionnaire()
        return _frame(rows, None if rows else ["task", "reward", "question", "item"])

    def submit_data_annotation_for_reward(
        self, task: int, labels: Sequence[int], annotator: int
    ) -> pd.DataFrame:
        """Answer all questions of a task for an annotator; return pending and allocated rewards."""
        desk = self._protocol.annotating.desk
        if annotator not in self._economy.scenario.parties.devices[ANNOTATOR]:
            raise CreatorError(f"device {annotator} is no annotator")
        if self._round is None:
            raise CreatorError("no round is played: upload_data_for_annotation or train begin one")
        try:
            desk.submit(annotator, task, [operator.index(label) for label in labels])
        except TypeError:
            raise CreatorError(f"labels {list(labels)}: must be integers") from None
        except LabellingError as error:
            raise CreatorError(str(error)) from None
        return self.report_data_annotation_awards()

    def report_data_annotation_awards(self) -> pd.DataFrame:
        """Return for each annotator the rewards that are pending and allocated, base units."""
        return _frame(self._protocol.annotating.desk.awards(), ["device", "pending", "allocated"])

    # --- money ------------------------------------------------------------------------------------

    def pools(self) -> pd.DataFrame:
        """Return what is left of each pool, base units."""
        game = self._economy.game
        left = self._economy.purse.left(game.locked_by_rule())
        return _frame({"pool": list(left), "remaining": list(left.values())})

    def balances(self) -> pd.DataFrame:
        """Return what every device holds, base units, with its party."""
        rows = [
            {"device": d, "party": party, "balance": self._economy.game.treasury.balance(d)}
            for party, devices in self._economy.scenario.parties.devices.items()
            for d in devices
        ]
        return _frame(rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return everything recorded so far, the journal included."""
        return {name: table.to_pandas() for name, table in self._world.kernel.tables().items()}


def _check_share(name: str, value: object) -> None:
    """Raise `CreatorError` for what is no share."""
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise CreatorError(f"{name} {value!r}: must be a number from 0 to 1")


def _range(devices: Sequence[int]) -> str:
    return f"{devices[0]} to {devices[-1]}"


def _frame(rows: Any, columns: Sequence[str] | None = None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=None if columns is None else list(columns))


__all__ = ["CreatorError", "DecentralML"]
