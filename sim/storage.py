"""A store beside the chain, such as IPFS: updates lie there under their digests, and the chain carries the digests only."""

from __future__ import annotations

from sim.network import Links
from sim.settings import StorageSettings
from sim.streams import Streams

MEGABYTE = 10**6


class UpdateStore:
    """Times, luck and costs of storing and fetching. Digests name what is fetched: nobody can put another in its place."""

    def __init__(self, settings: StorageSettings, network: Links, streams: Streams) -> None:
        self.settings, self._network, self._streams = settings, network, streams

    @property
    def off_chain(self) -> bool:
        """Whether updates travel through the store and not inside transactions and blocks."""
        return self.settings.kind == "off-chain"

    def seconds(self, device: int, objects: int, size_bytes: float) -> float:
        """Seconds to store or fetch so many objects of one size at once: each at most as fast as the store serves one request,

        all together at most as fast as the device's link.
        """
        if objects == 0:
            return 0.0
        slowest = max(1 / self.settings.bytes_per_s, objects / float(self._network.link[device]))
        return self.settings.latency_s + size_bytes * slowest

    def finds(self, device: int, worker: int, round: int) -> bool:
        """Whether the request of a device for the update of a worker succeeds."""
        if self.settings.availability == 1:
            return True
        return bool(
            self._streams.rng("storage", device, worker, round).random()
            < self.settings.availability
        )

    def cost(self, size_bytes: float) -> float:
        """Base units that storing so many bytes costs whoever uploads them."""
        return self.settings.cost_per_mb * size_bytes / MEGABYTE
