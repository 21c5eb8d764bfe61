"""Topology, links and computing power of devices, which give simulated durations.

Durations follow a cost model, never wall time:
    training    samples * epochs / compute_samples_per_s
    evaluating  a third of training the same samples once (forward pass only)
    sending     latency_s + bytes / min(link of the two ends), per hop
"""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sim.keys import SettingError
from sim.settings import LinkSettings, NetworkSettings
from sim.streams import Streams

EVALUATION_COST = 1 / 3
"""Cost of evaluating a sample, in units of training one: the forward one of three passes."""


class Links:
    """How fast each device sends and computes, fixed for a run.

    `link` is in bytes per second, `compute` in samples per second.
    """

    def __init__(self, settings: LinkSettings, devices: int, streams: Streams) -> None:
        self.latency_s = settings.latency_s
        self.link = _draw_speeds(
            settings.link, settings.link_bytes_per_s, settings.link_sigma, devices, streams, "link"
        )
        self.compute = _draw_speeds(
            settings.compute,
            settings.compute_samples_per_s,
            settings.compute_sigma,
            devices,
            streams,
            "compute",
        )

    def training_s(self, device: int, samples: int, epochs: int) -> float:
        """Return the seconds of local training."""
        return samples * epochs / float(self.compute[device])

    def evaluation_s(self, device: int, samples: int) -> float:
        """Return the seconds to evaluate one model on `samples` samples."""
        return EVALUATION_COST * samples / float(self.compute[device])

    def direct_s(self, a: int, b: int, size_bytes: float) -> float:
        """Return the seconds of a message between two devices that are connected."""
        return self.latency_s + size_bytes / min(float(self.link[a]), float(self.link[b]))


class Network(Links):
    """Links, and who is connected to whom.

    Messages take the route with the highest speed; unreachable pairs have infinite delay. Devices
    that are offline still forward messages for others.
    """

    def __init__(self, settings: NetworkSettings, devices: int, streams: Streams) -> None:
        super().__init__(settings, devices, streams)
        self.devices = devices
        self.graph = None
        if settings.topology != "complete":
            self.graph = _build_graph(settings, devices, streams)
        self._per_byte, self._latency = self._find_routes()
        self.component = self._find_components()

    def delay(self, sender: int, receiver: int, size_bytes: float) -> float:
        """Return the seconds of a message between two devices."""
        if sender == receiver:
            return 0.0
        if self._per_byte is None:
            return self.direct_s(sender, receiver, size_bytes)
        return float(
            self._latency[sender, receiver] + size_bytes * self._per_byte[sender, receiver]
        )

    def delays(
        self, sender: int, receivers: NDArray[np.int64], size_bytes: float
    ) -> NDArray[np.float64]:
        """Return the seconds of a message to each of n devices, `float64[n]`."""
        if self._per_byte is None:
            speeds = np.minimum(self.link[sender], self.link[receivers])
            seconds = self.latency_s + size_bytes / speeds
        else:
            seconds = (
                self._latency[sender, receivers] + size_bytes * self._per_byte[sender, receivers]
            )
        return np.where(receivers == sender, 0.0, seconds)

    def reachable(self, a: int, b: int) -> bool:
        """Return whether a route exists."""
        return self.component[a] == self.component[b]

    def _find_components(self) -> list[int]:
        """Return per device the number of its connected component."""
        component = [0] * self.devices
        if self.graph is not None:
            for number, members in enumerate(nx.connected_components(self.graph)):
                for device in members:
                    component[device] = number
        return component

    def _find_routes(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
        """Return per pair of devices the seconds per byte and the latency of its fastest route.

        Both are `float64[devices, devices]`; None and an empty array in a complete graph.
        """
        if self.graph is None:
            return None, np.empty(0)
        for a, b, edge in self.graph.edges(data=True):
            edge["per_byte"] = 1.0 / min(self.link[a], self.link[b])
        per_byte = np.full((self.devices, self.devices), np.inf)
        latency = np.full((self.devices, self.devices), np.inf)
        for source, (costs, paths) in nx.all_pairs_dijkstra(self.graph, weight="per_byte"):
            for target, cost in costs.items():
                per_byte[source, target] = cost
                latency[source, target] = self.latency_s * (len(paths[target]) - 1)
        return per_byte, latency


def _draw_speeds(
    kind: str, mean: float, sigma: float, n: int, streams: Streams, purpose: str
) -> NDArray[np.float64]:
    """Draw a speed per device: all the mean, uniform on (0.1, 1.9) times it, or log-normal."""
    if kind == "homogeneous":
        return np.full(n, mean)
    draws = np.empty(n)
    for d in range(n):
        rng = streams.rng(purpose, d)
        if kind == "uniform":
            draws[d] = rng.uniform(0.1, 1.9)
        else:
            draws[d] = rng.lognormal(-sigma * sigma / 2, sigma)
    return mean * draws


def _build_graph(settings: NetworkSettings, n: int, streams: Streams) -> nx.Graph:
    """Build the topology of n devices; raise `SettingError` when it has another number of nodes."""
    seed = int(streams.rng("topology").integers(2**31))
    kind = settings.topology
    if kind == "ring":
        graph = nx.cycle_graph(n)
    elif kind == "star":
        graph = nx.star_graph(n - 1)
    elif kind == "small-world":
        graph = nx.watts_strogatz_graph(n, settings.degree, settings.rewire, seed=seed)
    elif kind == "scale-free":
        graph = nx.barabasi_albert_graph(n, settings.degree, seed=seed)
    elif kind == "random-regular":
        graph = nx.random_regular_graph(settings.degree, n, seed=seed)
    else:
        graph = nx.Graph(list(settings.edges))
        graph.add_nodes_from(range(n))
    if graph.number_of_nodes() != n:
        raise SettingError(
            "network.topology", kind, f"gives {graph.number_of_nodes()} nodes for {n} devices"
        )
    return graph
