"""One round of hierarchical federated learning."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mechanisms import registries as rules
from mechanisms.geometry import finite_rows
from mechanisms.vocabulary import Payment, Role, UpdateRecord
from sim.chain.forks import ServerChain
from sim.protocols.hierarchical.settings import HierarchicalScenario
from sim.stages import Stages
from sim.training.decisions import decide
from sim.training.game import TrainingGame
from sim.training.local_work import LocalWork, do_local_work
from sim.training.record import record_served
from sim.training.server import Server
from sim.training.settling import aggregate, combine


@dataclass
class Region:
    """The devices of a region in a round.

    `model` is the key of its present model, `made_s` when its edge had made it, `ready_s` when its
    workers can go on with it, `records` are the updates in it, and `delivers` says whether its edge
    keeps to the rules of delivery so far.
    """

    number: int
    edge: int | None
    workers: list[int]
    model: int
    made_s: float
    ready_s: float
    records: tuple[UpdateRecord, ...] = field(default=())
    delivers: bool = True
    delivered: bool = False
    fee: int = 0

    @property
    def samples(self) -> int:
        """Samples behind the region's model, as claimed."""
        return sum(r.claimed_samples for r in self.records)


class HierarchicalRound:
    """Regions train and aggregate by themselves, then the server aggregates the regions.

    Args:
        game: the services of the run.
        chain: what the server holds.
        scenario: its keys.
    """

    def __init__(
        self, game: TrainingGame, chain: ServerChain, scenario: HierarchicalScenario
    ) -> None:
        self.game, self.chain = game, chain
        self.settings, self.deadlines = scenario.edges, scenario.deadlines
        self.rule = rules.aggregators.create(scenario.edges.rule, scenario.edges.params)
        self.clock = Stages(game.clock.time_s)
        self.server = Server(game, chain, self.clock)
        self.members = game.admitted(chain.head.memory)
        self.regions = [self._seated(number) for number in range(scenario.edges.count)]
        self.workers = sorted(w for region in self.regions for w in region.workers)
        self._give_roles()

    def _seated(self, number: int) -> Region:
        """Draw the edge of a region; all others of its devices that are there are workers."""
        of_region = [d for d in self.members if d % self.settings.count == number]
        there = [d for d in of_region if d in self.server.online_at_start]
        model, start_s = self.chain.head.model, self.clock.start_s
        if not there:
            return Region(number, None, [], model, start_s, start_s, delivers=False)
        rng = self.game.streams.rng("edge", self.game.clock.round, number)
        edge = int(rng.choice(there))
        workers = [d for d in there if d != edge]
        return Region(number, edge, workers, model, start_s, start_s)

    def _give_roles(self) -> None:
        roles = dict.fromkeys(self.workers, Role.WORKER)
        edges = [region.edge for region in self.regions if region.edge is not None]
        roles |= dict.fromkeys(edges, Role.MINER)
        for p in self.game.population:
            p.role = roles.get(p.device)

    def play(self) -> None:
        """Play and record the round."""
        for step in range(self.settings.rounds):
            work = self._train(step)
            for region in self.regions:
                if region.edge is not None:
                    self._aggregate(region, work)
        for region in self.regions:
            self._deliver(region)
        records = self._finish(work)
        self._record(work, records)

    # --- in the regions -----------------------------------------------------------------------

    def _train(self, step: int) -> LocalWork:
        """Let all workers train from the models of their regions."""
        forks = self.game.forks
        for region in self.regions:
            for w in region.workers:
                forks[w].live_model = region.model
        work = do_local_work(self.game, self.workers, step=step)
        for w in self.workers:
            forks[w].live_model = None
        return work

    def _link_s(self, a: int, b: int) -> float:
        """Return the seconds of an update between two devices."""
        return self.game.network.direct_s(a, b, self.server.size)

    def _aggregate(self, region: Region, work: LocalWork) -> None:
        """Let an edge collect the updates of its region, and make the region's next model."""
        game, edge = self.game, region.edge
        assert edge is not None
        arrived, region.made_s = self._collect(region, work)
        usable = self.server.usable(work, arrived, region.made_s)
        region.records = self._decided(region, work, usable)
        if region.records:
            mark = _mark(region)
            region.model = aggregate(game, work, region.records, region.model, mark)
        # Workers go on when they have the region's model.
        back = [self._link_s(edge, w) for w in region.workers]
        region.ready_s = region.made_s + max(back, default=0.0)

    def _collect(self, region: Region, work: LocalWork) -> tuple[list[int], float]:
        """Return whose updates reach the edge in time, and when it has waited enough."""
        game, edge = self.game, region.edge
        assert edge is not None
        ends_s = region.ready_s + self.deadlines.edge_s
        arrived, last_s, missing = [], region.ready_s, False
        for w in region.workers:
            begin_s = max(self.server.ready_s[w], region.ready_s)
            trained_s = begin_s + self._trained(work, w)
            arrival_s = trained_s + self._link_s(w, edge)
            if game.online(w, trained_s):
                game.sent[w] += 1
            if arrival_s > ends_s or not game.online(w, arrival_s):
                missing = True
                continue
            last_s = max(last_s, arrival_s)
            if self.server.accepts(work, w, arrival_s):
                arrived.append(w)
            if w in work.sent.duplicated:
                game.incidents.note(arrival_s, w, edge, "duplicate")
        # An edge cannot know that an update will not come: it waits until its deadline.
        waits = missing and ends_s < math.inf
        return arrived, ends_s if waits else last_s

    def _trained(self, work: LocalWork, worker: int) -> float:
        """Return the seconds of training once more, and add them to the worker's."""
        before = self.server.compute_s.get(worker, 0.0)
        seconds = self.server.train_s(work, worker)
        self.server.compute_s[worker] = before + seconds
        return seconds

    def _decided(
        self, region: Region, work: LocalWork, records: tuple[UpdateRecord, ...]
    ) -> tuple[UpdateRecord, ...]:
        """Let the edge decide what it takes into its model, and whether it delivers."""
        assert region.edge is not None
        if not records:
            return records
        decision = decide(self.game, work, region.edge, records)
        region.delivers &= bool(decision.publish)
        work.tamper(_mark(region), decision.replaced)
        return tuple(r for r in records if r.worker not in decision.censored)

    # --- at the server ------------------------------------------------------------------------

    def _deliver(self, region: Region) -> None:
        """Let an edge send its region's model to the server."""
        game, edge = self.game, region.edge
        if edge is None or not region.records:
            return
        arrival_s = region.made_s + self.server.send_s(edge)
        in_time = arrival_s <= self.clock.start_s + self.deadlines.server_s
        if not region.delivers or not in_time or not game.online(edge, arrival_s):
            game.incidents.note(region.made_s, edge, None, "absent-aggregator")
            return
        region.delivered = True
        self.clock.last_s = max(self.clock.last_s, arrival_s)

    def _finish(self, work: LocalWork) -> tuple[UpdateRecord, ...]:
        """Make the next global model of those that were delivered, and pay for it."""
        game, models = self.game, self.game.bench.models
        delivered = [r for r in self.regions if r.delivered]
        if len(delivered) < len(self.regions) and self.deadlines.server_s < math.inf:
            self.clock.last_s = self.clock.start_s + self.deadlines.server_s
        if not delivered:
            game.end_time(self.clock.last_s)
            return ()
        rows = np.stack([models[region.model] for region in delivered])
        assert finite_rows(rows).all()  # as every rule of aggregation promises
        edges = [int(region.edge) for region in delivered if region.edge is not None]
        samples = np.array([region.samples for region in delivered], dtype=np.int64)
        model = combine(game, self.rule, (), edges, rows, samples, self.chain.head.model)
        found = [r for region in delivered for r in region.records]
        records = tuple(sorted(found, key=lambda r: r.worker))
        self.server.close(work, records, model, None)
        for region in delivered:
            region.fee = self.settings.fee * len(region.records)
        fees = [Payment(r.edge, r.fee, "edge") for r in delivered if r.fee and r.edge is not None]
        game.treasury.post(fees, time_s=self.clock.last_s)
        game.end_time(self.clock.last_s)
        return records

    # --- records ------------------------------------------------------------------------------

    def _record(self, work: LocalWork, records: tuple[UpdateRecord, ...]) -> None:
        """Record all rows of the round."""
        game = self.game
        game.kernel.recorder.add("edges", [self._row(region) for region in self.regions])
        count = self.settings.count
        record_served(
            game,
            self.clock.start_s,
            online=self.server.online_at_start,
            workers=len(self.workers),
            work=work,
            records=records,
            compute_s=self.server.compute_s,
            own={device: {"region": device % count} for device in range(game.scenario.devices)},
        )

    def _row(self, region: Region) -> dict[str, object]:
        """Return the row of table `edges` of a region."""
        edge = region.edge
        return {
            "round": self.game.clock.round,
            "region": region.number,
            "edge": edge,
            "adversary": None if edge is None else self.game.population[edge].adversary,
            "updates": len(region.records),
            "samples": region.samples,
            "delivered": region.delivered,
            "fee": region.fee,
        }


def _mark(region: Region) -> bytes:
    """Return what stands for the hash of a block: what an edge puts in the place of updates."""
    return b"edge %d" % region.number
