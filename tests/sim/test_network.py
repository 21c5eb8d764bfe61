import networkx as nx
import numpy as np
import pytest

from sim.network import Network
from sim.settings import NetworkSettings
from sim.streams import Streams


def network(n=6, **settings):
    return Network(NetworkSettings(**settings), n, Streams(1))


def test_complete_and_homogeneous_is_bytes_over_link():
    net = network(link_bytes_per_s=100.0, latency_s=0.5)
    assert net.delay(0, 1, 1_000) == 10.5
    assert net.delay(2, 2, 1_000) == 0
    assert net.delays(1, np.arange(3), 1_000).tolist() == [10.5, 0, 10.5]


def test_the_slower_end_decides():
    net = network(link="uniform", link_bytes_per_s=1_000.0)
    assert len(set(net.link.tolist())) == 6
    assert net.delay(0, 1, 500) == pytest.approx(500 / min(net.link[0], net.link[1]))


def test_messages_travel_hop_by_hop():
    ring = network(8, topology="ring", link_bytes_per_s=100.0, latency_s=1.0)
    assert ring.delay(0, 4, 100) == pytest.approx(4 * (1 + 1))
    assert ring.delay(0, 7, 100) == pytest.approx(2)
    star = network(5, topology="star", link_bytes_per_s=100.0)
    assert star.delay(1, 2, 100) == pytest.approx(2)
    assert star.delay(0, 2, 100) == pytest.approx(1)


def test_any_graph_and_its_holes():
    net = network(5, topology="edges", edges=((0, 1), (1, 2), (3, 4)), link_bytes_per_s=1.0)
    assert net.delay(0, 2, 10) == 20
    assert net.reachable(0, 2)
    assert not net.reachable(0, 3)
    assert np.isinf(net.delay(0, 3, 1))


def test_fastest_route_not_fewest_hops():
    net = network(
        4,
        topology="edges",
        edges=((0, 3), (0, 1), (1, 2), (2, 3)),
        link="lognormal",
        link_sigma=2.0,
    )
    cost = nx.Graph()
    for a, b in ((0, 3), (0, 1), (1, 2), (2, 3)):
        cost.add_edge(a, b, w=1 / min(net.link[a], net.link[b]))
    assert net.delay(0, 3, 7.0) == pytest.approx(
        7 * nx.shortest_path_length(cost, 0, 3, weight="w")
    )


@pytest.mark.parametrize("topology", ["small-world", "scale-free", "random-regular"])
def test_random_topologies_follow_the_seed(topology):
    first, second = network(20, topology=topology), network(20, topology=topology)
    assert nx.utils.graphs_equal(first.graph, second.graph)
    assert first.graph.number_of_nodes() == 20


def test_durations_are_the_cost_model():
    net = network(compute_samples_per_s=200.0)
    assert net.training_s(0, 400, 5) == 10
    assert net.evaluation_s(0, 600) == pytest.approx(1)


def test_speeds_have_the_stated_mean():
    for kind in ("uniform", "lognormal"):
        net = network(4_000, compute=kind, compute_samples_per_s=50.0)
        assert net.compute.mean() == pytest.approx(50, rel=0.05)
        assert net.compute.min() > 0


def test_one_devices_speed_does_not_depend_on_the_others():
    assert (
        network(3, compute="lognormal").compute.tolist()
        == network(9, compute="lognormal").compute[:3].tolist()
    )
