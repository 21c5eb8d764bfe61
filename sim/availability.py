"""Presence of devices in the network: drawn for a round, spells on the clock, scripted outages.

All of it is a pure function of the seed: a question has one answer, whatever was asked before it,
so that runs can resume. Its cost does not depend on how much simulated time has passed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from sim.settings import AvailabilitySettings, OutageSettings
from sim.streams import Streams

SPELLS_PER_BLOCK = 16
"""Mean number of spells online in a block of time, long enough to forget how the block began."""


class Availability:
    """Presence of the devices of a run in the network.

    `on_clock`: whether devices come or go within a round. `outages`: the devices of each scripted
    outage.
    """

    def __init__(self, settings: AvailabilitySettings, devices: int, streams: Streams) -> None:
        self.settings, self.devices, self._streams = settings, devices, streams
        self.outages = [
            _hit(outage, i, devices, streams) for i, outage in enumerate(settings.outages)
        ]
        self.on_clock = settings.kind == "alternating" or bool(settings.outages)
        self._spells = Spells(settings.mean_online_s, settings.mean_offline_s, devices, streams)
        self._round_draw = lru_cache(maxsize=1 << 16)(self._draw_round)

    def online(self, device: int, round: int, time_s: float) -> bool:
        """Return whether a device is online in a round, at a simulated time."""
        if self._out(device, time_s):
            return False
        if self.settings.kind == "per-round":
            return self._round_draw(device, round)
        return self.settings.kind == "always" or self._spells.online(device, time_s)

    def next_change_s(self, time_s: float) -> float:
        """Return when presence next changes after a time in which nobody could do anything.

        That time itself where only a new round can change it, or nothing ever does.
        """
        changes = self._ends_of_outages(time_s)
        if self.settings.kind == "alternating":
            changes += [o.from_s for o in self.settings.outages if o.from_s > time_s]
            there = [d for d in range(self.devices) if not self._out(d, time_s)]
            changes += [self._spells.next_change_s(d, time_s) for d in there]
        elif self.settings.kind == "per-round" and not self._all_out(time_s):
            return time_s
        return min(changes, default=time_s)

    def outage_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table `outages`: whom each scripted outage hits, and when."""
        rows = []
        for i, outage in enumerate(self.settings.outages):
            times = {"from_s": outage.from_s, "until_s": outage.until_s}
            rows += [{"outage": i, "device": d} | times for d in sorted(self.outages[i])]
        return rows

    def _draw_round(self, device: int, round: int) -> bool:
        return bool(self._streams.rng("online", device, round).random() < self.settings.online)

    # --- outages ------------------------------------------------------------------------------

    def _out(self, device: int, time_s: float) -> bool:
        """Return whether a scripted outage holds a device at a time."""
        pairs = zip(self.settings.outages, self.outages, strict=True)
        return any(o.from_s <= time_s < o.until_s and device in hit for o, hit in pairs)

    def _all_out(self, time_s: float) -> bool:
        return all(self._out(device, time_s) for device in range(self.devices))

    def _ends_of_outages(self, time_s: float) -> list[float]:
        """Return when the outages of a time end, without those that never do."""
        present = [o.until_s for o in self.settings.outages if o.from_s <= time_s < o.until_s]
        return [until_s for until_s in present if until_s < math.inf]


def _hit(outage: OutageSettings, number: int, devices: int, streams: Streams) -> frozenset[int]:
    """Return the devices of an outage: as named, or drawn; a larger share holds a smaller one."""
    if outage.devices:
        return frozenset(outage.devices)
    drawn = streams.rng("outage", number).permutation(devices)
    return frozenset(drawn[: outage.size(devices)].tolist())


class _Block(NamedTuple):
    """One block of time of one device: whether it begins online, and when it comes and goes."""

    online: bool
    changes: Sequence[float]

    def at(self, time_s: float) -> bool:
        """Return whether the device is online at a time in the block."""
        return self.online ^ (bisect_right(self.changes, time_s) % 2 == 1)


class Spells:
    """Exponential spells online and offline of each device, the first one online.

    Time is cut into blocks. The state at the start of a block is drawn given the states before and
    after it that are known: spells have no memory, so those two are all that matters. Blocks are
    numbered in powers of two, and each is decided from its neighbours in the coarser power: a
    question about time t costs log(t) draws, and no more than a block is ever held.
    """

    def __init__(self, online_s: float, offline_s: float, devices: int, streams: Streams) -> None:
        self._mean_s = {True: online_s, False: offline_s}
        self._share = online_s / (online_s + offline_s)
        self._rate = 1 / online_s + 1 / offline_s
        self._length_s = SPELLS_PER_BLOCK * (online_s + offline_s)
        self._streams = streams
        held = max(64, 4 * devices)
        self._block = lru_cache(maxsize=held)(self._draw_block)
        self._starts_online = lru_cache(maxsize=4 * held)(self._draw_start)

    def online(self, device: int, time_s: float) -> bool:
        """Return whether a device is online at a time."""
        return self._block(device, int(time_s // self._length_s)).at(time_s)

    def next_change_s(self, device: int, time_s: float) -> float:
        """Return when a device next comes or goes after a time."""
        number = int(time_s // self._length_s)
        while True:
            changes = self._block(device, number).changes
            after = bisect_right(changes, time_s)
            if after < len(changes):
                return changes[after]
            number += 1

    def _draw_start(self, device: int, number: int) -> bool:
        """Draw whether a device is online at the start of a block."""
        if number == 0:
            return True
        if number == 1:
            return len(self._block(device, 0).changes) % 2 == 0
        step = number & -number  # the largest power of two that divides it
        if step == number:
            chance = self._to_online(self._starts_online(device, number // 2), number // 2)
        else:
            before = self._starts_online(device, number - step)
            after = self._starts_online(device, number + step)
            chance = self._between(before, after, step)
        return bool(self._streams.rng("online.state", device, number).random() < chance)

    def _to_online(self, online: bool, blocks: int) -> float:
        """Return the probability of being online some blocks after a state."""
        fades = math.exp(-self._rate * blocks * self._length_s)
        return self._share + (online - self._share) * fades

    def _between(self, before: bool, after: bool, blocks: int) -> float:
        """Return the probability of being online some blocks after one state and before another."""
        chance = self._to_online(before, blocks)
        ends = {there: self._to_online(there, blocks) for there in (True, False)}
        weight = {there: p if after else 1 - p for there, p in ends.items()}
        there, gone = chance * weight[True], (1 - chance) * weight[False]
        return there / (there + gone)

    def _draw_block(self, device: int, number: int) -> _Block:
        """Draw when a device comes and goes in a block, given how the block begins and ends.

        The first block ends as it does; the others are drawn until they end as they must.
        """
        online = self._starts_online(device, number)
        identity = (device, number) if number else (device,)
        rng = self._streams.rng("online", *identity)
        start_s, end_s = number * self._length_s, (number + 1) * self._length_s
        while True:
            block = _Block(online, self._draw_changes(online, start_s, end_s, rng))
            if not number or block.at(end_s) == self._starts_online(device, number + 1):
                return block

    def _draw_changes(
        self, online: bool, time_s: float, end_s: float, rng: np.random.Generator
    ) -> list[float]:
        """Draw when a device comes and goes between two times."""
        changes: list[float] = []
        while True:
            time_s += rng.exponential(self._mean_s[online])
            if time_s >= end_s:
                return changes
            changes.append(time_s)
            online = not online
