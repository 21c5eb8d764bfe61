"""An off-chain store, such as IPFS: it holds the updates, and the chain only their digests."""

from __future__ import annotations

from sim.network import Links
from sim.settings import StorageSettings
from sim.streams import Streams

MEGABYTE = 10**6


class UpdateStore:
    """Delay, availability and cost of an off-chain store.

    Objects are fetched by their digests, so nobody can replace one by another.
    """

    def __init__(self, settings: StorageSettings, network: Links, streams: Streams) -> None:
        self.settings, self._network, self._streams = settings, network, streams

    @property
    def off_chain(self) -> bool:
        """Whether updates travel through the store instead of in transactions and blocks."""
        return self.settings.kind == "off-chain"

    def seconds(self, device: int, objects: int, size_bytes: float) -> float:
        """Return the seconds to store or fetch `objects` objects of one size at the same time.

        That is the latency and the longer of two times: one object at the speed of the store, all
        objects at the speed of the device's link.
        """
        if objects == 0:
            return 0.0
        slowest = max(1 / self.settings.bytes_per_s, objects / float(self._network.link[device]))
        return self.settings.latency_s + size_bytes * slowest

    def finds(self, device: int, worker: int, round: int) -> bool:
        """Draw whether the request of a device for the update of a worker succeeds."""
        if self.settings.availability == 1:
            return True
        draw = self._streams.rng("storage", device, worker, round).random()
        return bool(draw < self.settings.availability)

    def cost(self, size_bytes: float) -> float:
        """Return the cost of storing `size_bytes`, base units, paid by the device that uploads."""
        return self.settings.cost_per_mb * size_bytes / MEGABYTE
