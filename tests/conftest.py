import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from joblib.externals import loky

from chain_bridge.devchain import install, server
from chain_bridge.errors import BridgeError
from chain_bridge.evm.programs import PROGRAMS
from experiments import load_scenario
from experiments.figures import base
from experiments.loader import read_values
from mechanisms.registry import Registry
from sim.keys import has_key
from sim.scenario import Scenario, scenario_class
from sim.threads import single_threaded

PATIENCE_S = 900.0
"""No wait of a test is longer, and none that a busy machine could miss is shorter."""

# How fast examples are drawn says how busy the machine is.
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", derandomize=True, max_examples=50, **BUSY)
settings.register_profile("random", **BUSY)
single_threaded()


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the tests marked soak as well")


def pytest_configure(config):
    """Draw the same examples in every run; others each time with --soak, which looks for faults."""
    settings.load_profile("random" if config.getoption("--soak") else "fixed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out tests marked soak unless they are asked for, and play slow ones first.

    A test that starts chains is slow: each takes seconds to compile its runtime. So are promises of
    a protocol that take a process or a whole report.
    """
    for item in items:
        chains = CHAINS & set(getattr(item, "fixturenames", ()))
        if chains or getattr(item, "originalname", "") in DEAR_PROMISES:
            item.add_marker("slow")
    if not config.getoption("--soak"):
        soak = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in soak]
    items[:] = in_order(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def in_order(items, workers):
    """Return tests such that each worker, which gets its part of them in a row, begins with slow.

    Whoever is left with a slow one at the end keeps all others waiting. Those that need a chain are
    together, so that few workers start one.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    slow.sort(key=lambda item: not CHAINS & set(getattr(item, "fixturenames", ())))
    quick = [item for item in items if not item.get_closest_marker("slow")]
    ordered = []
    for left in range(workers, 0, -1):
        size = (len(slow) + len(quick)) // left
        share = len(slow) // left
        # What tests of a file share is made once in each process.
        while 0 < share < len(slow) and _file(slow[share]) == _file(slow[share - 1]):
            share += 1
        dear = slow[:share]
        cheap = quick[: size - len(dear)]
        slow, quick = slow[len(dear) :], quick[len(cheap) :]
        ordered += [*dear, *cheap]
    return ordered


def _file(item):
    """Return the file of a test; of what has none the item itself."""
    return getattr(item, "path", item)


CHAINS = {"devchain", "fresh", "otherwise"}
"""Fixtures that start chains."""
DEAR_PROMISES = {"test_another_process_gives_the_same_bytes", "test_every_figure_draws"}
"""Tests of the conformance suite of protocols that take seconds each."""


TINY = {
    "rounds": 3,
    "devices": 8,
    "data.dataset": "synthetic",
    "data.params": {"train": 160, "test": 60, "features": 6, "classes": 3},
    "data.partition": "iid",
    "data.validation_fraction": 0.25,
    "model.name": "softmax",
    "roles.params": {"counts": "4,2,2"},
    "training.epochs": 1,
    "training.learning_rate": 0.1,
}
"""A whole VBFL world in about 20 ms a round."""


def tiny_keys(preset: str, protocol: str | None = None) -> dict[str, object]:
    """Return the keys of TINY that a preset's protocol has, or another protocol in its place."""
    values = read_values(preset) | ({} if protocol is None else {"protocol": protocol})
    keys = scenario_class(values)
    return {key: value for key, value in TINY.items() if has_key(keys, key.split("."))}


TINY_SERVER = tiny_keys("fedavg")
"""The same for a protocol in which nobody draws roles."""


@pytest.fixture(scope="session", autouse=True)
def _workers_that_stay():
    """Keep worker processes between tests: each takes seconds to import PyTorch.

    A test that asks for fewer than there are leaves the others idle.
    """
    get, most = loky.get_reusable_executor, 0

    def stays(max_workers, **options):
        nonlocal most
        most = max(most, max_workers)
        return get(max_workers=most, timeout=3_600, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loky, "get_reusable_executor", stays)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts():
    """Do not wait for the disk: what is killed here leaves its files to the system."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _coarse_figures():
    """Write figures with few pixels, which take as long as drawing them; tests of pixels do not."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(base, "DPI", 40)
        yield


@pytest.fixture
def register(monkeypatch):
    """The register of kinds, put back afterwards."""
    monkeypatch.setattr(Registry, "_register", dict(Registry._register))
    return Registry.kinds()


@pytest.fixture(scope="session")
def tiny():
    """Build a tiny scenario from a preset with dotted keys changed."""

    def build(preset: str = "vbfl", **changes: object) -> Scenario:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}
        return load_scenario(preset, {**tiny_keys(preset, dotted.get("protocol")), **dotted})

    return build


@pytest.fixture(scope="session")
def programs():
    """The installed programs.

    Tests are skipped where they cannot be installed, unless FEDSTAKE_REQUIRE_CHAIN is set.
    """
    try:
        return install.install()
    except BridgeError as error:
        if os.environ.get("FEDSTAKE_REQUIRE_CHAIN"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def evm_programs():
    """The installed programs of the EVM witness; skipped like those of the dev chain."""
    try:
        return PROGRAMS.install()
    except BridgeError as error:
        if os.environ.get("FEDSTAKE_REQUIRE_CHAIN"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def devchain(programs):
    """One chain for tests that do not disturb each other: each run has accounts of its own."""
    with server.start() as chain:
        yield chain


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return the folder with mnist/t10k-*; tests of real MNIST are skipped without it."""
    for folder in (os.environ.get("FEDSTAKE_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if folder and (Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file():
            return Path(folder)
    pytest.skip(
        "no MNIST files: set FEDSTAKE_DATA to the folder that holds mnist/t10k-images-idx3-ubyte.gz"
    )


@pytest.fixture
def listening():
    """Take SIGINT as at a terminal: what is started in the background of a script ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
