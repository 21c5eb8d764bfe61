"""One round of the proof of concept: federated averaging, and claims of wallets."""

from __future__ import annotations

from collections.abc import Mapping

from mechanisms.wallets import address, claim
from sim.protocols.poc.settings import PocSettings
from sim.streams import Streams
from sim.training.averaging import AveragingRound


class ClaimingRound(AveragingRound):
    """Users that train submit the hash of their wallet with their parameters."""

    def play_with(self, claims: Mapping[int, str], *, withheld: bool) -> None:
        """Play and record the round; the server hands on no claim that it withholds."""
        own = {device: claims.get(device) for device in self.work.workers}
        submitted = {device: text for device, text in own.items() if text}
        self.game.wallets = {} if withheld else submitted
        self.contribute()
        self.game.end_time(self.clock.last_s)
        devices = range(self.game.scenario.devices)
        self.record(device_own={device: {"claim": own.get(device)} for device in devices})


def claims_of(settings: PocSettings, streams: Streams, devices: int) -> dict[int, str]:
    """Return by device the hash that it submits in every round; those that never do are not there.

    Who makes a mistake makes the same one always.
    """
    claims = {}
    for device in range(devices):
        draw = streams.rng("poc claim", device).random()
        if draw < settings.missing:
            continue
        mistaken = draw < settings.missing + settings.mistaken
        claims[device] = claim(f"{address(device)}?" if mistaken else address(device))
    return claims
