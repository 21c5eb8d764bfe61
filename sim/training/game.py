"""The parts of a protocol that trains: services, rules, and the chains that devices hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import Memory, OpeningObservation
from sim.availability import Availability
from sim.chain.forks import Forks
from sim.chain.state import ChainState, genesis
from sim.clock import Clock
from sim.kernel import Kernel
from sim.keys import SettingError
from sim.money.payments import Payer, checked
from sim.money.treasury import Treasury
from sim.network import Links
from sim.population.population import Population
from sim.recording import Incidents
from sim.streams import Streams
from sim.training.reductions import Reductions
from sim.training.release import first_version
from sim.training.scenario import TrainingScenario
from sim.training.workbench import Workbench


class TrainingGame:
    """The services of one run.

    Args:
        kernel: time, money, participants, recording.
        scenario: the kernel's scenario, as one that trains.
        network: how fast devices compute and send.
        chain: `Forks`, or `ServerChain` where one server holds the chain that counts.
        bench: how samples are held and updates are measured.

    Raises `SettingError` for a scenario that nobody could play.
    """

    def __init__(
        self,
        kernel: Kernel,
        scenario: TrainingScenario,
        network: Links,
        chain: type[Forks],
        bench: type[Workbench] = Workbench,
    ) -> None:
        self.kernel, self.scenario, self.network = kernel, scenario, network
        self.bench = bench(kernel, scenario)
        self.availability = Availability(scenario.availability, scenario.devices, kernel.streams)
        kernel.recorder.add("outages", self.availability.outage_rows())
        self.payout = checked(scenario.payout_rule(), scenario.devices)
        self._payer = Payer(kernel.treasury, self.payout)
        aggregation = scenario.aggregation
        self.aggregation = rules.aggregators.create(aggregation.rule, aggregation.params)
        self.transforms = [rules.transforms.create(t.rule, t.params) for t in aggregation.before]
        self.stakes: tuple[int, ...] = ()
        """Base units of each device at the present round's start."""
        self.wallets: Mapping[int, str] = {}
        """By device the hash that it submitted to be paid, where a protocol asks for that."""
        self.sent = [0] * scenario.devices
        """Updates that left each device so far: what its privacy has been spent on."""
        self.holders: list[Callable[[], Mapping[int, int]]] = []
        """What others than the payout rule hold of devices and may give back."""
        self.reduced = Reductions(kernel.recorder, kernel.clock)
        self.forks = self._open(chain)
        self._locked_before: Mapping[int, int] = {}
        self.invited: frozenset[int] | None = None
        """The trainers that may take part as far as the rule lets them; None: all."""
        self._closed = False

    @property
    def streams(self) -> Streams:
        """The random streams of the run."""
        return self.kernel.streams

    @property
    def clock(self) -> Clock:
        """The present round and time."""
        return self.kernel.clock

    @property
    def treasury(self) -> Treasury:
        """The door for money."""
        return self.kernel.treasury

    @property
    def population(self) -> Population:
        """The participants."""
        return self.kernel.population

    @property
    def incidents(self) -> Incidents:
        """Where refused acts are noted."""
        return self.kernel.incidents

    def _open(self, chain: type[Forks]) -> Forks:
        """Open the accounts and take the rule's deposits; return the chain before any block."""
        devices, trainers = range(self.scenario.devices), self.scenario.trainers
        self.treasury.open(self.bench.balances, self.payout.accounts())
        balances = tuple(self.treasury.balance(device) for device in trainers)
        try:
            opening = self.payout.open(
                OpeningObservation(devices=tuple(trainers), balances=balances)
            )
        except PluginError as error:
            raise SettingError(f"payout: {error.key}", error.value, str(error)) from error
        model = self.bench.start()
        kept = first_version(self.bench, self.scenario.versions, model)
        root = genesis(model, opening.memory or {}, kept)
        forks = chain(root, len(devices), self._payer)
        self._payer.post(opening.payments, "open")
        self.treasury.set_aside(devices)
        return forks

    # --- who takes part -----------------------------------------------------------------------

    def admitted(self, memory: Memory) -> list[int]:
        """Return the trainers in play that the payout rule, with this memory, lets take part."""
        members, invited = self.payout.members(memory), self.invited
        in_play = self.population.identities.in_play
        return [
            device
            for device in self.scenario.trainers
            if in_play(device)
            and (members is None or device in members)
            and (invited is None or device in invited)
        ]

    def require_members(self, needed: int) -> None:
        """Raise `SettingError` when the payout rule admits too few devices."""
        playing = len(self.admitted(self.forks.canonical().memory))
        if playing < needed:
            rule = self.scenario.payout.mechanism
            expected = f"lets {playing} devices join {rule!r}, the roles need {needed}"
            raise SettingError(
                "payout.initial_balance", self.scenario.payout.initial_balance, expected
            )

    def online(self, device: int, time_s: float) -> bool:
        """Return whether a device is there in the current round at a simulated time."""
        if not self.population.present(device):
            return False
        return self.availability.online(device, self.clock.round, time_s)

    def online_at(self, time_s: float) -> set[int]:
        """Return all devices that are there at a simulated time."""
        return {p.device for p in self.population if self.online(p.device, time_s)}

    # --- the round ----------------------------------------------------------------------------

    def begin_round(self) -> None:
        """Note what devices hold now, and forget the round before."""
        devices = range(self.scenario.devices)
        self.stakes = tuple(self.treasury.balance(device) for device in devices)
        self.forks.begin_round()
        if self.clock.round > 1:  # what devices paid to join is part of their first round
            self._locked_before = self.locked()

    def locked(self) -> Mapping[int, int]:
        """Return the base units that the payout rule and others hold for each device."""
        total = Counter(self.locked_by_rule())
        for held in self.holders:
            total.update(held())
        return total

    def locked_by_rule(self) -> Mapping[int, int]:
        """Return the base units that the payout rule holds for each device."""
        if self._closed:
            return {}
        return self.payout.locked(self.forks.settled.memory)

    @property
    def locked_before(self) -> Mapping[int, int]:
        """What the payout rule held for each device at the round's start."""
        return self._locked_before

    def end_time(self, end_s: float, *, happened: bool = False) -> None:
        """Move the clock on and settle; after the last round close the payout rule."""
        self.settle(end_s, happened=happened)
        self.finish()

    def settle(self, end_s: float, *, happened: bool = False) -> None:
        """Move the clock on, and execute what the payout rule has decided.

        A round in which nothing happened lasts until a device comes or goes. `happened`: something
        did, even if it took no time.
        """
        if end_s <= self.clock.time_s and not happened:
            end_s = self.availability.next_change_s(self.clock.time_s)
        self.clock.time_s = end_s
        self.forks.settle()

    def finish(self) -> None:
        """Close the payout rule after the last round."""
        if self.kernel.last_round:
            self._close_contract()

    def _close_contract(self) -> None:
        """Give back what the payout rule holds.

        The entries bear the number of a round that is never played.
        """
        self._closed = True
        closing = self.payout.close(self.forks.settled.memory)
        self._payer.post(closing.payments, "close", round=self.clock.round + 1)

    def replace_fallen(self) -> None:
        """Replace excluded members of groups by spare identities of the same group.

        Excluded is who is shut out, no longer admitted or slashed.
        """
        canonical = self.forks.canonical()
        fallen = set(self.forks.penalised) | canonical.blocked | self._dismissed(canonical)
        for device, newcomer in self.population.identities.replace(fallen):
            self.incidents.note(self.clock.time_s, device, newcomer, "whitewashed")

    def _dismissed(self, state: ChainState) -> set[int]:
        """Return the devices that the payout rule no longer lets take part."""
        members = self.payout.members(state.memory)
        return set() if members is None else set(self.scenario.trainers) - members
